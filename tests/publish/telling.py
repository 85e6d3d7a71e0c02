"""Decisions, answers and worlds to be told of."""

from datetime import timedelta

from autoscaler.core.decision import (
    Cause,
    Decision,
    Drain,
    DrainCause,
    Launch,
    LaunchResult,
    Objection,
    Outcome,
    Refusal,
    RefusalKind,
    Removal,
    Verdict,
    Why,
)
from autoscaler.core.model import GroupName, InstanceId, NodeGroup, NodeName, PodKey, Zone
from autoscaler.core.snapshot import Snapshot
from autoscaler.publish.events import Anchors, ObjectRef
from tests.builders import NOW, ZONES, group, instance, pod, snapshot

STATUS = ObjectRef("ConfigMap", "kube-system", "cluster-autoscaler-status", "s-1")
PRIORITIES = ObjectRef("ConfigMap", "kube-system", "cluster-autoscaler-priority-expander")
ANCHORS = Anchors(STATUS, PRIORITIES)
WEB_1, WEB_2, GPU = PodKey("shop", "web-1"), PodKey("shop", "web-2"), PodKey("ml", "train")


def objections(**raised: list[Why]) -> dict[GroupName, tuple[Objection, ...]]:
    return {
        GroupName(name.replace("_", "-")): tuple(Objection(why, f"about {why}") for why in whys)
        for name, whys in raised.items()
    }


def launch(name: str = "spot-a", zone: str | None = ZONES[0], count: int = 1, **fields: object) -> Launch:
    fields = {"pods": (WEB_1,), "units": count, **fields}
    return Launch(group=GroupName(name), zone=Zone(zone) if zone else None, count=count, **fields)  # type: ignore[arg-type]


def answer(asked: Launch, brought: int = 0, *refused: RefusalKind, code: str = "", detail: str = "") -> LaunchResult:
    return LaunchResult(
        launch=asked,
        at=NOW + timedelta(seconds=0.75),
        launched=tuple(instance(f"i-{asked.group}-{number}", zone=asked.zone or ZONES[0]) for number in range(brought)),
        refusals=tuple(Refusal(kind=kind, code=code or kind, detail=detail) for kind in refused),
        seconds=0.5,
    )


def crisis() -> Decision:
    return Decision(
        at=NOW,
        launches=(
            launch("spot-b", count=2, pods=(WEB_2, WEB_1)),
            launch("od-a", None, count=1, cause=Cause.HEADROOM, pods=()),
        ),
        verdicts={
            WEB_2: Verdict(
                outcome=Outcome.LAUNCH, group=GroupName("spot-b"), objections=objections(spot_a=[Why.IN_BACKOFF])
            ),
            WEB_1: Verdict(
                outcome=Outcome.LAUNCH, group=GroupName("spot-b"), objections=objections(spot_a=[Why.IN_BACKOFF])
            ),
            GPU: Verdict(
                outcome=Outcome.UNSCHEDULABLE,
                objections=objections(
                    spot_b=[Why.TOO_SMALL, Why.TAINT_NOT_TOLERATED, Why.TOO_SMALL], spot_a=[Why.TOO_SMALL]
                ),
            ),
            PodKey("shop", "old"): Verdict(outcome=Outcome.FITS_EXISTING, node=NodeName("ip-10-0-0-9")),
        },
        drains=(
            Drain(
                node=NodeName("ip-10-0-0-1"),
                cause=DrainCause.RETURN_TO_SPOT,
                pods=(PodKey("shop", "b"), PodKey("shop", "a")),
            ),
        ),
        removals=(Removal(group=GroupName("spot-a"), instance=InstanceId("i-1"), decrement=True, reason="NoNode"),),
        kept={NodeName("ip-10-0-0-2"): (Objection(Why.TOO_YOUNG, "5m"),)},
    )


def world(*groups: NodeGroup, **fields: object) -> Snapshot:
    pods = [pod("web-1"), pod("web-2"), pod("train", namespace="ml")]
    return snapshot(groups=groups or (group("spot-a"), group("spot-b", desired=3)), pods=pods, **fields)
