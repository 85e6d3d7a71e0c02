"""A real `autoscaler run` as a child process of whoever plays a world.

Its log lines are read as JSON; it is stopped by its own process id, at the
end of the block in any case, and by the kernel should its parent be killed.
Of the caller's environment it sees nothing that would lead it elsewhere.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from autoscaler import clock

POLL_SECONDS = 0.02
_LEADS_ELSEWHERE = ("AWS_", "AUTOSCALER_", "KUBERNETES_", "KUBECONFIG")
_loopback = build_opener(ProxyHandler({}))


class ChildController:
    """A running controller: its address, its log and its end."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        leash = [sys.executable, "-m", "autoscaler.emulator.leash", str(os.getpid())]
        command = [sys.executable, "-m", "autoscaler.cli", "run", f"--address={self.address}", "--logging-format=json"]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*leash, *command, *arguments], env={**_inherited(), **environment}, stderr=subprocess.PIPE
        )
        self.lines: list[dict[str, Any]] = []
        self.noise: list[str] = []  # what is no log line: a traceback, a usage message
        self._reader = threading.Thread(target=self._read, name="child-log", daemon=True)
        self._reader.start()

    @classmethod
    @contextmanager
    def start(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[ChildController]:
        """Run a controller for the length of the block."""
        child = cls(arguments, environment)
        try:
            yield child
        finally:
            child.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event, so far."""
        return [line for line in list(self.lines) if line.get("event") == name]

    def get(self, path: str) -> tuple[int, str]:
        """Ask the page; status 0 while nobody listens."""
        try:
            with _loopback.open(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except URLError as error:
            code = getattr(error, "code", 0)
            return code, error.read().decode() if code and hasattr(error, "read") else ""
        except OSError:
            return 0, ""

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Return once everything is read. Raises TimeoutError with the last lines of the log."""
        self.wait(lambda: self.get("/readyz")[0] == 200, seconds, "the controller to become ready")

    def wait(self, condition: Any, seconds: float, what: str) -> None:
        """Poll a condition. Raises TimeoutError that says what was waited for."""
        deadline = clock.monotonic() + seconds
        while not condition():
            if self._process.poll() is not None:
                raise TimeoutError(f"the controller ended with {self._process.returncode}: {self.tail()}")
            if clock.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:g} s for {what}: {self.tail()}")
            threading.Event().wait(POLL_SECONDS)

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end and wait; return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(5)
        return self._process.returncode

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for raw in stream:
                try:
                    line = json.loads(raw)
                except ValueError:
                    self.noise.append(raw.decode(errors="replace").rstrip())
                else:
                    self.lines.append(line)

    def tail(self) -> str:
        """Return its last words."""
        return "\n".join([*(json.dumps(line) for line in self.lines[-8:]), *self.noise[-20:]])


def _inherited() -> dict[str, str]:
    """The environment without other accounts, clusters, settings and proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_LEADS_ELSEWHERE) and not name.lower().endswith("_proxy")
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
