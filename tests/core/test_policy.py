"""Tiers of the priority ConfigMap: Go's expressions, searched in the name."""

import pytest

from autoscaler.core.model import GroupName
from autoscaler.core.policy import PolicyError, Tiers, compile_regex


def names(*texts: str) -> list[GroupName]:
    return [GroupName(text) for text in texts]


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("spot", "blue-spot-web"), (".*-ondemand-.*", "x-ondemand-y"), ("^team-a-spot-", "team-a-spot-1"),
        ("burst-[0-9]+$", "burst-42"), ("(?i)SPOT", "spot"),
        ("(?P<kind>spot)", "spot"), ("[[:alpha:]]+-[[:digit:]]", "a-1"),
        (r"a\d\b", "a1"), ("a{2,3}", "aa"), (r"\Aspot\z", "spot"), ("(?:a|b)c", "bc"),
        ("(?i:A)b", "ab"), ("", "anything"), ("(a(?i)b|c)D", "CD"), ("x{,2}", "x{,2}"), (r"\x{41}", "A"),
        ("[a[b]", "["), ("[]x]", "]"), ("a.c$", "abc"), ("(?i)(a|b)(?-i)c", "Bc"),
        ("(?<kind>spot)", "spot"), (r"\Qa.b\E", "a.b"), ("(?U)a+", "aa"), ("(?s).", "x"), ("a|(?i)B", "b"),
    ],
)  # fmt: skip
def test_reads_go_expressions(expression: str, name: str) -> None:
    assert compile_regex(expression).search(name)


@pytest.mark.parametrize(
    ("expression", "name"),
    [("^spot$", "spot\n"), (r"\Qa.b\E", "axb"), (r"\d", "٣"), ("spot-$", "spot-a")],
)
def test_matches_no_more_than_go_does(expression: str, name: str) -> None:
    assert not compile_regex(expression).search(name)


@pytest.mark.parametrize(
    "expression",
    ["(?=spot)", "(?!spot)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P=name)", "(?>a)", "a++", "(", "[", "*a", "a**",
     "[z-a]", r"\pL", "[[:^alpha:]]", "[[:letter:]]", "a)", r"\x{110000}", "(?i-:a",
     "(?P<1a>x)", r"\Z", "(?x)a b", "a{1001}", "(?(1)a)", "(?#note)a", "(?a)x"],
)  # fmt: skip
def test_refuses_what_go_refuses(expression: str) -> None:
    with pytest.raises(PolicyError):
        compile_regex(expression)


def test_a_fault_names_the_priority_and_the_expression() -> None:
    with pytest.raises(PolicyError, match=r"priority 40.*'\('"):
        Tiers.read({50: ["spot"], 40: ["("]})


def test_the_highest_of_several_matches_counts() -> None:
    tiers = Tiers.read({10: [".*"], 40: ["spot"], -1: ["od"]})
    assert tiers.assign(names("spot-a", "od-a", "x")) == {"spot-a": 40, "od-a": 10, "x": 10}


def test_who_matches_nothing_is_left_out() -> None:
    assert Tiers.read({40: ["spot"]}).assign(names("spot-a", "od-a")) == {"spot-a": 40, "od-a": None}


def test_without_any_match_all_are_one_tier() -> None:
    assert Tiers.read({40: ["gpu"]}).assign(names("spot-a", "od-a")) == {"spot-a": 0, "od-a": 0}
    assert Tiers().assign(names("spot-a")) == {"spot-a": 0}


def test_negative_integers_are_tiers_as_well() -> None:
    tiers = Tiers.read({-5: ["od"], -1: ["spot"]})
    assert tiers.assign(names("spot-a", "od-a")) == {"spot-a": -1, "od-a": -5}
