"""The pods of the whole cluster, kept up to date by one watch: to wait for a pod costs no request.

A list of all pods, every 20 ms while somebody waits, was most of the API
server's work in the fidelity test. What is here may lag behind, so whoever
has just created a pod waits for its uid, never for its name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from autoscaler import clock
from tests.controlplane.client import PATIENCE, Client, Json

ALL_PODS = "/api/v1/pods"
_QUIET = 0.05  # seconds without a change, after which something else may have to be done


class Mirror:
    """What the API server last told of each pod, by uid."""

    def __init__(self) -> None:
        self._pods: dict[str, Json] = {}
        self._changed = threading.Condition()
        self._fault = ""

    @classmethod
    @contextmanager
    def of(cls, client: Client) -> Iterator[Mirror]:
        """Follow the pods for the length of the block."""
        mirror = cls()
        with client.watch(ALL_PODS) as events:
            thread = threading.Thread(target=mirror._follow, args=(events,), name="mirror", daemon=True)
            thread.start()
            yield mirror
        thread.join()

    def wait_all(
        self, uids: Collection[str], is_done: Callable[[Json], bool], *, meanwhile: Callable[[], None] = lambda: None
    ) -> list[Json]:
        """Return the pods of these uids once each of them is done."""
        deadline = clock.monotonic() + PATIENCE
        while True:
            with self._changed:
                found = [self._pods[uid] for uid in uids if uid in self._pods and is_done(self._pods[uid])]
                if len(found) == len(uids):
                    return found
                assert not self._fault, self._fault
                assert clock.monotonic() < deadline, f"waited {PATIENCE:g} s for {len(uids) - len(found)} pods"
                is_quiet = not self._changed.wait(_QUIET)
            if is_quiet:
                meanwhile()

    def _follow(self, events: Iterator[Json]) -> None:
        for event in events:
            pod = event["object"]
            with self._changed:
                if event["type"] == "ERROR":
                    self._fault = f"the watch of pods: {pod.get('message')}"
                elif event["type"] == "DELETED":
                    self._pods.pop(pod["metadata"]["uid"], None)
                else:
                    self._pods[pod["metadata"]["uid"]] = pod
                self._changed.notify_all()
        with self._changed:
            self._fault = self._fault or "the watch of pods has ended"
            self._changed.notify_all()
