"""Stories for the demo: what happens in a world, act by act, and how each act must end.

A story is a YAML file beside this module, or anyone's own (`--story FILE`).
Here is what a story may say; playing it is `demo`, judging it `expectations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from autoscaler.errors import AutoscalerError

PACKAGED = Path(__file__).parent / "capacity_crisis.yaml"


class StoryError(AutoscalerError):
    """A story that cannot be played; the message names the file and the fault."""

    exit_code = 2


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds that things take.

    `latency` of each AWS call, `boot` until an instance is in service,
    `register` and `ready` of its Node, `pause` for the reader between acts,
    `backoff` for which the controller leaves a pool alone after a refusal,
    `taint` between the marks on a node and its first eviction, `start` of a
    pod, `patience` for an act to end.
    """

    latency: float
    boot: float
    register: float
    ready: float
    pause: float
    backoff: float
    taint: float = 0.5
    start: float = 0.1
    patience: float = 20.0


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An Auto Scaling group over the three zones, and its tier: the highest is bought first.

    `price` is what an instance costs here, in USD an hour.
    """

    name: str
    type: str
    market: str
    tier: int
    max: int = 20
    price: float = 0.0


class Pod(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The one Deployment of the story; its PodDisruptionBudget lets `missing` pods be away at once."""

    name: str = "web"
    cpu: str
    memory: str
    missing: int = 1


class Stock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From now on pools have `free` instances left: 0 is dry, none is as many as anyone wants. Patterns allowed."""

    type: str = "*"
    zone: str = "*"
    market: str = "*"
    free: int | None = None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A group is asked soon after the first pod became Unschedulable."""

    group: str
    within_ms: int


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an act must end. That all pods run, and nothing is left over, is always expected.

    `nodes` that came, by group, and no others; `gone`: those that went, and
    no others; then no pod may have been Unschedulable. `zones` in which they are;
    `skew` at most, over all nodes of a group; `refusals` exactly;
    `calls` of LaunchInstances at most; `probes`: how many nodes each offering
    is asked at first, before it is asked for more.
    """

    nodes: Mapping[str, int]
    gone: Mapping[str, int] = {}
    zones: tuple[str, ...] | None = None
    skew: Mapping[str, int] = {}
    refusals: int | None = None
    calls: int | None = None
    asked: Asked | None = None
    probes: int | None = None


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """First the capacity changes, then the Deployment is scaled to `pods`, and the Nodes become `hours` older.

    `after_backoff` waits in between until the controller may ask again where
    it was refused. `beside` is printed next to what came out.
    """

    title: str
    says: str
    pods: int
    expect: Expectation
    capacity: tuple[Stock, ...] = ()
    after_backoff: bool = False
    hours: float = 0.0
    beside: str = ""


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A world and what happens in it; `drains` nodes at most are drained at once."""

    title: str
    groups: tuple[Group, ...]
    pod: Pod
    pace: Pace
    fast: Pace
    acts: tuple[Act, ...]
    drains: int = 1

    def tier_of(self, group: str) -> int:
        """The tier of a group; 0 for one that the story does not know."""
        return next((one.tier for one in self.groups if one.name == group), 0)

    def priorities(self) -> str:
        """The tiers as the priority expander's ConfigMap has them."""
        tiers: dict[int, list[str]] = {}
        for group in self.groups:
            tiers.setdefault(group.tier, []).append(f"^{group.name}$")
        return yaml.safe_dump(tiers)


def load_story(path: Path = PACKAGED) -> Story:
    """Read a story. Raises StoryError."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()), Story)
    except OSError as fault:
        raise StoryError(f"story {path}: {fault.strerror}") from fault
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as fault:
        raise StoryError(f"story {path}: {' '.join(str(fault).split())}") from fault
