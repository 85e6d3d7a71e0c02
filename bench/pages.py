"""Ready-made pages of pods and nodes, as a big cluster's API server sends them.

Pods are of 9 KB with all that a real one carries (environment, probes,
managed fields, statuses); 3,000 templates, distinct names, UIDs and times.
Run as `python -m bench.pages PODS NODES` it serves them on loopback, in a
process of its own, and prints its address. Nothing is random.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import anyio
from aiohttp import web

TEMPLATES = 3_000
PAGE = 500
_NAME, _UID, _TIME, _NODE, _IP, _TOKEN = "@name@", "@uid@", "2000-01-01T00:00:00Z", "@node@", "@ip@", "@token@"


@lru_cache(maxsize=TEMPLATES)
def _template(number: int) -> tuple[bytes, ...]:
    """Return the JSON of a pod, cut at each of the marks, with the marks in between."""
    parts: list[bytes] = [json.dumps(_pod(number), separators=(",", ":")).encode()]
    for mark in (_NAME, _UID, _TIME, _NODE, _IP, _TOKEN):
        sign = mark.encode()
        cut: list[bytes] = []
        for part in parts:
            if part in _MARKS:
                cut.append(part)
                continue
            first, *others = part.split(sign)
            cut.append(first)
            for other in others:
                cut += [sign, other]
        parts = cut
    return tuple(parts)


_MARKS = frozenset(mark.encode() for mark in (_NAME, _UID, _TIME, _NODE, _IP, _TOKEN))


def pod(number: int, nodes: int) -> bytes:
    """Return the JSON of one pod."""
    values = {
        _NAME.encode(): b"app-%d-%05x" % (number % TEMPLATES, number),
        _UID.encode(): b"%08x-1111-2222-3333-%012x" % (number, number),
        _TIME.encode(): b"2026-01-%02dT%02d:%02d:%02dZ"
        % (1 + number % 28, number % 24, number // 24 % 60, number // 1440 % 60),
        _NODE.encode(): b"ip-10-0-%d-%d.ec2.internal" % divmod(number % max(nodes, 1), 256),
        _IP.encode(): b"10.%d.%d.%d" % (number >> 16 & 255, number >> 8 & 255, number & 255),
        _TOKEN.encode(): b"%05x" % (number * 7919 % 0xFFFFF),
    }
    return b"".join([values.get(part, part) for part in _template(number % TEMPLATES)])


def page(kind: str, first: int, count: int, total: int, nodes: int) -> bytes:
    """Return one page of a LIST, from object number `first`."""
    last = min(first + count, total)
    make = pod if kind == "pods" else node
    rest = b',"continue":"%d"' % last if last < total else b""
    items = b",".join([make(number, nodes) for number in range(first, last)])
    head = b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1000"%s},"items":[' % rest
    return head + items + b"]}"


def pages(total: int, nodes: int) -> Iterator[bytes]:
    """Yield all pages of pods, made on the way: all together would be 1.3 GB."""
    for first in range(0, total, PAGE):
        yield page("pods", first, PAGE, total, nodes)


def _pod(number: int) -> dict[str, Any]:
    app = f"app-{number}"
    containers = [_container(index, number) for index in range(1 + number % 3)]
    return {
        "metadata": {
            "name": _NAME,
            "generateName": f"{app}-",
            "namespace": f"team-{number % 100}",
            "uid": _UID,
            "resourceVersion": "999",
            "creationTimestamp": _TIME,
            "labels": {"app.kubernetes.io/name": app, "pod-template-hash": f"{number:010x}", "team": f"t{number % 40}"},
            "annotations": {"checksum/config": f"{number:064x}", "prometheus.io/scrape": "true"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"{app}-{number:010x}",
                    "uid": f"{number:036x}",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [_managed(manager, number) for manager in ("kube-controller-manager", "kubelet")],
        },
        "spec": _pod_spec(app, containers),
        "status": _pod_status(containers),
    }


def _pod_spec(app: str, containers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "volumes": [
            {"name": f"kube-api-access-{_TOKEN}", "projected": {"defaultMode": 420, "sources": [{}, {}, {}]}},
            {"name": "config", "configMap": {"name": app, "defaultMode": 420}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "containers": containers,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": app,
        "nodeName": _NODE,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 2000},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for key in ("not-ready", "unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _pod_status(containers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": _TIME}
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
        "hostIP": _IP,
        "podIP": _IP,
        "podIPs": [{"ip": _IP}],
        "startTime": _TIME,
        "containerStatuses": [_status(container["name"]) for container in containers],
        "qosClass": "Burstable",
    }


def _container(index: int, number: int) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1}
    return {
        "name": f"c{index}",
        "image": f"registry.example/app-{number % 500}:v{number % 17}",
        "args": [f"--flag-{each}=value-{each}" for each in range(6)],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": f"VARIABLE_{each}", "value": f"value of the variable {each}"} for each in range(20)],
        "resources": {
            "requests": {"cpu": f"{50 + number % 60 * 10}m", "memory": f"{64 + number % 50 * 16}Mi"},
            "limits": {"memory": f"{128 + number % 50 * 16}Mi"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "config", "mountPath": "/etc/app"}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _managed(manager: str, number: int) -> dict[str, Any]:
    fields: dict[str, Any] = {f"f:field-{each}": {"f:inner": {}, f"f:value-{number % 7}": {}} for each in range(24)}
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": _TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": fields, "f:spec": {"f:containers": fields}},
    }


def _status(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "state": {"running": {"startedAt": _TIME}},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "image": "registry.example/app@sha256:" + "a" * 64,
        "imageID": "registry.example/app@sha256:" + "a" * 64,
        "containerID": "containerd://" + "b" * 64,
        "started": True,
    }


def node(number: int, nodes: int) -> bytes:
    """Return the JSON of one node of about 12 KB, of which images are the most."""
    high, low = divmod(number % max(nodes, 1), 256)
    name = f"ip-10-0-{high}-{low}.ec2.internal"
    zone = f"eu-west-3{'abc'[number % 3]}"
    room = {"cpu": "15890m", "memory": "58000Mi", "pods": "110", "ephemeral-storage": "80Gi"}
    value = {
        "metadata": {
            "name": name,
            "uid": f"{number:036x}",
            "resourceVersion": "999",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": zone,
                "node.kubernetes.io/instance-type": "m5.4xlarge",
                **{f"label.example/{each}": "value" for each in range(15)},
            },
            "managedFields": [_managed("kubelet", number) for _ in range(2)],
        },
        "spec": {"providerID": f"aws:///{zone}/i-{number:017x}"},
        "status": {
            "capacity": {**room, "cpu": "16"},
            "allocatable": room,
            "conditions": [
                {"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:30Z"}
                for kind, status in (("MemoryPressure", "False"), ("DiskPressure", "False"), ("Ready", "True"))
            ],
            "images": [
                {"names": [f"registry.example/app-{each}@sha256:{'c' * 64}"], "sizeBytes": each} for each in range(50)
            ],
        },
    }
    return json.dumps(value, separators=(",", ":")).encode()


class PageServer:
    """Serves the pages, and so many watch events once they are asked for."""

    def __init__(self, pods: int, nodes: int) -> None:
        self._totals = {"pods": pods, "nodes": nodes}
        self._nodes = nodes
        self._events = anyio.Event()
        self._wanted = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rpartition("/")[2]
        if kind == "events":
            self._wanted = int(request.query["count"])
            self._events.set()
            return web.Response()
        if "watch" in request.query:
            return await self._watch(request, kind)
        total, first = self._totals.get(kind, 0), int(request.query.get("continue", "0"))
        body = page(kind, first, PAGE, total, self._nodes) if total else _EMPTY
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if kind != "pods":
            await anyio.sleep_forever()
        await self._events.wait()
        total = self._totals["pods"]
        for number in range(self._wanted):
            await response.write(b'{"type":"MODIFIED","object":' + pod(number % total, self._nodes) + b"}\n")
        await anyio.sleep_forever()
        return response


_EMPTY = b'{"metadata":{"resourceVersion":"1000"},"items":[]}'


async def serve(pods: int, nodes: int) -> None:
    """Serve until killed; the first line printed is the address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", PageServer(pods, nodes).handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(serve, int(sys.argv[1]), int(sys.argv[2]))
