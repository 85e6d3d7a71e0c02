"""The file of `--scheduler-config-file`: a KubeSchedulerConfiguration, as far as filters hang on it.

Read as strictly as kube-scheduler reads it where we obey it: an unknown field
or value there is a fault, told with its path. Scores, queues and connections
are skipped. What filters in a way that we cannot judge is a warning.
Source: k8s.io/kube-scheduler/config/v1/types.go, types_pluginargs.go, and kubernetes,
pkg/scheduler/apis/config/validation
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoscaler.core.schedulers import Profile, Schedulers
from autoscaler.errors import AutoscalerError
from autoscaler.kubernetes.scheduler_plugins import PluginSets
from autoscaler.kubernetes.scheduler_terms import Entry, added_terms, default_spread
from autoscaler.kubernetes.yaml_text import YamlFault, load_documents

DEFAULT_SCHEDULER = "default-scheduler"
_API = "kubescheduler.config.k8s.io/v1"
_KIND = "KubeSchedulerConfiguration"
_TOP = frozenset(
    [
        "apiVersion",
        "kind",
        "parallelism",
        "leaderElection",
        "clientConnection",
        "enableProfiling",
        "enableContentionProfiling",
        "percentageOfNodesToScore",
        "podInitialBackoffSeconds",
        "podMaxBackoffSeconds",
        "profiles",
        "extenders",
        "delayCacheUntilActive",
    ]
)
_PROFILE = frozenset(("schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"))
_TYPE = frozenset(("apiVersion", "kind"))
_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_FIT = "NodeResourcesFit"


class SchedulerConfigError(AutoscalerError):
    """The file cannot be used; the text is one line with the file and each fault's path. Exit code 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """The file as read; `warnings` tell what the scheduler may refuse and we cannot see, or the reverse."""

    schedulers: Schedulers = field(default_factory=Schedulers)
    warnings: tuple[str, ...] = ()


def read_scheduler_config(path: Path | None) -> SchedulerConfig:
    """Read the file; no path is no configuration. Raises SchedulerConfigError."""
    if path is None:
        return SchedulerConfig()
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise SchedulerConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SchedulerConfigError(f"{path}: {error}") from None
    return parse_scheduler_config(text, str(path))


def parse_scheduler_config(text: str, source: str) -> SchedulerConfig:
    """Read the text, YAML or JSON. Raises SchedulerConfigError that names `source`."""
    try:
        documents = [one for one in load_documents(text) if one is not None]
    except YamlFault as fault:
        raise SchedulerConfigError(f"{source}: {fault}") from None
    if len(documents) != 1:
        raise SchedulerConfigError(f"{source}: expected one {_KIND}, got {len(documents)} documents")
    reader = _Reader()
    config = reader.read(Entry("", documents[0], reader.faults))
    if reader.faults:
        raise SchedulerConfigError(f"{source}: {'; '.join(reader.faults)}")
    return config


@dataclass(slots=True)
class _Reader:
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def read(self, top: Entry) -> SchedulerConfig:
        row = top.mapping()
        if (row.get("apiVersion"), row.get("kind")) != (_API, _KIND):
            top.fault(f"expected apiVersion {_API} and kind {_KIND}, got {row.get('apiVersion')} {row.get('kind')}")
            return SchedulerConfig()
        top.expect_only(_TOP)
        ignored = frozenset(self._extenders(top.at("extenders")))
        places = list(top.at("profiles").items()) or [Entry("profiles[0]", {}, self.faults)]
        profiles: dict[str, Profile] = {}
        for place in places:
            name = self._name(place, is_only=len(places) == 1)
            if name in profiles:
                place.at("schedulerName").fault(f"{name!r} has a profile already")
            profiles[name] = self._profile(place, name, ignored)
        return SchedulerConfig(schedulers=Schedulers(profiles=profiles), warnings=tuple(self.warnings))

    def _name(self, place: Entry, *, is_only: bool) -> str:
        name = place.at("schedulerName").text()
        if not name and not is_only:
            place.at("schedulerName").fault("needed where there are several profiles")
        return name or DEFAULT_SCHEDULER

    def _profile(self, place: Entry, name: str, ignored: frozenset[str]) -> Profile:
        place.expect_only(_PROFILE)
        plugins = PluginSets(place.at("plugins"))
        self.warnings += [f"scheduler {name!r}: {warning}" for warning in plugins.warnings()]
        arguments = self._arguments(place.at("pluginConfig"))
        fit = arguments[_FIT]
        fit.expect_only(_TYPE | {"ignoredResources", "ignoredResourceGroups", "scoringStrategy"})
        affinity = arguments["NodeAffinity"]
        affinity.expect_only(_TYPE | {"addedAffinity"})
        resources = frozenset(_names(fit.at("ignoredResources")))
        spread = tuple(default_spread(arguments["PodTopologySpread"]))
        return Profile(
            added_terms=added_terms(affinity.at("addedAffinity")),
            default_spread=spread if plugins.spreads else (),
            ignored_resources=ignored or resources,
            ignored_groups=frozenset(_names(fit.at("ignoredResourceGroups"), is_group=True)),
            spreads=plugins.spreads,
        )

    def _arguments(self, place: Entry) -> Mapping[str, Entry]:
        """The arguments of the plugins that matter, by plugin; nothing where nothing is given."""
        found = {
            name: Entry(f"{place.path}[{name}]", {}, self.faults)
            for name in (_FIT, "NodeAffinity", "PodTopologySpread")
        }
        seen: set[str] = set()
        for entry in place.items():
            entry.expect_only(frozenset(("name", "args")))
            name = entry.at("name").text()
            if name in seen:
                entry.fault(f"{name} is configured already")
            seen.add(name)
            if name in found:
                found[name] = entry.at("args")
                self._expect_kind(found[name], f"{name}Args")
        return found

    def _expect_kind(self, place: Entry, kind: str) -> None:
        row = place.mapping()
        if row.get("kind", kind) != kind or row.get("apiVersion", _API) != _API:
            place.fault(f"expected {kind} of {_API}")

    def _extenders(self, place: Entry) -> Iterator[str]:
        """Yield the resources that extenders take off the scheduler's hands; these replace those of every profile."""
        for entry in place.items():
            row = entry.mapping()
            resources = list(entry.at("managedResources").items())
            if row.get("filterVerb"):
                names = ", ".join(one.at("name").text() for one in resources)
                only = f" for pods that ask for {names}" if names else ""
                self.warnings.append(f"extender {row.get('urlPrefix')} filters nodes{only}, which is not simulated")
            for resource in resources:
                if resource.mapping().get("ignoredByScheduler") is True:
                    yield resource.at("name").text()


def _names(place: Entry, *, is_group: bool = False) -> Iterator[str]:
    for one in place.items():
        name = one.text()
        if not _NAME.fullmatch(name) or (is_group and "/" in name):
            one.fault(f"expected a resource {'group' if is_group else 'name'}, got {name!r}")
        yield name
