"""A cluster and an account in which a secret stands wherever one may stand."""

from __future__ import annotations

import base64
import json
from typing import Any

from autoscaler.emulator.aws import AwsEmulator
from tests.emulator.aws_worlds import client

SECRET = "hunter2"
ENCODED = base64.b64encode(f"#!/bin/sh\nexport TOKEN={SECRET}\n".encode()).decode()
WAITING = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": f"no place for {SECRET}",
    "lastTransitionTime": "2026-01-01T11:00:00Z",
}


def metadata(name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    applied = json.dumps({"env": SECRET})
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": applied, "vault.example/token": SECRET}
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "uid": f"uid-{name}",
        "creationTimestamp": "2026-01-01T10:00:00Z",
        "managedFields": [{"manager": SECRET}],
        "annotations": annotations | more.pop("annotations", {}),
        **more,
    }


def pod_spec(**more: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "web:1",
        "command": ["serve", f"--password={SECRET}"],
        "env": [{"name": "PASSWORD", "value": SECRET}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "X", "value": SECRET}]}},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
    }
    volumes = [
        {"name": "token", "csi": {"driver": "vault", "volumeAttributes": {"token": SECRET}}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    return {"containers": [container], "volumes": volumes[: more.pop("volumes", 1)], **more}


def pod(name: str, phase: str = "Pending", **more: Any) -> dict[str, Any]:
    status = {"phase": phase, "conditions": [WAITING] if "nodeName" not in more else []}
    keep = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    meta = metadata(name, "shop", labels={"app": "web"}, annotations=keep)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod_spec(priority=0, **more), "status": status}


def workload(kind: str, name: str, version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec()}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": version, "kind": kind, "metadata": metadata(name, "shop", **more), "spec": spec}


def storage_objects() -> list[dict[str, Any]]:
    csi = {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1", "volumeAttributes": {"token": SECRET}}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": metadata("pv"),
            "spec": {"capacity": {"storage": "1Gi"}, "csi": csi, "storageClassName": "gp3"},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": metadata("gp3", annotations={"storageclass.kubernetes.io/is-default-class": "true"}),
            "provisioner": "ebs.csi.aws.com",
            "parameters": {"token": SECRET},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": metadata("lvm.example.com"),
            "spec": {"storageCapacity": True, "tokenRequests": [{"audience": SECRET}]},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": metadata("csi-1"),
            "spec": {"attacher": "ebs.csi.aws.com", "nodeName": "n-1", "source": {"persistentVolumeName": "pv"}},
            "status": {"attached": True, "attachmentMetadata": {"token": SECRET}},
        },
    ]


def objects() -> list[dict[str, Any]]:
    amounts = {"cpu": "2", "memory": "8Gi", "pods": "29"}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T10:00:00Z"}
    broken = pod("broken", nodeName="n-1")
    broken["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "plenty"
    priorities = {"priorities": "10: ['spot-.*']\n1: ['.*']\n"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("shop")},
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata("n-1", labels={"kubernetes.io/hostname": "n-1"}),
            "spec": {"providerID": "aws:///eu-west-3a/i-0123456789abcdef0"},
            "status": {"allocatable": amounts, "capacity": amounts, "conditions": [ready]},
        },
        pod("waiting"),
        pod("running", "Running", nodeName="n-1"),
        pod("done", "Succeeded", nodeName="n-1"),
        pod("claiming", volumes=2),
        broken,
        workload("DaemonSet", "agent"),
        workload("Deployment", "web"),
        workload("Deployment", "spare", annotations={"priority-autoscaler/headroom": "3"}),
        workload("CronJob", "nightly", "batch/v1"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("s", "shop"), "stringData": {"a": SECRET}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("c", "kube-system"), "data": {"a": SECRET}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("cluster-autoscaler-priority-expander", "kube-system"),
            "data": priorities,
        },
        *storage_objects(),
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata("web", "shop"),
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        },
    ]


def create_nodegroup(aws: AwsEmulator) -> None:
    eks, role = client(aws, "eks"), "arn:aws:iam::111122223333:role/node"
    eks.create_cluster(name="prod", roleArn=role, resourcesVpcConfig={"subnetIds": ["subnet-1"]})
    eks.create_nodegroup(
        clusterName="prod",
        nodegroupName="blue",
        subnets=["subnet-1"],
        nodeRole=role,
        labels={"team": "blue"},
        taints=[{"key": "dedicated", "value": "blue", "effect": "NO_SCHEDULE"}],
    )
