"""The emulator as a process of its own, until it is told to end.

Prints one line, `listening on http://127.0.0.1:PORT`, once it accepts calls.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from autoscaler.emulator.aws import AwsEmulator, Delays, EmulatorConfig


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m autoscaler.emulator.aws", description="AWS on loopback")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--region", default="eu-west-3")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every call takes")
    parser.add_argument("--no-launch-api", action="store_true", help="LaunchInstances answers as plain moto does")
    defaults = Delays()
    for name in ("launch", "boot", "terminate", "retry"):
        parser.add_argument(f"--{name}-delay", type=float, default=getattr(defaults, name), help="seconds")
    given = parser.parse_args()
    delays = Delays(given.launch_delay, given.boot_delay, given.terminate_delay, given.retry_delay)
    config = EmulatorConfig(
        region=given.region,
        host=given.host,
        port=given.port,
        latency=given.latency,
        launch_api=not given.no_launch_api,
        delays=delays,
    )
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with AwsEmulator.start(config) as aws:
        sys.stdout.write(f"listening on {aws.url}\n")
        sys.stdout.flush()
        aws.world.backing.load()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
