"""The JSON of ready-made pods and nodes, as large and as varied as real ones, with holes for what is unique.

A template is bytes for the `%` operator: encoded once, filled for each object.
Everything follows from the number of the template; nothing is drawn by chance.
"""

from __future__ import annotations

from functools import cache

import msgspec

from .objects import Json

ZONES = ("eu-west-3a", "eu-west-3b", "eu-west-3c")
NAMESPACES = 30
_HOLE = "<<%s>>"


def _hole(name: str) -> str:
    return _HOLE % name


def _template(value: Json) -> bytes:
    encoded = msgspec.json.encode(value).replace(b"%", b"%%")
    return encoded.replace(b"<<", b"%(").replace(b">>", b")b")


def app_of(number: int) -> str:
    return f"app-{number:04d}"


def namespace_of(number: int) -> str:
    return f"team-{number % NAMESPACES:02d}"


def replica_set_of(number: int) -> str:
    return f"{app_of(number)}-{number * 2654435761 % 2**32:08x}"


def replica_set_uid(number: int) -> str:
    return f"{number:08x}-0000-4000-9000-{number:012x}"


@cache
def pod_template(number: int) -> bytes:
    """Holes: name, suffix, uid, version, time, node, ip, phase, ready, reason."""
    name = app_of(number)
    count = 1 + number % 3
    made = [_container(number, index) for index in range(count)]
    labels = {
        "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": namespace_of(number),
        "pod-template-hash": f"{number * 2654435761 % 2**32:08x}", "team": namespace_of(number),
    }  # fmt: skip
    owner = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set_of(number),
        "uid": replica_set_uid(number), "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    spec: Json = {
        "volumes": [
            {"name": f"kube-api-access-{_hole('suffix')}", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}},
            {"name": "config", "configMap": {"name": f"{name}-config", "defaultMode": 420}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        "containers": made, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "serviceAccountName": name, "serviceAccount": name, "nodeName": _hole("node"),
        "securityContext": {"runAsNonRoot": True, "fsGroup": 2000}, "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
            for taint in ("not-ready", "unreachable")
        ],
        "priority": (0, 0, 0, 1000, -5)[number % 5], "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }  # fmt: skip
    if number % 4 == 0:
        spec["nodeSelector"] = {"kubernetes.io/arch": "amd64"}
    if number % 7 == 0:
        spec["topologySpreadConstraints"] = [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
             "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}
        ]  # fmt: skip
    meta = {
        "name": f"{replica_set_of(number)}-{_hole('name')}", "generateName": f"{replica_set_of(number)}-",
        "namespace": namespace_of(number), "uid": _hole("uid"), "resourceVersion": _hole("version"),
        "creationTimestamp": _hole("time"), "labels": labels,
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": "5e" * 32},
        "ownerReferences": [owner], "managedFields": _managed(count),
    }  # fmt: skip
    return _template({"metadata": meta, "spec": spec, "status": _status(made)})


def _container(number: int, index: int) -> Json:
    name = f"c{index}"
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
             "successThreshold": 1, "failureThreshold": 3}  # fmt: skip
    env: list[Json] = [
        {"name": f"SETTING_{key:02d}", "value": f"https://service-{key}.{namespace_of(number)}.svc.cluster.local"}
        for key in range(12)
    ]
    env.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}})
    cpu, memory = 50 + 25 * (number % 40), 128 + 64 * (number // 40 % 75)
    return {
        "name": name, "image": f"registry.example.com/{app_of(number)}/{name}:1.{number % 10}.0", "env": env,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}, "limits": {"memory": f"{2 * memory}Mi"}},
        "volumeMounts": [
            {"name": f"kube-api-access-{_hole('suffix')}", "readOnly": True,
             "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
            {"name": "config", "mountPath": "/etc/app", "readOnly": True}, {"name": "scratch", "mountPath": "/scratch"},
        ],
        "livenessProbe": probe, "readinessProbe": probe, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip


def _status(made: list[Json]) -> Json:
    time = _hole("time")
    ready = [
        {"type": name, "status": _hole("ready"), "lastProbeTime": None, "lastTransitionTime": time}
        for name in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    ]
    placed = {"type": "PodScheduled", "status": _hole("placed"), "lastProbeTime": None, "lastTransitionTime": time}
    return {
        "phase": _hole("phase"), "qosClass": "Burstable", "startTime": time, "hostIP": "10.0.0.1",
        "podIP": _hole("ip"), "podIPs": [{"ip": _hole("ip")}],
        "conditions": [*ready, placed | {"reason": _hole("reason")}],
        "containerStatuses": [
            {
                "name": one["name"], "image": one["image"], "imageID": "sha256:" + "ab" * 32, "ready": True,
                "containerID": "containerd://" + "cd" * 32, "restartCount": 0, "started": True, "lastState": {},
                "state": {"running": {"startedAt": time}},
            }
            for one in made
        ],
    }  # fmt: skip


def _managed(count: int) -> list[Json]:
    spec: Json = {
        f'k:{{"name":"c{index}"}}': {
            f"f:{field}": {} for field in ("image", "imagePullPolicy", "env", "livenessProbe", "readinessProbe", "name",
                                           "ports", "resources", "securityContext", "terminationMessagePath")
        }
        for index in range(count)
    }  # fmt: skip
    fields = {"f:metadata": {"f:labels": {".": {}, "f:team": {}}, "f:ownerReferences": {".": {}}}, "f:spec": spec}
    status: Json = {"f:status": {"f:conditions": {
        f'k:{{"type":"{name}"}}': {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}}
        for name in ("ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready")
    }, "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {}, "f:startTime": {}}}  # fmt: skip
    return [
        {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": _hole("time"),
         "fieldsType": "FieldsV1", "fieldsV1": owned} | ({"subresource": "status"} if manager == "kubelet" else {})
        for manager, owned in (("kube-controller-manager", fields), ("kubelet", status))
    ]  # fmt: skip


@cache
def node_template(number: int) -> bytes:
    """Holes: name, uid, version, time, instance, ready."""
    zone, name, time = ZONES[number % 3], _hole("name"), _hole("time")
    cpus = (4, 8, 16, 32)[number % 4]
    size = {4: "xlarge", 8: "2xlarge", 16: "4xlarge", 32: "8xlarge"}[cpus]
    amounts = {"cpu": str(cpus), "memory": f"{4 * cpus}Gi", "pods": "110", "ephemeral-storage": "104845292Ki"}
    images = [
        {"names": [f"registry.example.com/{app_of(index * 37)}/c0@sha256:{'ef' * 32}",
                   f"registry.example.com/{app_of(index * 37)}/c0:1.0.0"], "sizeBytes": 50_000_000 + index}
        for index in range(45)
    ]  # fmt: skip
    conditions = [
        {"type": kind, "status": state, "lastHeartbeatTime": time, "lastTransitionTime": time,
         "reason": "KubeletHasSufficient", "message": f"kubelet reports {kind}"}
        for kind, state in (("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"),
                            ("Ready", _hole("ready")))
    ]  # fmt: skip
    labels = {
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": f"m5.{size}", "topology.kubernetes.io/zone": zone,
        "topology.kubernetes.io/region": "eu-west-3", "eks.amazonaws.com/nodegroup": f"group-{number % 60:02d}",
    }  # fmt: skip
    meta = {
        "name": name, "uid": _hole("uid"), "resourceVersion": _hole("version"), "creationTimestamp": time,
        "labels": labels, "annotations": {"node.alpha.kubernetes.io/ttl": "0"}, "managedFields": _managed(6),
    }  # fmt: skip
    return _template({
        "metadata": meta, "spec": {"providerID": f"aws:///{zone}/{_hole('instance')}"},
        "status": {
            "capacity": amounts, "allocatable": amounts, "conditions": conditions, "images": images,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Linux", "architecture": "amd64",
                         "operatingSystem": "linux", "machineID": "", "systemUUID": "", "bootID": "",
                         "kernelVersion": "6.12.0", "containerRuntimeVersion": "containerd://2.1.0"},
        },
    })  # fmt: skip
