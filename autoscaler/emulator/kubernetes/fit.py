"""May this pod run on that node? The emulator's own judge, apart from the product's on purpose.

It knows resources, pod count, host ports, node name, node selector, required
node affinity, taints and cordons. Affinity between pods, spread and volumes
are not judged here: such pods are placed as if they did not ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from .objects import Json, amounts, labels, rows, section, text, whole
from .selectors import LabelMatcher, expression

AFFINITY = "node(s) didn't match Pod's node affinity/selector"
CORDONED = "node(s) were unschedulable"
PORTS = "node(s) didn't have free ports for the requested pod ports"
TAINTED = "node(s) had untolerated taint(s)"
TOO_MANY = "Too many pods"
_CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_ENCODE = msgspec.json.Encoder(order="deterministic").encode
Term = tuple[LabelMatcher, frozenset[str] | None]


def requests_of(spec: Json) -> dict[str, int]:
    """What a pod asks for: containers and sidecars together, or the largest init step; overhead on top.

    Raises ValueError for what is no quantity.
    """
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in rows(spec, "containers"):
        _add(running, amounts(section(container, "resources", "requests")))
    sidecars: dict[str, int] = {}
    for container in rows(spec, "initContainers"):
        asked = amounts(section(container, "resources", "requests"))
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            _add(running, asked)
            asked = {}
        for name in {*asked, *sidecars}:
            peak[name] = max(peak.get(name, 0), asked.get(name, 0) + sidecars.get(name, 0))
    total = {name: max(running.get(name, 0), peak.get(name, 0)) for name in {*running, *peak}}
    total |= amounts(section(spec, "resources", "requests"))
    _add(total, amounts(section(spec, "overhead")))
    return {name: wanted for name, wanted in total.items() if wanted > 0}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


@dataclass(slots=True, eq=False)
class NodeState:
    """A node and what is taken on it. `version` changes with whatever static checks read."""

    name: str
    version: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Json] = field(default_factory=list)
    cordoned: bool = False
    allocatable: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    pods: int = 0
    exists: bool = False

    def read(self, node: Json, version: int) -> None:
        """Take a node's present state. One with unreadable quantities can take nothing."""
        self.version, self.exists = version, True
        self.labels = {key: value for key, value in labels(node).items() if isinstance(value, str)}
        self.taints = rows(node, "spec", "taints")
        self.cordoned = section(node, "spec").get("unschedulable") is True
        try:
            self.allocatable = amounts(section(node, "status").get("allocatable"))
        except ValueError:
            self.allocatable = {}

    def take(self, needs: Needs, sign: int = 1) -> None:
        self.pods += sign
        for name, value in needs.requests.items():
            self.used[name] = self.used.get(name, 0) + sign * value
        for port in needs.ports:
            self.ports[port] = self.ports.get(port, 0) + sign

    def lacks(self, needs: Needs) -> str:
        """The first reason why there is no room; empty when there is."""
        if self.pods >= self.allocatable.get("pods", 0):
            return TOO_MANY
        for name, wanted in needs.requests.items():
            if self.used.get(name, 0) + wanted > self.allocatable.get(name, 0):
                return f"Insufficient {name}"
        if needs.ports and any(self.ports.get(port) for port in needs.ports):
            return PORTS
        return ""

    def load(self) -> float:
        """How full it is by cpu and memory, 0 to 2."""
        return sum(self.used.get(name, 0) / max(1, self.allocatable.get(name, 0)) for name in ("cpu", "memory"))


@dataclass(slots=True, eq=False)
class Needs:
    """What pods of one shape ask of a node; shared between them."""

    requests: dict[str, int]
    ports: frozenset[tuple[str, int]]
    selector: dict[str, str]
    terms: tuple[Term, ...] | None  # any of them; None asks nothing
    tolerations: list[Json]
    node_name: str = ""
    verdicts: dict[str, tuple[int, str]] = field(default_factory=dict)  # node: its version, objection
    candidates: list[NodeState] = field(default_factory=list)  # of the scheduler's last search
    searched_at: int = -1  # its epoch then
    explained_at: int = -1
    message: str = ""

    def objection(self, node: NodeState) -> str:
        """Why the node is wrong whatever room it has; empty when it is right."""
        known = self.verdicts.get(node.name)
        if known is None or known[0] != node.version:
            known = self.verdicts[node.name] = (node.version, self._judge(node))
        return known[1]

    def _judge(self, node: NodeState) -> str:
        if node.cordoned and not tolerates(self.tolerations, _CORDON):
            return CORDONED
        if any(
            taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(self.tolerations, taint)
            for taint in node.taints
        ):
            return TAINTED
        return "" if self.selects(node.name, node.labels) else AFFINITY

    def selects(self, name: str, found: dict[str, str]) -> bool:
        """Node selector and required affinity."""
        if any(found.get(key) != value for key, value in self.selector.items()):
            return False
        if self.terms is None:
            return True
        return any((names is None or name in names) and match(found) for match, names in self.terms)

    def avoids(self, node: NodeState) -> int:
        """How many soft taints of the node it does not tolerate."""
        soft = (taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule")
        return sum(not tolerates(self.tolerations, taint) for taint in soft)


def shape_of(spec: Json) -> bytes:
    """Equal for pods with equal needs."""
    parts = [
        [[row.get("resources"), row.get("ports"), row.get("restartPolicy")] for row in rows(spec, group)]
        for group in ("containers", "initContainers")
    ]
    named = ("nodeSelector", "tolerations", "overhead", "resources", "hostNetwork", "priority")
    affinity = section(spec, "affinity", "nodeAffinity").get("requiredDuringSchedulingIgnoredDuringExecution")
    return _ENCODE([parts, [spec.get(name) for name in named], affinity])


def needs_of(spec: Json) -> Needs:
    """Read a pod's spec. Raises ValueError for what is no quantity."""
    required = section(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = tuple(_term(row) for row in rows(required, "nodeSelectorTerms")) if required else None
    ports = frozenset(
        (text(port, "protocol") or "TCP", whole(port, "hostPort"))
        for container in rows(spec, "containers")
        for port in rows(container, "ports")
        if whole(port, "hostPort")
    )
    return Needs(requests_of(spec), ports, section(spec, "nodeSelector"), terms, rows(spec, "tolerations"))


def _term(row: Json) -> Term:
    tests = [_requirement(one) for one in rows(row, "matchExpressions")]
    fields = rows(row, "matchFields")
    names = frozenset(str(value) for one in fields for value in one.get("values") or ()) if fields else None
    nothing = not tests and names is None  # an empty term matches no node

    def match(found: dict[str, str]) -> bool:
        return not nothing and all(test(found) for test in tests)

    return match, names


def _requirement(row: Json) -> LabelMatcher:
    return expression(text(row, "key"), text(row, "operator"), tuple(str(value) for value in row.get("values") or ()))


def tolerates(tolerations: Iterable[Json], taint: Json) -> bool:
    """Does any toleration cover the taint?"""
    for row in tolerations:
        if row.get("effect") not in (None, "", taint.get("effect")):
            continue
        key, operator = row.get("key") or "", row.get("operator") or "Equal"
        if key != taint.get("key") and not (key == "" and operator == "Exists"):
            continue
        if operator == "Exists" or (row.get("value") or "") == (taint.get("value") or ""):
            return True
    return False
