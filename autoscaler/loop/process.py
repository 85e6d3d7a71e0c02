"""The process behind `autoscaler run`: everything is wired up here, and only here.

The page with health and figures comes up first, so that a start that hangs
can be seen. Then the caches and the groups are read, and the loop runs until
SIGTERM or SIGINT.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from random import SystemRandom

import anyio
import structlog
from anyio.abc import TaskGroup

from autoscaler import clock, logs
from autoscaler.aws.client import Aws
from autoscaler.aws.client import connect as connect_aws
from autoscaler.aws.cloud_config import settings_of
from autoscaler.aws.discovery import Selection
from autoscaler.aws.groups import GroupSource
from autoscaler.aws.refusals import classify
from autoscaler.config import Config, ConfigError
from autoscaler.core.decision import LaunchResult
from autoscaler.core.model import GroupName, LaunchMethod
from autoscaler.core.scaledown.drainability import COUNTED
from autoscaler.core.schedulers import Schedulers
from autoscaler.errors import AutoscalerError
from autoscaler.kubernetes.cache import Pace as WatchPace
from autoscaler.kubernetes.cluster import PRIORITY_CONFIG_MAP, ClusterCache, ClusterSettings
from autoscaler.kubernetes.draining.engine import DrainTools
from autoscaler.kubernetes.draining.nodes import NodeWriter
from autoscaler.kubernetes.draining.settings import DrainSettings
from autoscaler.kubernetes.draining.shunning import Shunning
from autoscaler.kubernetes.draining.volumes import Volumes
from autoscaler.kubernetes.events import EventRecorder
from autoscaler.kubernetes.lease import Elector, LeaseSettings, own_identity
from autoscaler.kubernetes.scheduler_config import read_scheduler_config
from autoscaler.kubernetes.state import SavedState, StateStore
from autoscaler.kubernetes.status_map import StatusMap
from autoscaler.kubernetes.transport import Api, KubernetesSettings
from autoscaler.kubernetes.transport import connect as connect_kubernetes
from autoscaler.loop.board import Board
from autoscaler.loop.breakers import Breakers
from autoscaler.loop.controller import Controller, Gauges
from autoscaler.loop.drains import Drainer, DrainParts
from autoscaler.loop.follow import Follower
from autoscaler.loop.hands import AwsHands
from autoscaler.loop.keeper import GroupKeeper, Upkeep
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.pace import Pace, Rhythm
from autoscaler.loop.passes import Pass, Senses
from autoscaler.loop.recheck import Recheck
from autoscaler.loop.sight import Sight
from autoscaler.loop.voice import Speaker
from autoscaler.metrics import Metrics, series
from autoscaler.publish.calls import CacheState, count_aws_call, count_caches, count_events, count_kubernetes_call
from autoscaler.publish.drains import DrainTeller
from autoscaler.publish.events import Anchors, ObjectRef
from autoscaler.publish.publisher import Publisher
from autoscaler.web import Health, HealthLimits, Pages, Server

log = structlog.get_logger()

GAUGES_INTERVAL = 5.0  # seconds between two looks at the caches' age and size


def run_controller(config: Config) -> int:
    """Run until a signal asks to stop; return the exit code. Raises AutoscalerError for what no retry mends."""
    if config.mode == "sidecar":
        raise ConfigError(["flag --mode: sidecar is not part of this version; run it as controller"])
    logs.configure(config.logging_format, config.verbosity)
    log.info("process.started", version=version("priority-autoscaler"), settings=config.settings())
    for warning in config.warnings:
        log.warning("config.ignored", detail=warning)
    schedulers = _read_schedulers(config)
    failures: list[AutoscalerError] = []
    try:
        anyio.run(_main, config, schedulers)
    except* AutoscalerError as group:
        failures += _leaves(group)
    for failure in failures:
        log.error("process.failed", error=str(failure))
    log.info("process.stopped", exit_code=1 if failures else 0)
    return 1 if failures else 0


def _read_schedulers(config: Config) -> Schedulers:
    """Read the schedulers' configuration, once; what it holds beyond us is told. Raises SchedulerConfigError."""
    read = read_scheduler_config(config.scheduler_config_file)
    for warning in read.warnings:
        log.warning("scheduler_config.not_judged", detail=warning)
    return read.schedulers


def _leaves(group: BaseExceptionGroup[AutoscalerError]) -> Iterator[AutoscalerError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _main(config: Config, schedulers: Schedulers) -> None:
    kubernetes = KubernetesSettings(
        kubeconfig=config.kubeconfig,
        master_url=config.kubernetes,
        qps=config.kube_client_qps,
        burst=config.kube_client_burst,
    )
    metrics = Metrics(version=version("priority-autoscaler"), per_group=config.emit_per_nodegroup_metrics)
    metrics.put(series.DRY_RUN, config.dry_run)

    breakers = Breakers()

    def observe_aws(operation: str, outcome: str, seconds: float) -> None:
        if outcome != "cancelled":
            refusal = None if outcome == "ok" else classify(outcome, "")
            count_aws_call(metrics, operation, refusal, seconds)
            breakers.note_aws(operation, refusal, clock.monotonic())

    def observe_kubernetes(path: str, status: int) -> None:
        count_kubernetes_call(metrics, path, status)
        breakers.note_kubernetes(path, status, clock.monotonic())

    async with (
        connect_kubernetes(kubernetes, observe_kubernetes) as api,
        connect_kubernetes(kubernetes) as lease_api,  # renewals must not queue behind other writes
        connect_aws(settings_of(config), observe_aws) as aws,
    ):
        process = Process(config, metrics, Links(api, lease_api, aws, breakers), schedulers)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
            await process.start(tasks)


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("process.stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return


@dataclass(frozen=True)
class _Chance:
    """Jitter from the operating system."""

    source: SystemRandom

    def __call__(self) -> float:
        return self.source.random()


@dataclass(frozen=True)
class Links:
    """Connections to the outside."""

    api: Api
    lease_api: Api
    aws: Aws
    breakers: Breakers  # what these connections have met


class Process:
    """The parts of one controller, put together."""

    def __init__(self, config: Config, metrics: Metrics, links: Links, schedulers: Schedulers) -> None:
        self._config = config
        self._schedulers = schedulers
        self._metrics = metrics
        self._jitter: Callable[[], float] = _Chance(SystemRandom())
        self.ledger = Ledger()
        self.pace = Pace(
            Rhythm(
                idle=config.batch_idle.total_seconds(),
                most=config.batch_max.total_seconds(),
                interval=config.scan_interval.total_seconds(),
            )
        )
        self._connect_kubernetes(links)
        self._connect_aws(links.aws)
        self.sight = Sight(
            cluster=self.cluster,
            groups=self.source,
            ledger=self.ledger,
            config=config,
            breakers=links.breakers,
        )
        self.health = Health(
            HealthLimits(
                max_inactivity=config.max_inactivity,
                max_failing=config.max_failing_time,
                max_startup=config.max_startup_time,
            )
        )
        self.board = self._board(links.api)
        self.speaker = self._speaker()
        self.drainer = self._drainer(links.api, self.speaker)
        senses = Senses(
            eyes=self.sight,
            voice=self.speaker,
            hands=None if config.dry_run else self.hands,
            drains=None if config.dry_run else self.drainer,
        )
        passes = Pass(senses, self.ledger, self._jitter)
        gauges = Gauges(health=self.health, metrics=metrics)
        self.controller = Controller(self.sight, passes, self.pace, self.ledger, gauges)

    def _connect_kubernetes(self, links: Links) -> None:
        config = self._config
        self.identity = own_identity()
        self.elector: Elector | None = None
        if config.leader_elect and not config.dry_run:
            self.elector = Elector(links.lease_api, LeaseSettings.read(config, self.identity, self._jitter))
        self.cluster = ClusterCache(
            links.api,
            ClusterSettings(
                pace=WatchPace(jitter=self._jitter),
                namespace=config.namespace,
                expendable_cutoff=config.expendable_pods_priority_cutoff,
                kinds_with_replicas=COUNTED if config.min_replica_count else frozenset(),
                schedulers=self._schedulers,
            ),
        )
        self.recorder = EventRecorder(links.api, duplicates=config.record_duplicated_events)
        self.store = StateStore(links.api, config.namespace, self._may_write)

    def _connect_aws(self, aws: Aws) -> None:
        config = self._config
        aws.fence(self._may_write)
        self.source = GroupSource(
            aws,
            Selection.of(config),
            reserved_profile=None if config.reserved_profile == "auto" else config.reserved_profile,
            static_types=config.aws_use_static_instance_list,
        )
        self.hands = AwsHands(aws, self.ledger, self._metrics, self._touch, self._may_write)
        upkeep = Upkeep(
            interval=config.aws_refresh_interval.total_seconds(),
            protection=config.protect_instances,
            method=None if config.launch_method == "auto" else LaunchMethod(config.launch_method),
            protect=None if config.dry_run else self.hands.protect,
            cover=None if config.dry_run else self.hands.cover,
        )
        self.keeper = GroupKeeper(self.source, self.ledger, self.pace, upkeep)
        self.follower = Follower(
            hands=self.hands,
            source=self.source,
            ledger=self.ledger,
            pace=self.pace,
            config=config,
            jitter=self._jitter,
            tell=self._tell_refused_later,
        )

    async def _tell_refused_later(self, result: LaunchResult) -> None:
        await self.speaker.failed_later(result, self.sight.look(result.at))

    def _drainer(self, api: Api, speaker: Speaker) -> Drainer:
        config = self._config
        nodes = NodeWriter(api, self._may_write)
        soft = config.max_bulk_soft_taint_count, config.max_bulk_soft_taint_time.total_seconds()
        parts = DrainParts(
            hands=self.hands,
            ledger=self.ledger,
            pace=self.pace,
            speaker=speaker,
            shunning=Shunning(nodes, *soft),
            nodes=nodes,
            pause=config.unremovable_node_recheck_timeout,
            soft_taint_ttl=config.node_deletion_candidate_ttl,
        )
        tools = DrainTools(
            api=api,
            cluster=self.cluster,
            settings=DrainSettings.read(config),
            identity=self.identity,
            may_write=self._may_write,
            is_paused=lambda: config.paused or self.cluster.operator.paused,
            objection=Recheck(self.sight).objection,
            volumes=Volumes(api),
        )
        return Drainer(parts, tools)

    def _touch(self, names: Collection[GroupName]) -> None:
        self.keeper.touch(names)

    def _may_write(self) -> bool:
        """The fence: asked immediately before every write."""
        return self.elector is None or self.elector.is_leading()

    def _board(self, api: Api) -> Board | None:
        """The status ConfigMap is the leader's: a dry run leads nothing."""
        config = self._config
        if config.dry_run or not config.write_status_configmap:
            return None
        paper = StatusMap(api, config.namespace, config.status_config_map_name, self._may_write)
        return Board(paper, self.sight, self._metrics)

    def _speaker(self) -> Speaker:
        namespace = self._config.namespace
        anchors = Anchors(
            status=ObjectRef("ConfigMap", namespace, self._config.status_config_map_name),
            priorities=ObjectRef("ConfigMap", namespace, PRIORITY_CONFIG_MAP),
        )
        return Speaker(
            metrics=self._metrics,
            publisher=Publisher(self._metrics, log, anchors),
            drains=DrainTeller(self._metrics, log, anchors),
            anchors=anchors,
            cluster=self.cluster,
            recorder=None if self._config.dry_run else self.recorder,
            board=self.board,
        )

    async def start(self, tasks: TaskGroup) -> None:
        """Start every task of the process."""
        server = Server(
            self._config.address,
            Pages(metrics=self._metrics, health=self.health, readiness=self.sight.blind),
        )
        where = await tasks.start(server.serve)
        log.info("web.listening", address=str(where))
        tasks.start_soon(self.keeper.run)
        tasks.start_soon(self._ring_for_cluster)
        tasks.start_soon(self._measure)
        if not self._config.dry_run:
            tasks.start_soon(self.recorder.run)
        tasks.start_soon(self.cluster.run)
        if self.elector is None:
            tasks.start_soon(self._lead)
        else:
            tasks.start_soon(self.elector.run, self._lead)

    async def _lead(self) -> None:
        """What only one process of the cluster does."""
        if self._config.dry_run:
            await self.controller.run()
            return
        inherited = await self.store.load()
        self.ledger.memory = inherited.capacity
        self.ledger.scale_down = inherited.scale_down
        self.source.remember(inherited.first_seen)
        async with self.store.kept(self._bequest), anyio.create_task_group() as tasks:
            tasks.start_soon(self.follower.run)
            tasks.start_soon(self.drainer.run)
            if self.board is not None:
                tasks.start_soon(self.board.run)
            await self.controller.run()

    def _bequest(self) -> SavedState:
        """What a successor should know."""
        ledger = self.ledger
        return SavedState(capacity=ledger.memory, first_seen=self.source.first_seen, scale_down=ledger.scale_down)

    async def _ring_for_cluster(self) -> None:
        seen, urgent = None, self.cluster.urgent
        while True:
            seen = await self.cluster.wait_change(seen)
            if self.cluster.urgent != urgent:
                urgent = self.cluster.urgent
                self.pace.ring()
            else:
                self.pace.murmur()

    async def _measure(self) -> None:
        """Keep the figures about caches and events current."""
        while True:
            now = anyio.current_time()
            count_caches(
                self._metrics,
                [
                    CacheState(one.kind.name, len(one.objects), one.staleness(now), one.malformed)
                    for one in self.cluster.reflectors()
                    if one.synced
                ],
            )
            events = self.recorder
            count_events(self._metrics, sent=events.written, repeated=events.suppressed, dropped=events.failed)
            await anyio.sleep(GAUGES_INTERVAL)
