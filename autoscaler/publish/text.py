"""The Decision for people: what `simulate` prints and the demo's timeline quotes.

Compact: pods with the same fate share a paragraph, long lists say how many
more there are. Deterministic; nothing parses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from autoscaler.core.decision import (
    Decision,
    Drain,
    Launch,
    LaunchResult,
    Objection,
    Outcome,
    Removal,
    Spare,
    Verdict,
    Why,
)
from autoscaler.core.model import PodKey
from autoscaler.publish.document import format_time
from autoscaler.publish.reasons import groups_by_objection, identity, join_some
from autoscaler.publish.report import Answer, answer_of

_PODS = 4
_GROUPS = 6
_REFUSALS = 3
_PASSED_OVER = 5


def render_text(decision: Decision) -> str:
    """The whole decision, ending with a newline."""
    sections = [
        ("launch", [_told_launch(launch, decision) for launch in _in_order(decision.launches)]),
        ("drain", [drain_line(drain) for drain in decision.drains]),
        ("terminate", sorted(removal_line(removal) for removal in decision.removals)),
        *((str(outcome), list(_fates(decision, outcome))) for outcome in Outcome if outcome is not Outcome.LAUNCH),
        ("kept", list(_kept(decision))),
        ("spare", [spare_line(spare) for spare in decision.spare]),
    ]
    lines = [f"{format_time(decision.at)}  {headline(decision)}"]
    for title, entries in sections:
        if entries:
            lines += ["", title, *(f"  {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def headline(decision: Decision) -> str:
    """One line: new nodes, pods by outcome, what is removed."""
    nodes = sum(launch.count for launch in decision.launches)
    fates = Counter(verdict.outcome for verdict in decision.verdicts.values())
    pods = ", ".join(f"{fates[outcome]} {outcome}" for outcome in Outcome if fates[outcome])
    parts = [
        _count(nodes, "new node") if nodes else "",
        f"pods: {pods}" if pods else "",
        _count(len(decision.drains), "drain") if decision.drains else "",
        _count(len(decision.removals), "termination") if decision.removals else "",
    ]
    return "; ".join(part for part in parts if part) or "nothing to do"


def launch_line(launch: Launch) -> str:
    """`2 x spot-a in eu-west-3a for shop/web-1, shop/web-2`."""
    line = f"{launch.count} x {launch.group} in {launch.zone or 'any zone'}"
    if launch.cause != "Pending":
        line += f", {launch.cause}"
    if launch.surplus:
        line += f" ({launch.surplus} more than needed)"
    return f"{line} for {_some_pods(launch.pods)}" if launch.pods else line


def result_line(result: LaunchResult) -> str:
    """What AWS said to a launch, with each different refusal."""
    launch = result.launch
    asked = f"{launch.group} in {launch.zone or 'any zone'}"
    spent = f"({result.seconds * 1000:.0f} ms)"
    match answer_of(result):
        case Answer.LAUNCHED:
            return f"{asked}: {_count(len(result.launched), 'node')} launched {spent}"
        case Answer.REQUESTED:
            return f"{asked}: {_count(launch.count, 'node')} requested {spent}"
    refusals = sorted({f"{refusal.kind} {refusal.code}".strip() for refusal in result.refusals})
    return f"{asked}: {len(result.launched)} of {launch.count} launched, {join_some(refusals, _REFUSALS)} {spent}"


def drain_line(drain: Drain) -> str:
    moved = f", moving {_some_pods(drain.pods)}" if drain.pods else ""
    return f"{drain.node}: {drain.cause}{moved}"


def spare_line(spare: Spare) -> str:
    """`headroom[0]: 3 wanted, 1 present, 1 bought; 1 is not to be had: TooSmall (spot-a, spot-b)`."""
    line = f"{spare.name}: {spare.wanted} wanted, {spare.present} present, {spare.bought} bought"
    if not spare.missing:
        return line
    reasons = Counter[Why]()
    groups: dict[Why, list[str]] = {}
    for group, objections in spare.objections.items():
        for why in dict.fromkeys(one.why for one in objections):
            reasons[why] += 1
            groups.setdefault(why, []).append(group)
    told = ", ".join(f"{why} ({join_some(groups[why], _GROUPS)})" for why, _ in reasons.most_common())
    return f"{line}; {spare.missing} not to be had: {told or 'there is no group'}"


def removal_line(removal: Removal) -> str:
    return f"{removal.instance} of {removal.group}: {removal.reason}"


def _told_launch(launch: Launch, decision: Decision) -> str:
    """The launch, why its pods did not go elsewhere, and what they would rather have; a lower tier needs no reason."""
    verdicts = {identity(one): one for key in launch.pods if (one := decision.verdicts.get(key)) is not None}
    told: dict[str, None] = {}
    for verdict in verdicts.values():
        for objection, groups in groups_by_objection(verdict):
            if objection.why is not Why.LOWER_TIER:
                detail = f" ({objection.detail})" if objection.detail else ""
                told[f"      not {join_some(groups, _GROUPS)}: {objection.why}{detail}"] = None
    told.update(dict.fromkeys(f"      {line}" for verdict in verdicts.values() for line in _unmet(verdict)))
    shown = list(told)[:_PASSED_OVER]
    more = [f"      and {len(told) - len(shown)} more reasons"] if len(told) > len(shown) else []
    return "\n".join([launch_line(launch), *shown, *more])


def _in_order(launches: Iterable[Launch]) -> list[Launch]:
    return sorted(launches, key=lambda one: (one.group, one.zone or "", one.cause, one.pods))


def _fates(decision: Decision, outcome: Outcome) -> Iterator[str]:
    """One paragraph for all pods with the same verdict, in order of their first pod."""
    alike: dict[str, list[PodKey]] = {}
    told: dict[object, str] = {}
    for key, verdict in sorted(decision.verdicts.items()):
        if verdict.outcome is not outcome:
            continue
        kind = identity(verdict)
        reasons = told.get(kind)
        if reasons is None:
            reasons = told[kind] = "\n".join(f"      {line}" for line in _reasons(verdict))
        alike.setdefault(reasons, []).append(key)
    for reasons, keys in alike.items():
        yield f"{_some_pods(keys)}\n{reasons}" if reasons else _some_pods(keys)


def _reasons(verdict: Verdict) -> Iterator[str]:
    if verdict.node is not None:
        yield f"on {verdict.node}"
    yield from sorted(str(reason) for reason in verdict.reasons)
    if verdict.outcome in (Outcome.WAITING, Outcome.UNSCHEDULABLE):
        for objection, groups in groups_by_objection(verdict):
            detail = f" ({objection.detail})" if objection.detail else ""
            yield f"{objection.why}: {join_some(groups, _GROUPS)}{detail}"
    yield from _unmet(verdict)


def _unmet(verdict: Verdict) -> list[str]:
    return sorted(f"not honoured: {objection}" for objection in verdict.unmet)


def _kept(decision: Decision) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for node, objections in sorted(decision.kept.items()):
        alike.setdefault(_join(objections), []).append(node)
    for reasons, nodes in alike.items():
        yield f"{join_some(nodes, _PODS)}: {reasons}"


def _join(objections: Iterable[Objection]) -> str:
    return "; ".join(sorted(str(objection) for objection in objections))


def _some_pods(keys: Iterable[PodKey]) -> str:
    return join_some([str(key) for key in sorted(keys)], _PODS)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
