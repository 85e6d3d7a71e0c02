"""One wave and one pass, turned into figures for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta

from autoscaler.core.decision import Cause, Decision, LaunchResult, Outcome, RefusalKind, Verdict, Why
from autoscaler.core.model import GroupName, Node, NodeGroup, PodKey, Uid
from autoscaler.core.snapshot import Snapshot
from autoscaler.errors import AwsError, KubernetesError
from autoscaler.metrics import Metrics, series
from autoscaler.publish.reasons import identity
from autoscaler.publish.report import Answer, PassReport, WaveReport, answer_of, nodes_of

_FAILURES = {
    RefusalKind.NO_CAPACITY: "placeholder-cannot-be-fulfilled",  # as cluster-autoscaler calls it on AWS
    RefusalKind.CONTENTION: "apiCallError",
    RefusalKind.THROTTLED: "apiCallError",
    RefusalKind.NO_ANSWER: "apiCallError",
}
_LONGEST_PAUSE = 600.0  # seconds
_HELPLESS = (Outcome.LAUNCH, Outcome.WAITING, Outcome.UNSCHEDULABLE)  # no place on nodes that exist or come
_SERVED = (Outcome.LAUNCH, Outcome.FITS_EXISTING, Outcome.FITS_UPCOMING)


def count_wave(metrics: Metrics, report: WaveReport) -> None:
    """Count what was asked of AWS and what came."""
    groups = {group.name: group for group in report.snapshot.groups}
    depths = _depths(report.snapshot)
    for result in report.results:
        group = groups.get(result.launch.group)
        if group is not None:
            _count_result(metrics, result, group)
            if nodes_of(result) and result.launch.group in depths:
                metrics.observe(series.FALLBACK_DEPTH, depths[result.launch.group])
    if any(nodes_of(result) for result in report.results):
        metrics.put(series.LAST_ACTIVITY, report.decision.at.timestamp(), activity="scaleUp")


def count_removed(metrics: Metrics, reason: str) -> None:
    """Count an instance that was terminated; `reason` is the Removal's."""
    if reason == "NoNode":
        metrics.add(series.UNREGISTERED_REMOVED)
        metrics.add(series.FAILED_NODES, reason="timeout")
        metrics.add(series.FAILED_SCALE_UPS, reason="timeout", gpu_resource_name="")
    elif reason == "Surplus":
        metrics.add(series.SURPLUS_RETURNED)


def count_reactions(metrics: Metrics, report: WaveReport, measured: Collection[Uid]) -> set[Uid]:
    """Observe how long pods waited for their first launch request; return whose, to be left out later.

    A request is as old as its answer less the time that this took.
    """
    asked = {
        key: result.at - timedelta(seconds=result.seconds) for result in report.results for key in result.launch.pods
    }
    found = set()
    for pod in report.snapshot.pods if asked else ():
        if pod.node is None and pod.unschedulable_since is not None and pod.uid not in measured and pod.key in asked:
            waited = (asked[pod.key] - pod.unschedulable_since).total_seconds()
            metrics.observe(series.UNSCHEDULABLE_TO_LAUNCH, max(waited, 0.0))
            found.add(pod.uid)
    return found


def count_pass(metrics: Metrics, report: PassReport) -> None:
    """Say how things stand after a pass, and how long it took."""
    snapshot, decision = report.last.snapshot, report.last.decision
    metrics.keep_groups({group.name for group in snapshot.groups})
    metrics.add(series.PASSES, result="done")
    metrics.put(series.DRY_RUN, report.dry_run)
    for phase, seconds in report.phases.items():
        metrics.observe(series.PHASE_SECONDS, seconds, phase=phase)
    _tell_functions(metrics, report.phases)
    metrics.put(series.SAFE_TO_AUTOSCALE, 1)
    for activity in ("main", "mainSuccessful", "autoscaling"):
        metrics.put(series.LAST_ACTIVITY, decision.at.timestamp(), activity=activity)
    if report.waves:
        metrics.observe(series.PASS_WAVES, report.waves)
    if report.reaction is not None:
        metrics.observe(series.WAKE_TO_LAUNCH, report.reaction)
    _tell_pods(metrics, decision.verdicts)
    _tell_spare(metrics, decision)
    _tell_scale_down(metrics, decision)
    _tell_cluster(metrics, snapshot)
    _tell_groups(metrics, snapshot)


def count_node_time(metrics: Metrics, snapshot: Snapshot, since: datetime | None) -> None:
    """Add the time since the last pass for each node of ours; a gap longer than any pause of the loop is left out."""
    passed = (snapshot.at - since).total_seconds() if since is not None else 0.0
    if not 0 < passed <= _LONGEST_PAUSE:
        return
    instances = {one.id: group.market for group in snapshot.groups for one in group.live}
    markets = Counter(instances[node.instance_id] for node in snapshot.nodes if node.instance_id in instances)
    for market, nodes in markets.items():
        metrics.add(series.NODE_SECONDS, nodes * passed, market=market)


def count_blind(metrics: Metrics) -> None:
    """Count a pass that was not made, since the world cannot be seen whole."""
    metrics.add(series.PASSES, result="not-ready")
    metrics.put(series.SAFE_TO_AUTOSCALE, 0)


def count_error(metrics: Metrics, error: Exception) -> None:
    """Count a failed pass by cluster-autoscaler's types."""
    if isinstance(error, KubernetesError):
        kind = "apiCallError"
    elif isinstance(error, AwsError):
        kind = "cloudProviderError"
    else:
        kind = "internalError"
    metrics.add(series.ERRORS, type=kind)
    metrics.add(series.PASSES, result="failed")


def _count_result(metrics: Metrics, result: LaunchResult, group: NodeGroup) -> None:
    answer, nodes = answer_of(result), nodes_of(result)
    kinds = sorted(refusal.kind for refusal in result.refusals)
    error = "" if answer is Answer.LAUNCHED or not kinds else kinds[0]
    metrics.add(series.LAUNCH_CALLS, node_group=group.name, result=answer, error=error)
    metrics.observe(series.LAUNCH_SECONDS, result.seconds, method=result.launch.method)
    gpu = gpu_of(group)
    if nodes:
        metrics.add(series.SCALED_UP_NODES, nodes, gpu_resource_name=gpu)
        metrics.add(series.LAUNCHED_NODES, nodes, market=group.market)
    short = result.launch.count - nodes
    if error and error != RefusalKind.NO_LAUNCH_API and short > 0:
        reason = _FAILURES.get(RefusalKind(error), "cloudProviderError")
        metrics.add(series.FAILED_SCALE_UPS, reason=reason, gpu_resource_name=gpu)
        metrics.add(series.FAILED_NODES, short, reason=reason)


def gpu_of(group: NodeGroup) -> str:
    """The GPU resource that the group's nodes have; empty without one."""
    known = [name for label in series.SCALED_UP_NODES.labels for name in label.values or () if name]
    offered = [group.tag_resources] if group.tag_resources is not None else []
    offered += [shape.capacity for shape in group.shapes]
    return next((name for amounts in offered for name in known if amounts[name]), "")


def _depths(snapshot: Snapshot) -> Mapping[GroupName, int]:
    """How many tiers below the highest each group is."""
    assigned = snapshot.policy.tiers.assign(group.name for group in snapshot.groups)
    tiers = sorted({priority for priority in assigned.values() if priority is not None}, reverse=True)
    return {name: tiers.index(priority) for name, priority in assigned.items() if priority is not None}


def _tell_functions(metrics: Metrics, phases: Mapping[str, float]) -> None:
    """The phases under the names that cluster-autoscaler's dashboards look for."""
    metrics.observe(series.FUNCTION_SECONDS, sum(phases.values()), function="main")
    if "observe" in phases:
        metrics.observe(series.FUNCTION_SECONDS, phases["observe"], function="updateClusterState")
    if "plan" in phases:
        metrics.observe(series.FUNCTION_SECONDS, phases["plan"] + phases.get("act", 0.0), function="scaleUp")


def _tell_pods(metrics: Metrics, verdicts: Mapping[PodKey, Verdict]) -> None:
    """Pods by fate and by reason; each limit that keeps one waiting counts once a pass."""
    kinds = {identity(verdict): verdict for verdict in verdicts.values()}
    numbers = Counter(identity(verdict) for verdict in verdicts.values())
    outcomes: Counter[Outcome] = Counter()
    objections: Counter[str] = Counter()
    unmet: Counter[str] = Counter()
    waiting: set[Why] = set()
    for kind, verdict in kinds.items():
        outcomes[verdict.outcome] += numbers[kind]
        unmet.update(dict.fromkeys({str(found.why) for found in verdict.unmet}, numbers[kind]))
        if verdict.outcome in _SERVED:
            continue
        reasons = {*_whys(verdict)}
        objections.update(dict.fromkeys(reasons, numbers[kind]))
        if verdict.outcome is Outcome.WAITING:
            waiting |= reasons
    metrics.replace(series.PODS, {str(outcome): number for outcome, number in outcomes.items()})
    metrics.replace(series.OBJECTIONS, objections)
    metrics.replace(series.UNMET_PREFERENCES, unmet)
    pending = {
        "unschedulable": sum(outcomes[outcome] for outcome in _HELPLESS),
        "scheduler_unprocessed": objections[Why.NOT_YET_JUDGED],
    }
    metrics.replace(series.UNSCHEDULABLE_PODS, pending)
    for why, reason in ((Why.CORES_TOTAL, "CpuResourceLimit"), (Why.MEMORY_TOTAL, "MemoryResourceLimit")):
        if why in waiting:
            metrics.add(series.SKIPPED_SCALE_UPS, direction="up", reason=reason)


def _tell_spare(metrics: Metrics, decision: Decision) -> None:
    for cause in (Cause.HEADROOM, Cause.FLOOR):
        entries = [one for one in decision.spare if one.cause is cause]
        for state in ("wanted", "present", "bought", "missing"):
            metrics.put(series.SPARE_ROOM, sum(getattr(one, state) for one in entries), cause=cause, state=state)


def _tell_scale_down(metrics: Metrics, decision: Decision) -> None:
    reasons = Counter(why for objections in decision.kept.values() for why in {one.why for one in objections})
    metrics.replace(series.UNREMOVABLE_NODES, {str(why): number for why, number in reasons.items()})
    unneeded = decision.scale_down.unneeded if decision.scale_down is not None else ()
    metrics.put(series.UNNEEDED_NODES, len(unneeded))
    metrics.put(series.IN_COOLDOWN, reasons[Why.COOLDOWN] > 0)


def _whys(verdict: Verdict) -> Iterator[Why]:
    for raised in (*verdict.objections.values(), verdict.reasons):
        for objection in raised:
            yield objection.why


def _tell_cluster(metrics: Metrics, snapshot: Snapshot) -> None:
    policy = snapshot.policy
    states = Counter(_state_of(node, snapshot) for node in snapshot.nodes)
    ready = {node.instance_id: node.ready or node.was_ready for node in snapshot.nodes if node.instance_id is not None}
    upcoming = 0
    for group in snapshot.groups:
        for instance in group.live:
            upcoming += not ready.get(instance.id, False)
            if instance.id not in ready:
                age = snapshot.at - instance.since if instance.since is not None else timedelta(0)
                states["longUnregistered" if age >= policy.max_node_provision_time else "unregistered"] += 1
    metrics.replace(series.NODES, states)
    metrics.put(series.UPCOMING_NODES, upcoming)
    metrics.replace(series.NODE_GROUPS, {"autoscaled": len(snapshot.groups)})
    metrics.put(series.CORES, sum(node.capacity["cpu"] for node in snapshot.nodes) / 1000)
    metrics.put(series.MEMORY, sum(node.capacity["memory"] for node in snapshot.nodes))
    metrics.replace(series.CORES_LIMITS, {"maximum": policy.max_cores_total})
    metrics.replace(series.MEMORY_LIMITS, {"maximum": policy.max_memory_total})
    sizes = sum(group.max_size for group in snapshot.groups)
    metrics.put(series.MAX_NODES, min(sizes, policy.max_nodes_total) if policy.max_nodes_total else sizes)
    metrics.replace(series.DRY_POOLS, Counter(pool.market for pool in snapshot.memory.dry_pools(snapshot.at)))


def _state_of(node: Node, snapshot: Snapshot) -> str:
    if node.ready:
        return "ready"
    young = snapshot.at - node.created < snapshot.policy.max_node_startup_time
    return "notStarted" if young else "unready"


def _tell_groups(metrics: Metrics, snapshot: Snapshot) -> None:
    if not metrics.per_group:
        return
    groups = snapshot.groups
    metrics.replace(series.GROUP_MIN, {group.name: group.min_size for group in groups})
    metrics.replace(series.GROUP_MAX, {group.name: group.max_size for group in groups})
    metrics.replace(series.GROUP_TARGET, {group.name: group.desired for group in groups})
    metrics.replace(series.GROUP_HEALTHY, {group.name: _can_launch(group) for group in groups})
    metrics.replace(series.GROUP_BACKOFF, {group.name: _is_closed(group, snapshot) for group in groups})


def _can_launch(group: NodeGroup) -> bool:
    has_shape = bool(group.shapes or group.tag_resources or group.instances)
    return has_shape and not group.is_being_deleted and "Launch" not in group.suspended


def _is_closed(group: NodeGroup, snapshot: Snapshot) -> bool:
    """Every zone of the group objects to being asked."""
    zones = group.zones or (None,)
    return all(snapshot.memory.availability(group, zone, snapshot.at).objections for zone in zones)
