"""Decision stories in YAML: a world of few words, and what a pass must make of it.

Reads `tests/cases/*.yaml` on top of `builders`. Strict: an unknown key is an
error, so that a story never passes for a misspelt word. Zones are written
short (`a` is eu-west-3a), spans as Go durations, `then` in Why words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from autoscaler.config.values import read_conditions
from autoscaler.core.decision import Decision, Drain, Objection
from autoscaler.core.duration import parse_duration
from autoscaler.core.model import (
    HOSTNAME_LABEL,
    ZONE_LABEL,
    CapacityPool,
    Instance,
    InstanceShape,
    LaunchMethod,
    Lifecycle,
    Market,
    NodeGroup,
    NodeName,
    OwnerRef,
    Phase,
    PodKey,
    Uid,
    Zone,
)
from autoscaler.core.podspec import LabelSelector, NodeTerm, PodTerm, Requirement, SpreadConstraint, Toleration
from autoscaler.core.policy import Policy, Tiers
from autoscaler.core.quantity import parse_amount
from autoscaler.core.resources import Resources
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaledown.policy import ScaleDownPolicy
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.snapshot import DaemonSet, Snapshot
from autoscaler.kubernetes.policy_config import parse_policy
from tests import builders
from tests.builders import NOW
from tests.preferring import read_preferences
from tests.surroundings import read_annotated, read_pdb, read_workload

REGION = "eu-west-3"
WORDS = {"launches", "verdicts", "objections", "reasons", "removals", "undecided", "drains", "kept", "shunned", "unmet",
         "causes", "spare"}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Story:
    """One case: the world, and the expectations as written."""

    name: str
    source: str
    snapshot: Snapshot
    then: Mapping[str, Any]


def read_stories(path: Path) -> list[Story]:
    rows = yaml.safe_load(path.read_text())
    stories = []
    for row in rows:
        try:
            stories.append(_read_story(row, path.stem))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}: {row.get('name', 'a story without a name')}: {error!r}") from error
    return stories


def zone(short: str | None) -> Zone | None:
    return None if short is None else Zone(short if len(short) > 1 else REGION + short)


class _Row:
    """A mapping of which every key must be used."""

    def __init__(self, row: Row, place: str) -> None:
        self._left, self._place = dict(row), place

    def take(self, key: str, default: Any = None) -> Any:
        return self._left.pop(key, default)

    def fields(self, **readers: Callable[[Any], Any]) -> Row:
        """Read those of the keys that are there; `_` in a name stands for itself."""
        return {key: read(self._left.pop(key)) for key, read in readers.items() if key in self._left}

    def done(self) -> None:
        if self._left:
            raise ValueError(f"{self._place}: unknown keys {sorted(self._left)}")


def _read_story(row: Row, topic: str) -> Story:
    top = _Row(row, "story")
    name, at = top.take("name"), top.take("now", NOW)
    groups, memory = [], CapacityMemory()
    for one in top.take("groups", []):
        group, memory = _read_group(one, at, memory)
        groups.append(group)
    instances = {instance.id: instance for group in groups for instance in group.instances}
    pods = [pod for one in top.take("pods", []) for pod in _read_pods(one, at)]
    snapshot = Snapshot(
        at=at,
        groups=tuple(groups),
        memory=memory,
        nodes=tuple(_read_node(one, at, instances) for one in top.take("nodes", [])),
        pods=tuple(pods),
        daemonsets=tuple(_read_daemonset(one) for one in top.take("daemonsets", [])),
        policy=_read_flags(top.take("flags", {})),
        pdbs=tuple(read_pdb(one) for one in top.take("pdbs", [])),
        workloads=tuple(read_workload(one) for one in top.take("workloads", [])),
        annotated=read_annotated(top.take("annotated", {})),
        reserve=parse_policy(yaml.safe_dump(top.take("reserve", {}))).reserve,
        scale_down=_read_memory(top.take("memory"), at),
    )
    then = top.take("then")
    top.done()
    unknown = then.keys() - WORDS
    if unknown:
        raise ValueError(f"then: unknown keys {sorted(unknown)}")
    return Story(name=name, source=topic, snapshot=snapshot, then=then)


def _amounts(row: Row) -> Resources:
    return Resources({key: parse_amount(key, str(amount)) for key, amount in row.items()})


def _taints(texts: list[str]) -> tuple[Any, ...]:
    return tuple(builders.taint(text) for text in texts)


def _shape(row: str | Row) -> InstanceShape:
    if isinstance(row, str):
        return builders.shape(row)
    top = dict(row)
    kind, weight, arch = top.pop("type"), top.pop("weight", 1), top.pop("arch", "amd64")
    made = builders.shape(kind, weight=weight, **{key: str(amount) for key, amount in top.items()})
    return InstanceShape(instance_type=made.instance_type, capacity=made.capacity, weight=weight, architecture=arch)


def _instance(row: Row, at: datetime) -> Instance:
    top = _Row(row, "instance")
    age = top.take("age")
    made = builders.instance(
        top.take("id"),
        zone(top.take("zone", "a")) or "",
        top.take("type", "m5.xlarge"),
        lifecycle=Lifecycle(top.take("state", "InService")),
        weight=top.take("weight", 1),
        since=None if age is None else at - parse_duration(age),
    )
    top.done()
    return made


def _read_group(row: Row, at: datetime, memory: CapacityMemory) -> tuple[NodeGroup, CapacityMemory]:
    top = _Row(row, "group")
    name = top.take("name")
    fields = top.fields(
        zones=lambda texts: tuple(zone(text) for text in texts),
        types=lambda rows: tuple(_shape(one) for one in rows),
        market=Market,
        method=LaunchMethod,
        instances=lambda rows: tuple(_instance(one, at) for one in rows),
        labels=dict,
        taints=_taints,
        suspended=frozenset,
        desired=int,
        options=dict,
    )
    renamed = top.fields(min=int, max=int, tags=_amounts, reserved=str, deleting=bool, missing=int, refreshing=bool)
    words = {"min": "min_size", "max": "max_size", "tags": "tag_resources", "reserved": "reserved_profile",
             "deleting": "is_being_deleted", "missing": "proven_missing", "refreshing": "is_refreshing"}  # fmt: skip
    group = builders.group(name, **fields, **{words[key]: value for key, value in renamed.items()})
    until, dry = top.take("backoff_until"), top.take("dry")
    if until or dry:
        pools: list[CapacityPool] = []
        for place in [None] if dry in (None, True) else dry:
            pools.extend(pools_of(group, zone(place)))
        memory = memory.with_dry(pools, until or at + timedelta(minutes=1), "InsufficientInstanceCapacity")
    if top.take("failed"):
        memory = memory.group_failed(group.name, "no Node in time", at, Policy())
    top.done()
    return group, memory


def _spec_fields(top: _Row) -> Row:
    return top.fields(
        cpu=str, memory=str, tolerates=str, host_port=int, needs=dict, priority=int, priority_class=str, scheduler=str,
        zone=lambda short: str(zone(short)), extra=lambda row: {key: str(amount) for key, amount in row.items()},
        local_volumes=tuple, restart_policy=str, images=tuple,
        gates=tuple, unknowns=tuple, claims=tuple, resource_claims=bool, inline_disks=tuple,
        selector=lambda row: tuple(sorted(row.items())),
        zones=lambda texts: tuple(zone(text) for text in texts),
        spread=lambda key: (SpreadConstraint(key, 1, True, None),),
        affinity=lambda key: (PodTerm(key, None),),
        anti_affinity=lambda key: (PodTerm(key, None),),
        affinity_to=lambda app: (PodTerm(HOSTNAME_LABEL, LabelSelector((Requirement("app", "In", (app,)),))),),
        lonely=lambda app: (PodTerm(HOSTNAME_LABEL, LabelSelector((Requirement("app", "In", (app,)),))),),
        tolerations=lambda rows: tuple(Toleration(**one) for one in rows),
    ) | read_preferences(top.take("prefers", {}))  # fmt: skip


def _spec(fields: Row) -> Any:
    if "selector" in fields:
        fields["node_selector"] = fields.pop("selector")
    for word, name in (("lonely", "anti_affinity"), ("affinity_to", "affinity")):
        if word in fields:
            fields[name] = fields.pop(word)
    if "zones" in fields:
        fields["node_terms"] = (NodeTerm((Requirement(ZONE_LABEL, "In", fields.pop("zones")),)),)
    return builders.spec(**fields)


def _read_pods(row: Row, at: datetime) -> list[Any]:
    top = _Row(row, "pod")
    name, count = top.take("name"), top.take("count", 1)
    age = parse_duration(top.take("age", "10s"))
    own: Row = {"created": at - age, "unschedulable_since": at - age}
    own |= top.fields(node=str, owner=str, labels=dict, annotations=dict, phase=Phase, namespace=str)
    if controller := top.take("controller"):
        own["owner"] = OwnerRef(controller, name, Uid(f"uid-{name}"))
    elif "node" in own and "owner" not in own:
        own["owner"] = OwnerRef("ReplicaSet", name, Uid(f"uid-{name}"))
    if top.take("bare"):
        own["owner"] = None
    if "node" in own or top.take("unjudged"):
        own["unschedulable_since"] = None
    nominated = top.take("nominated")
    if nominated:
        own["nominated_node"] = nominated
    if gone_since := "0s" if top.take("terminating") else top.take("gone_since"):
        own["deleted_at"] = at - parse_duration(gone_since)
    if top.take("daemonset"):
        own["owner"] = OwnerRef("DaemonSet", name, Uid(f"uid-{name}"))
    shared = _spec(_spec_fields(top))
    top.done()
    if count == 1:
        return [builders.pod(name, of=shared, **own)]
    return [builders.pod(f"{name}-{number}", of=shared, **own) for number in range(1, count + 1)]


def _read_daemonset(row: Row) -> DaemonSet:
    top = _Row(row, "daemonset")
    name = top.take("name")
    made = _spec(_spec_fields(top))
    top.done()
    return DaemonSet(namespace="kube-system", name=name, uid=Uid(f"uid-{name}"), spec=made)


def _read_node(row: Row, at: datetime, instances: Mapping[Any, Instance]) -> Any:
    top = _Row(row, "node")
    name, backing = top.take("name"), top.take("instance")
    amounts = top.take("allocatable")
    fields = top.fields(labels=dict, taints=_taints, ready=bool, was_ready=bool, annotations=dict)
    if unready_for := top.take("unready_for"):
        fields |= {"ready": False, "ready_changed": at - parse_duration(unready_for)}
    bad = top.take("conditions", {})
    if bad:
        fields["conditions"] = {name: (status, at - parse_duration(age)) for name, (status, age) in bad.items()}
    renamed = top.fields(cordoned=bool)
    if amounts is not None:
        fields["allocatable"] = _amounts(amounts)
    if renamed:
        fields["is_cordoned"] = renamed["cordoned"]
    age = top.take("age", "3h")
    made = builders.node(
        name,
        of=instances[backing] if backing else None,
        zone=str(zone(top.take("zone", "a"))),
        created=at - parse_duration(age),
        **fields,
    )
    top.done()
    return made


def _read_flags(row: Row) -> Policy:
    top = dict(row)
    tiers = Tiers.read(top.pop("tiers", {}))
    scale_down = ScaleDownPolicy(**{key: _flag(ScaleDownPolicy(), key, value)
                                    for key, value in top.pop("scale_down", {}).items()})  # fmt: skip
    for key, value in top.items():
        if key not in Policy.__dataclass_fields__:
            raise ValueError(f"flags: unknown flag {key!r}")
        top[key] = _flag(Policy(), key, value)
    return Policy(tiers=tiers, scale_down=scale_down, **top)


def _flag(defaults: object, key: str, value: Any) -> Any:
    """Read a flag as the kind of value that it has by default; conditions and budgets as their own edges do."""
    kind = type(getattr(defaults, key))
    if key == "bad_conditions":
        return read_conditions((value,))
    if key == "budget":
        return parse_policy(yaml.safe_dump({"disruption": value})).budget
    if kind is timedelta:
        return None if value == "never" else parse_duration(value)
    return kind(value) if kind in (frozenset, tuple) else value


def _read_memory(row: Row | None, at: datetime) -> ScaleDownMemory | None:
    """Ages by node or group; `blocked` is what is left."""
    if row is None:
        return None
    ages = {key: {name: parse_duration(age) for name, age in ages.items()} for key, ages in row.items()}
    return ScaleDownMemory(
        **{key: {name: at + age if key == "blocked" else at - age for name, age in found.items()}
           for key, found in ages.items()}
    )  # fmt: skip


def told(decision: Decision, then: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the decision in the words of `then`, as far as `then` asks."""
    found: dict[str, Any] = {"launches": _launches(decision, then.get("launches", {}))}
    if "spare" in then:
        found["spare"] = {one.name: [one.wanted, one.present, one.bought] for one in decision.spare}
    if "causes" in then:
        found["causes"] = {str(one.cause): [key.name for key in one.pods] for one in decision.launches}
    if "verdicts" in then:
        found["verdicts"] = {key: _verdict(decision, key) for key in then["verdicts"]}
    if "objections" in then:
        found["objections"] = {
            name: {group: _whys(reasons) for group, reasons in decision.verdicts[_key(name)].objections.items()}
            for name in then["objections"]
        }
    for word in ("reasons", "unmet"):
        if word in then:
            found[word] = {name: _whys(getattr(decision.verdicts[_key(name)], word)) for name in then[word]}
    if "removals" in then:
        found["removals"] = {
            str(one.instance): one.reason + (" decrement" if one.decrement else "") for one in decision.removals
        }
    if "drains" in then:
        found["drains"] = {str(one.node): _drain(one, then["drains"]) for one in decision.drains}
    if "kept" in then:
        found["kept"] = {name: _whys(decision.kept[NodeName(name)]) for name in then["kept"]}
    if "shunned" in then:
        found["shunned"] = list(decision.shunned)
    if "undecided" in then:
        found["undecided"] = decision.undecided
    return found


def expected(then: Mapping[str, Any]) -> Mapping[str, Any]:
    """`then` with what it leaves out, and the order of words that does not matter taken out."""
    found = {"launches": {}, **then}
    for key in ("objections", "reasons", "kept", "unmet"):
        if key in found:
            found[key] = {name: _sorted_words(words) for name, words in found[key].items()}
    return found


def _drain(drain: Drain, then: Mapping[str, Any]) -> Any:
    """The cause; with the pods where `then` tells them."""
    if isinstance(then.get(drain.node), list):
        return [str(drain.cause), *[key.name for key in drain.pods]]
    return str(drain.cause)


def _sorted_words(words: Any) -> Any:
    if isinstance(words, dict):
        return {key: _sorted_words(value) for key, value in words.items()}
    return sorted(words)


def _whys(reasons: tuple[Objection, ...]) -> list[str]:
    return sorted(dict.fromkeys(str(reason.why) for reason in reasons))


def _key(name: str) -> PodKey:
    return PodKey("shop", name)


def _launches(decision: Decision, then: Mapping[str, Any]) -> Row:
    """Count by group; by zone as well where `then` does."""
    found: Row = {}
    for launch in decision.launches:
        if isinstance(then.get(launch.group), dict):
            place = "any" if launch.zone is None else launch.zone.removeprefix(REGION)
            found.setdefault(str(launch.group), {})[place] = launch.count
        else:
            found[str(launch.group)] = found.get(str(launch.group), 0) + launch.count
    return found


def _verdict(decision: Decision, name: str) -> str:
    verdict = decision.verdicts[_key(name)]
    target = verdict.group or verdict.node
    return f"{verdict.outcome} {target}" if target else str(verdict.outcome)
