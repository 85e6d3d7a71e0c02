"""Where a stage may stand: on the emulated Kubernetes, or on a real control plane under the chart's own rights.

AWS is the emulator in both. A place says what every controller on it is
started with, and makes worlds, each one empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from autoscaler.emulator.aws.server import AwsEmulator, EmulatorConfig
from autoscaler.emulator.kubernetes.kubelet import Delays
from autoscaler.emulator.kubernetes.server import Options
from autoscaler.emulator.world import CLUSTER_TAG, LABEL_TAG, EmulatedWorld, WorldOptions
from tests.controlplane.cluster import NAMESPACE, OURS, Cluster
from tests.controlplane.hollow import Asked, HollowCluster, world_of
from tests.controlplane.installation import installed, user_of
from tests.deploy.chart import Rendering, render

DISCOVERY = f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}"
CHART_VALUES = {"autoDiscovery": {"clusterName": "prod"}}


class Place(Protocol):
    """Flags of its controllers, tags of its groups, and its worlds."""

    flags: Sequence[str]
    tags: Mapping[str, str]

    def world(self, aws: EmulatorConfig) -> AbstractContextManager[EmulatedWorld]:
        """A world without groups and pods, for the length of the block."""


class Emulator:
    """Kubernetes is the emulator, too: a world of its own for each test, as many at a time as wanted."""

    flags = (DISCOVERY,)
    tags: Mapping[str, str] = {CLUSTER_TAG: "true"}

    def world(self, aws: EmulatorConfig) -> AbstractContextManager[EmulatedWorld]:
        kubernetes = Options(bookmark_every=1.0, kubelet=Delays(register=0.1, ready=0.1))
        return EmulatedWorld.start(WorldOptions(aws=aws, kubernetes=kubernetes))


@dataclass
class ControlPlane:
    """One real control plane: one test at a time, which leaves it as it was.

    Controllers have the chart's ServiceAccount and arguments.
    """

    cluster: Cluster
    rendering: Rendering
    kubeconfig: str  # of that ServiceAccount
    tags: Mapping[str, str]

    @classmethod
    @contextmanager
    def ready(cls, cluster: Cluster, folder: Path) -> Iterator[ControlPlane]:
        """With the chart's rights in the cluster for the length of the block."""
        rendering = render(CHART_VALUES, namespace=NAMESPACE)
        ours = {CLUSTER_TAG: "true", "k8s.io/cluster-autoscaler/prod": "owned", f"{LABEL_TAG}{OURS}": "true"}
        with installed(cluster, rendering) as account:
            kubeconfig = account.write_kubeconfig(folder / "account.kubeconfig").read_text()
            yield cls(cluster, rendering, kubeconfig, ours)

    @property
    def flags(self) -> Sequence[str]:
        arguments: list[str] = self.rendering.container["args"]
        assert arguments[0] == "run"
        return arguments[1:]

    def asked(self, start: int = 0) -> Asked:
        """What the ServiceAccount asks from there in the audit log."""
        return Asked(self.cluster.audit, user_of(self.rendering), start)

    @contextmanager
    def world(self, aws: EmulatorConfig) -> Iterator[EmulatedWorld]:
        asked = self.asked(self.cluster.audit.path.stat().st_size if self.cluster.audit else 0)
        try:
            with (
                TemporaryDirectory() as folder,
                HollowCluster.start(self.cluster, self.kubeconfig, asked) as kubernetes,
                AwsEmulator.start(aws) as emulator,
            ):
                yield world_of(emulator, kubernetes, Path(folder))
        finally:
            self.cluster.sweep()
