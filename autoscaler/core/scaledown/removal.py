"""The nodes that go in this pass, and why every other one stays: scale-down's only entry.

Each node bids for a cause; free bids are tried in order of precedence, the
rest only to learn whether they are unneeded. What a node that goes uses up,
places, PDBs, minimum sizes, budgets, is gone for the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from autoscaler.core.decision import Cause, Drain, DrainCause, Objection, Verdict, Why
from autoscaler.core.layout import Layout
from autoscaler.core.model import GroupName, Market, NodeName, Pod, PodKey, in_key_order, keys_of
from autoscaler.core.scaledown.allowance import Allowance, Minima, Totals, spare_units
from autoscaler.core.scaledown.bids import Bid, Bidding
from autoscaler.core.scaledown.budgets import PdbLedger
from autoscaler.core.scaledown.cases import Case, Roster, take_cases
from autoscaler.core.scaledown.drainability import Fate, Owners, Rulebook
from autoscaler.core.scaledown.gates import read_gates
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaledown.returns import Exchange, Step, sources
from autoscaler.core.scaledown.stage import Stage, going_order, set_stage
from autoscaler.core.scaledown.victims import Balance, by_balance
from autoscaler.core.scaleup.offers import tiers_of
from autoscaler.core.scaleup.waves import Order
from autoscaler.core.scheduling.fit import NodeView

PRECEDENCE = (DrainCause.UNREADY, DrainCause.EMPTY, DrainCause.UNNEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removals:
    """What scale-down wants in one pass. `orders` are replacements, `keys` the pods that they are for, by uid."""

    drains: tuple[Drain, ...] = ()
    kept: Mapping[NodeName, tuple[Objection, ...]] = field(default_factory=dict)
    orders: tuple[tuple[Order, Cause], ...] = ()
    shunned: tuple[NodeName, ...] = ()
    memory: ScaleDownMemory | None = None
    next_at: datetime | None = None


def choose_removals(layout: Layout, verdicts: Mapping[PodKey, Verdict]) -> Removals:
    """Decide which nodes go; `verdicts` are scale-up's. Marks the upcoming nodes that returns wait for as used."""
    snapshot, index = layout.shelves.snapshot, layout.shelves.index
    policy = snapshot.policy.scale_down
    book = Rulebook(
        at=snapshot.at,
        policy=policy,
        owners=Owners(snapshot.workloads, snapshot.daemonsets),
        pdbs=PdbLedger(snapshot.pdbs),
        cutoff=snapshot.policy.expendable_cutoff,
    )
    tiers = tiers_of(snapshot)
    markets = sources(snapshot, tiers)
    roster = take_cases(snapshot, index, book, [name for name, one in markets.items() if one is Market.ON_DEMAND])
    gates = read_gates(snapshot, index, verdicts)
    bidding = Bidding(snapshot, gates, layout.menus.tuning_of, next_at=gates.next_at)
    for case in roster.cases:
        bidding.offer(case)
    is_spare = bool(layout.virtual.pods)
    hopeful = [one for one in roster.cases if _may_hope(one, markets, is_spare=is_spare) and bidding.may_return(one)]
    round_ = Round(layout=layout, book=book, roster=roster, bidding=bidding, markets=markets)
    if bidding.bids or hopeful:
        able = {case.name: case for case in (*hopeful, *(bid.case for bid in bidding.bids))}
        order = going_order(able.values(), tiers, [case.name for case in hopeful])
        round_.play(set_stage(layout, roster, book, order), hopeful)
    return round_.result()


def _may_hope(case: Case, markets: Mapping[GroupName, Market], *, is_spare: bool) -> bool:
    """Whether the node could return to spot by what it is; `is_spare`: some room is kept spare, perhaps on it."""
    if markets.get(case.group.name) is not Market.ON_DEMAND or case.is_unready or case.urgent:
        return False
    return bool(case.moving) or is_spare


@dataclass(slots=True, kw_only=True)
class Round:
    """One pass over all bids."""

    layout: Layout
    book: Rulebook
    roster: Roster
    bidding: Bidding
    markets: Mapping[GroupName, Market]
    balance: Balance = field(default_factory=Balance)
    drains: list[Drain] = field(default_factory=list)
    unneeded: dict[NodeName, datetime] = field(default_factory=dict)
    waiting: dict[NodeName, datetime] = field(default_factory=dict)
    returnable: set[NodeName] = field(default_factory=set)
    orders: list[tuple[Order, Cause]] = field(default_factory=list)

    def play(self, stage: Stage, hopeful: Sequence[Case]) -> None:
        """Try the bids: those for the return early enough to keep their places, the causes in order, then the held."""
        exchange = self._exchange(stage)
        for case in hopeful:
            unwilling = exchange.unwilling(case)
            if (unwilling or exchange.can_host(case)) and self.bidding.offer_return(case, unwilling=unwilling):
                self.returnable.add(case.name)
        trial = Trying(round_=self, stage=stage, exchange=exchange)
        trial.run()
        self.orders = [(order, cause) for (_, cause), order in exchange.orders.items()]
        for mine, theirs in zip(stage.stock.upcoming, self.layout.stock.upcoming, strict=True):
            theirs.is_used = theirs.is_used or mine.is_used

    def _exchange(self, stage: Stage) -> Exchange:
        buyer, snapshot = self.layout.buyer, self.bidding.snapshot
        zones = {family.name: family.nodes for family in buyer.families}
        return Exchange(snapshot, stage, buyer.caps, may_buy=not snapshot.wave.width, _zones=zones)

    def keep(self, case: Case, reasons: Iterable[Objection]) -> None:
        """Note why a node stays."""
        known = self.bidding.against.setdefault(case.name, [])
        known += [one for one in reasons if one not in known]

    def result(self) -> Removals:
        """Sum up."""
        snapshot = self.bidding.snapshot
        gone = {drain.node for drain in self.drains}
        kept = dict(self.roster.kept)
        for case in self.roster.cases:
            if case.name in gone:
                continue
            if case.name in self.waiting:
                kept[case.name] = (Objection(Why.WAITING_FOR_REPLACEMENT),)
                continue
            reasons = self.bidding.against[case.name]
            if self.markets.get(case.group.name) is Market.UNKNOWN:
                reasons = [*reasons, Objection(Why.MARKET_UNKNOWN, f"{case.group.name}: neither policy nor template")]
            kept[case.name] = tuple(reasons)
        known = snapshot.scale_down
        memory = None if known is None else replace(known, unneeded=self.unneeded, waiting=self.waiting)
        return Removals(
            drains=tuple(self.drains),
            kept=kept,
            orders=tuple(self.orders),
            shunned=tuple(sorted((self.unneeded.keys() | self.returnable) - gone)),
            memory=memory,
            next_at=self.bidding.next_at,
        )


@dataclass(slots=True, kw_only=True)
class Trying:
    """Tries bids on one stage."""

    round_: Round
    stage: Stage
    exchange: Exchange
    allowance: Allowance = field(init=False)
    minima: Minima = field(init=False)
    reserved: dict[NodeName, str] = field(default_factory=dict)
    later: list[Case] = field(default_factory=list)  # at a limit now

    def __post_init__(self) -> None:
        layout, roster = self.round_.layout, self.round_.roster
        self.round_.balance = Balance.of(layout.buyer.families)
        self.allowance, self.minima = _limits(layout, roster, self.round_.book)

    def run(self) -> None:
        bids = self.round_.bidding.bids
        free = [bid for bid in bids if not bid.holds]
        held = [bid for bid in bids if bid.holds]
        waiting = self._waiting()
        self._try_returns([bid for bid in free if bid.case.name in waiting])
        self._reserve([bid for bid in free if bid.cause is DrainCause.RETURN_TO_SPOT])
        for cause in PRECEDENCE:
            for case in self._in_order([bid.case for bid in free if bid.cause is cause]):
                self._try(case, cause)
        self._try_returns([bid for bid in free if bid.case.name not in waiting])
        self._learn(held)
        rank = {cause: number for number, cause in enumerate((*PRECEDENCE, DrainCause.RETURN_TO_SPOT))}
        self.round_.drains.sort(key=lambda drain: rank[drain.cause])

    def _waiting(self) -> Mapping[NodeName, datetime]:
        memory = self.round_.bidding.snapshot.scale_down
        return memory.waiting if memory is not None else {}

    def _in_order(self, cases: Sequence[Case]) -> Iterable[Case]:
        return by_balance(cases, self.round_.balance, self.stage.tiers, lambda _: 0)

    def _try(self, case: Case, cause: DrainCause) -> None:
        """Let a node go if nothing shared stands in the way."""
        if case.name in self.stage.yard.closed:
            return  # it waits for its replacement
        taken = self._is_taken(case)
        limits = () if taken else (*self.minima.objections(case), *self.allowance.objections(case))
        if limits:
            self.round_.keep(case, limits)
            self.later.append(case)
            return
        reasons = taken or self._pdb_objections(case)
        if not reasons and case.urgent and case.moving:
            self._exchange_for(case, cause)
            return
        reasons = reasons or self._move(case, with_air=cause is not DrainCause.UNREADY)
        if reasons:
            self.round_.keep(case, reasons)
            return
        self._remember(case)
        self._go(case, cause)

    def _exchange_for(self, case: Case, cause: DrainCause) -> None:
        """Drain a node whose pods have places, wait for those that are on their way, or buy them."""
        returns = cause is DrainCause.RETURN_TO_SPOT
        attempt = self.exchange.attempt(case, Cause.RETURN_TO_SPOT if returns else Cause.PENDING)
        if attempt.step is Step.NONE:
            self.round_.keep(case, attempt.reasons)
        elif attempt.step is Step.DRAIN and case.name not in self.stage.claimed:
            self._go(case, cause)
        else:
            self.allowance.take(case)
            self.minima.take(case)
            self.round_.waiting[case.name] = self._waiting().get(case.name, self.round_.bidding.snapshot.at)

    def _is_taken(self, case: Case) -> tuple[Objection, ...]:
        """Whether somebody counts on the node meanwhile."""
        if case.name in self.stage.claimed:
            return (Objection(Why.NOT_UNNEEDED_OTHER_REASON, "a pending pod is about to take its room"),)
        if case.name in self.reserved:
            return (Objection(Why.NOT_UNNEEDED_OTHER_REASON, f"{self.reserved[case.name]} returns to spot onto it"),)
        if case.name in self.stage.yard.receiving:
            return (Objection(Why.NOT_UNNEEDED_OTHER_REASON, "pods of other nodes that go have their place on it"),)
        return ()

    def _pdb_objections(self, case: Case) -> tuple[Objection, ...]:
        return self.round_.book.pdbs.objections(_evicted(case))

    def _move(self, case: Case, *, with_air: bool) -> tuple[Objection, ...]:
        node = case.node
        load = self.stage.load(case, with_air=with_air)
        view = NodeView(node.labels, node.taints, node.name)
        if self.stage.yard.move(case.name, view, load, self.stage.row):
            return ()
        unfit = next((one.refusals[0] for one, _ in load if one.refusals), None)
        detail = f": {unfit}" if unfit is not None else ""
        whose = (
            f"not all of its {len(case.moving)} pods fit" if case.moving else "the spare room on it is not to be had"
        )
        return (Objection(Why.NO_PLACE_TO_MOVE_PODS, f"{whose} elsewhere{detail}"),)

    def _go(self, case: Case, cause: DrainCause) -> None:
        self.minima.take(case)
        self.allowance.take(case)
        self.round_.book.pdbs.spend(_evicted(case))
        self.round_.balance.remove(case)
        self.round_.drains.append(Drain(node=case.name, cause=cause, pods=tuple(keys_of(in_key_order(case.moving)))))

    def _remember(self, case: Case) -> None:
        self.round_.unneeded[case.name] = self.round_.bidding.since(case)

    def _try_returns(self, bids: Iterable[Bid]) -> None:
        cases = [bid.case for bid in bids if bid.cause is DrainCause.RETURN_TO_SPOT]
        for case in self._in_order(cases):
            if case.name in self.stage.yard.closed:
                continue  # it goes for another cause
            limits = (*self.minima.objections(case), *self.allowance.objections(case))
            goes_on = case.name in self._waiting() and case.name in self.stage.claimed  # its replacement is bought
            taken = () if goes_on else self._is_taken(case)
            reasons = taken or limits or self._pdb_objections(case)
            if reasons:
                self.round_.keep(case, reasons)
            else:
                self._exchange_for(case, DrainCause.RETURN_TO_SPOT)

    def _reserve(self, bids: Iterable[Bid]) -> None:
        """Keep the spot nodes that returns need from going as empty: they would have to be bought again."""
        yard = self.stage.yard
        yard.begin()
        for case in self._in_order([bid.case for bid in bids]):
            if case.name in yard.closed or self.minima.objections(case) or self._pdb_objections(case):
                continue
            for name in self.exchange.places_now(case):
                self.reserved.setdefault(name, case.name)
        yard.undo()

    def _learn(self, held: Sequence[Bid]) -> None:
        """Find out which of the held, and of those at a limit, are unneeded all the same."""
        for case in self.later:
            self._learn_one(case)
        for bid in held:
            self.round_.keep(bid.case, bid.holds)
        for cause in PRECEDENCE:
            for case in self._in_order([bid.case for bid in held if bid.cause is cause]):
                self._learn_one(case)

    def _learn_one(self, case: Case) -> None:
        if case.name in self.stage.yard.closed or case.name in self.round_.unneeded:
            return
        reasons = self._is_taken(case) or self._pdb_objections(case) or self._move(case, with_air=True)
        if reasons:
            self.round_.keep(case, reasons)
        else:
            self._remember(case)


def _evicted(case: Case) -> list[Pod]:
    """The pods that an eviction is asked for: those that are terminating already need none."""
    return [pod for pod in case.moving if pod.deleted_at is None]


def _limits(layout: Layout, roster: Roster, book: Rulebook) -> tuple[Allowance, Minima]:
    """What may still go, after what is going already."""
    snapshot, index = layout.shelves.snapshot, layout.shelves.index
    policy = snapshot.policy.scale_down
    zones: Counter[str] = Counter(node.zone for node in index.nodes.values() if node.zone is not None)
    groups: Counter[GroupName] = Counter(index.group_of_node.values())
    namespaces: Counter[str] = Counter()
    if policy.budget is not None and policy.budget.per_namespace is not None:
        namespaces.update(pod.namespace for pod in snapshot.pods if pod.node is not None and not pod.is_finished)
    totals = Totals(nodes=len(index.nodes), groups=groups, zones=zones, namespaces=namespaces)
    allowance = Allowance(policy=policy, totals=totals)
    minima = Minima(cores=-policy.min_cores_total * 1000, memory=-policy.min_memory_total)
    units: Counter[GroupName] = Counter(layout.stock.leaving)
    for name, node in index.nodes.items():
        if name not in roster.going:
            minima.cores += node.capacity["cpu"]
            minima.memory += node.capacity["memory"]
            continue
        moving = [pod for pod in roster.pods.get(name, ()) if book.judge(pod).fate is Fate.MOVES]
        group = roster.going[name]
        allowance.take_going(group, node.zone, moving)
        book.pdbs.spend(pod for pod in moving if pod.deleted_at is None)
        instance = index.instance_of(node)
        if group is not None and instance is not None and instance.is_live:
            units[group.name] += instance.weight
    minima.units = spare_units(index.groups.values(), units)
    return allowance, minima
