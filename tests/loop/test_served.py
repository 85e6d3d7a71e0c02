"""What counts as buying twice in one pass."""

from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind
from autoscaler.core.model import GroupName, Instance, InstanceId, InstanceType, Lifecycle, PodKey, Zone
from autoscaler.loop.served import Served
from tests.builders import NOW

PODS = [PodKey("default", f"web-{number}") for number in range(6)]
DRY = Refusal(kind=RefusalKind.NO_CAPACITY, code="InsufficientInstanceCapacity", detail="")


def launch(zone: str, *pods: PodKey) -> Launch:
    return Launch(group=GroupName("spot-a"), zone=Zone(zone), count=len(pods), units=len(pods), pods=pods)


def in_full(wish: Launch) -> LaunchResult:
    kind, zone = InstanceType("m5.xlarge"), Zone("a")
    launched = tuple(
        Instance(id=InstanceId(f"i-{n}"), instance_type=kind, zone=zone, lifecycle=Lifecycle.PENDING)
        for n in range(wish.count)
    )
    return LaunchResult(launch=wish, at=NOW, launched=launched)


def test_the_same_need_again_is_a_second_purchase() -> None:
    served, wish = Served(), launch("a", *PODS[:2])
    assert served.bought_twice([wish], PODS[:2]) == []
    served.note([in_full(wish)])
    assert served.bought_twice([wish], PODS[:2]) == [wish]


def test_a_refused_pod_may_take_the_place_of_another_which_then_needs_one_once() -> None:
    served = Served()
    refused, brought, again = launch("a", *PODS[:2]), launch("b", *PODS[2:4]), launch("c", *PODS[2:4])
    assert served.bought_twice([refused, brought], PODS[:4]) == []
    served.note([LaunchResult(launch=refused, at=NOW, refusals=(DRY,)), in_full(brought)])
    assert served.bought_twice([again], PODS[:4]) == []
    served.note([in_full(again)])
    assert served.bought_twice([again], PODS[:4]) == [again]


def test_a_refusal_excuses_nothing_while_the_refused_pod_is_still_without_a_place() -> None:
    served = Served()
    refused, brought = launch("a", *PODS[:2]), launch("b", *PODS[2:4])
    served.note([LaunchResult(launch=refused, at=NOW, refusals=(DRY,)), in_full(brought)])
    assert served.bought_twice([refused, brought], PODS[:4]) == [brought]


def test_a_newcomer_may_take_the_place_of_another() -> None:
    served, wish = Served(), launch("a", *PODS[:2])
    assert served.bought_twice([wish], PODS[:2]) == []
    served.note([in_full(wish)])
    assert served.bought_twice([launch("a", PODS[1])], PODS[:3]) == []


def test_surplus_alone_is_nobodys_second_purchase() -> None:
    served = Served()
    surplus = Launch(group=GroupName("spot-a"), zone=Zone("a"), count=2, units=2, surplus=2)
    assert served.bought_twice([surplus], PODS[:1]) == []
