"""Both emulators joined: an instance in service becomes a Node, a terminated one takes its Node along.

What a test, a bench or the demo starts to have a whole world: AWS and a
cluster in threads of this process, and what a controller needs to find them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoscaler.aws.instance_types import Catalogue
from autoscaler.core.quantity import format_amount
from autoscaler.core.resources import Resources
from autoscaler.core.scaleup.template import reserved
from autoscaler.emulator.aws.model import InstanceEvent
from autoscaler.emulator.aws.server import AwsEmulator, EmulatorConfig
from autoscaler.emulator.kubernetes.kubelet import Instance as Machine
from autoscaler.emulator.kubernetes.resources import BUDGETS, DEPLOYMENTS, NODES, Kind, named
from autoscaler.emulator.kubernetes.server import KubernetesEmulator, Options

CONFIG_MAPS = named("configmaps")
LABEL_TAG = "k8s.io/cluster-autoscaler/node-template/label/"
TAINT_TAG = "k8s.io/cluster-autoscaler/node-template/taint/"
CLUSTER_TAG = "k8s.io/cluster-autoscaler/enabled"
PRIORITIES = "cluster-autoscaler-priority-expander"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """How the two halves are started."""

    aws: EmulatorConfig = field(default_factory=EmulatorConfig)
    kubernetes: Options = field(default_factory=Options)


class EmulatedWorld:
    """A running AWS and a running cluster, joined."""

    def __init__(self, aws: AwsEmulator, kubernetes: KubernetesEmulator, folder: Path) -> None:
        self.aws = aws
        self.kubernetes = kubernetes
        self.kubeconfig = folder / "kubeconfig"
        self._catalogue = Catalogue()
        self._joined: set[str] = set()
        kubernetes.write_kubeconfig(self.kubeconfig)
        aws.world.subscribe(self._follow)

    @classmethod
    @contextmanager
    def start(cls, options: WorldOptions | None = None) -> Iterator[EmulatedWorld]:
        """Start both; all of it ends with the block."""
        options = options or WorldOptions()
        with (
            TemporaryDirectory() as folder,
            KubernetesEmulator.start(options.kubernetes) as kubernetes,
            AwsEmulator.start(options.aws) as aws,
        ):
            yield cls(aws, kubernetes, Path(folder))

    def environment(self) -> dict[str, str]:
        """Variables by which a controller or the AWS command line finds this world."""
        return {
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_REGION": self.aws.config.region,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_EC2_METADATA_DISABLED": "true",
            "KUBECONFIG": str(self.kubeconfig),
        }

    def set_priorities(self, priorities: str) -> None:
        """Write the priority expander's ConfigMap; `priorities` is its YAML."""
        body = {"metadata": {"name": PRIORITIES, "namespace": "kube-system"}, "data": {"priorities": priorities}}
        self.kubernetes.call(self._put, CONFIG_MAPS, ("kube-system", PRIORITIES), body)

    def deploy(self, name: str, replicas: int, *, cpu: str = "1", memory: str = "1Gi", **template: Any) -> None:
        """Create or scale a Deployment in `default`; `template` is merged into the pod's spec."""
        labels = {"app": name}
        container = {"name": "main", "image": "example", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
        body = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **template}},
            },
        }
        self.kubernetes.call(self._put, DEPLOYMENTS, ("default", name), body)

    def protect(self, name: str, missing: int) -> None:
        """A PodDisruptionBudget in `default`: at most so many pods of a Deployment are missing at once."""
        spec = {"maxUnavailable": missing, "selector": {"matchLabels": {"app": name}}}
        body = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
        self.kubernetes.call(self._put, BUDGETS, ("default", name), body)

    def age_nodes(self, span: timedelta) -> None:
        """Make every Node so much older than it is, as waiting would."""
        store = self.kubernetes.store

        def change() -> None:
            for node in store.items(NODES):
                value = node.copy()
                meta = value["metadata"]
                created = datetime.fromisoformat(meta["creationTimestamp"]) - span
                meta["creationTimestamp"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
                store.put_raw(NODES, value, node.key)

        self.kubernetes.call(change)

    def _put(self, kind: Kind, key: tuple[str, str], body: dict[str, Any]) -> None:
        """Create the object, or replace all but its metadata and status."""
        store = self.kubernetes.store
        if store.find(kind, *key) is None:
            store.create(kind, body)
        else:
            store.change(kind, key, lambda stored: stored.update({k: v for k, v in body.items() if k != "metadata"}))

    def _follow(self, event: InstanceEvent) -> None:
        if event.kind == "in-service" and event.id not in self._joined:
            self._joined.add(event.id)
            self.kubernetes.call(self.kubernetes.kubelet.launch, self._machine(event))
        elif event.kind == "terminated":
            self.kubernetes.call(self.kubernetes.kubelet.terminate, event.id)

    def _machine(self, event: InstanceEvent) -> Machine:
        facts = self._catalogue.get(event.instance_type)
        capacity = facts.capacity if facts is not None else Resources({"cpu": 2000, "memory": 8 * 2**30, "pods": 29})
        tags = event.group_tags
        profile = "eks" if any(key.startswith("eks:") for key in tags) else "none"
        allocatable = capacity - reserved(profile, capacity)
        labels = {key.removeprefix(LABEL_TAG): value for key, value in tags.items() if key.startswith(LABEL_TAG)}
        taints = tuple(_taint(key, value) for key, value in tags.items() if key.startswith(TAINT_TAG))
        return Machine(
            id=event.id,
            instance_type=event.instance_type,
            zone=event.zone,
            region=self.aws.config.region,
            market=event.market,
            private_dns=event.private_dns_name,
            labels=labels,
            taints=taints,
            capacity=_written(capacity),
            allocatable=_written(allocatable),
        )


def _taint(key: str, value: str) -> dict[str, str]:
    own, _, effect = value.partition(":")
    return {"key": key.removeprefix(TAINT_TAG), "value": own, "effect": effect}


def _written(amounts: Resources) -> dict[str, str]:
    return {name: format_amount(name, amount) if name == "cpu" else str(amount) for name, amount in amounts.items()}
