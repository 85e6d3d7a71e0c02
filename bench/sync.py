"""How long the caches take to sync with a big cluster, and what they weigh.

Ready-made pages come from the emulator in a process of its own; the caches
run in another, so that its memory is theirs alone. `ratio_to_decode` compares
with a plain cache of the same bytes: fetched page by page, decoded into
structs of the same fields and kept as they are, without sharing, conversion
or count. It is measured before and after, as other work disturbs both.
`cpu_ratio` compares processor time, `decode_seconds` is the decoding alone.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import anyio

from autoscaler.kubernetes.cache import Pace
from autoscaler.kubernetes.cluster import ClusterCache, ClusterSettings
from autoscaler.kubernetes.codec import Codec
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from autoscaler.kubernetes.wire import WireNode, WirePod
from bench.result import Result

NODES = 5_000
EVENTS = 20_000


def run() -> Result:
    """Measure; each of the large runs twice in turn, of which the better counts, as the machine is shared."""
    small = in_process("sync", 30_000)
    plain, large = [], []
    for _ in range(2):
        plain.append(in_process("plain", 150_000))
        large.append(in_process("sync", 150_000))
    best, plainest = (min(runs, key=lambda one: one["seconds"]) for runs in (large, plain))
    return Result(
        bench="sync",
        figures={
            "seconds_30000": small["seconds"],
            "seconds_150000": best["seconds"],
            "plain_seconds_150000": plainest["seconds"],
            "decode_seconds_150000": min(each["decode_seconds"] for each in plain),
            "ratio_to_decode": best["seconds"] / plainest["seconds"],
            "cpu_ratio": best["cpu_seconds"] / plainest["cpu_seconds"],
            "rss_mb_150000": max(each["rss_mb"] for each in large),
            "peak_mb_150000": max(each["peak_mb"] for each in large),
            "events_per_second": best["events_per_second"],
        },
        floors={"ratio_to_decode": 1.6, "rss_mb_150000": 250.0},
        left_out="TLS and gzip; a real API server's own pace",
    )


def in_process(what: str, pods: int) -> dict[str, float]:
    """Measure in a process of its own, against a server in another."""
    with page_server(pods) as url:
        command = [sys.executable, "-m", "bench.sync", what, url, str(pods)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


@contextmanager
def page_server(pods: int) -> Iterator[str]:
    """Run the emulator with ready-made pages; yield its address."""
    emulator = "autoscaler.emulator.kubernetes"
    plan = f"pods={pods},nodes={NODES}"
    command = [sys.executable, "-m", emulator, "--pages", plan, "--no-scheduler", "--no-controllers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]
        finally:
            server.kill()


async def fetch_plainly(url: str, pods: int) -> dict[str, float]:
    """Fetch, decode and keep every page of pods and nodes, one after the other, with the garbage collector at rest."""
    readers: dict[str, Callable[[bytes], Any]] = {
        "/api/v1/pods": Codec(WirePod).read_page,
        "/api/v1/nodes": Codec(WireNode).read_page,
    }
    kept: dict[str, Any] = {}
    decoding = 0.0
    gc.disable()
    async with connect(KubernetesSettings(master_url=url)) as api:
        started, cpu = perf_counter(), process_time()
        for path, read in readers.items():
            query = {"limit": "500"}
            while True:
                body = await api.get_bytes(path, query)
                begun = perf_counter()
                head, items = read(body)
                decoding += perf_counter() - begun
                kept.update((item.metadata.uid, item) for item in items)
                del body, items
                if not head.continue_:
                    break
                query["continue"] = head.continue_
        figures = {"seconds": perf_counter() - started, "cpu_seconds": process_time() - cpu}
    assert len(kept) == pods + NODES
    return {**figures, "decode_seconds": decoding}


async def sync(url: str, pods: int) -> dict[str, float]:
    """Sync once, then take events; returns the figures of this process."""
    async with connect(KubernetesSettings(master_url=url)) as api, anyio.create_task_group() as tasks:
        cache = ClusterCache(api, ClusterSettings(pace=Pace(jitter=lambda: 0.5)))
        started, cpu = perf_counter(), process_time()
        await tasks.start(cache.run)
        figures = {"seconds": perf_counter() - started, "cpu_seconds": process_time() - cpu}
        assert len(cache.pods.objects) == pods
        rss, peak = _memory()
        before = cache.pods.generation
        await api.send("POST", "/emu/modify", {"pods": EVENTS})
        first = await _reach(cache, before + 1)
        started = perf_counter()
        await _reach(cache, before + EVENTS)
        rate = (before + EVENTS - first) / (perf_counter() - started)
        tasks.cancel_scope.cancel()
    return {**figures, "rss_mb": rss, "peak_mb": peak, "events_per_second": rate}


async def _reach(cache: ClusterCache, generation: int) -> int:
    """Wait until so many changes have arrived; heartbeats wake nobody, so it looks by itself."""
    reached = cache.pods.generation
    while reached < generation:
        await anyio.sleep(0.001)
        reached = cache.pods.generation
    return reached


def _memory() -> tuple[float, float]:
    """Return the resident memory of this process, now and at its highest, in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def main(what: str, url: str, pods: str) -> None:
    """Measure in this process and print the figures as JSON."""
    measured = anyio.run(sync if what == "sync" else fetch_plainly, url, int(pods))
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
