"""Resources as an algebra: a resource that is not named is none of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.resources import NO_RESOURCES, Resources

amounts = st.dictionaries(st.sampled_from(["cpu", "memory", "pods", "gpu"]), st.integers(-50, 50)).map(Resources)
law = settings(max_examples=100, derandomize=True)


@law
@given(amounts, amounts)
def test_what_is_added_can_be_taken_away(left: Resources, right: Resources) -> None:
    back = left + right - right
    assert all(back[name] == left[name] for name in {*left, *right})


@law
@given(amounts, amounts)
def test_the_least_fits_in_both(left: Resources, right: Resources) -> None:
    least = left.least(right)
    for name in {*left, *right}:
        assert least[name] == min(left[name], right[name])


@law
@given(amounts, amounts)
def test_fits_means_that_nothing_wanted_exceeds_the_room(wanted: Resources, room: Resources) -> None:
    assert wanted.fits_in(room) == all(amount <= 0 or amount <= room[name] for name, amount in wanted.items())


@law
@given(amounts)
def test_equal_amounts_are_equal_whatever_the_order(one: Resources) -> None:
    other = Resources(dict(reversed(list(one.items()))))
    assert one == other
    assert hash(one) == hash(other)
    assert list(one) == sorted(one)


def test_nothing_fits_everywhere() -> None:
    assert NO_RESOURCES.fits_in(NO_RESOURCES)
    assert not Resources({"gpu": 1}).fits_in(NO_RESOURCES)
    assert "gpu" not in NO_RESOURCES
    assert NO_RESOURCES["gpu"] == 0


def test_an_input_that_changes_later_changes_nothing() -> None:
    source = {"cpu": 1}
    one = Resources(source)
    source["cpu"] = 2
    assert one["cpu"] == 1


def test_replaced_amounts_stand_as_they_are() -> None:
    assert Resources({"cpu": 1, "pods": 2}).with_amounts({"cpu": 5, "gpu": 1}) == Resources(
        {"cpu": 5, "gpu": 1, "pods": 2}
    )


def test_says_what_it_holds() -> None:
    assert str(Resources({"memory": 2 * 2**30, "cpu": 1500})) == "1500m cpu, 2Gi memory"
