"""`python -m autoscaler.emulator.kubernetes`: the emulated cluster as a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anyio

from .kubelet import Delays
from .pages import PagesPlan
from .server import KubernetesEmulator, Options


def _options(argv: list[str]) -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m autoscaler.emulator.kubernetes", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token", default="", help="bearer token that every request must carry")
    parser.add_argument("--write-kubeconfig", type=Path, metavar="FILE")
    parser.add_argument("--pages", type=PagesPlan.parse, help="serve ready-made objects: pods=150000,nodes=5000")
    parser.add_argument("--no-gzip", action="store_true", help="never compress answers")
    parser.add_argument("--no-scheduler", action="store_true")
    parser.add_argument("--no-controllers", action="store_true")
    parser.add_argument("--bookmark-every", type=float, default=10.0, metavar="SECONDS")
    for name, default in (("register", 0.3), ("ready", 0.3), ("start", 0.05), ("stop", 0.05)):
        parser.add_argument(f"--{name}-delay", type=float, default=default, metavar="SECONDS")
    args = parser.parse_args(argv)
    delays = Delays(register=args.register_delay, ready=args.ready_delay, start=args.start_delay, stop=args.stop_delay)
    options = Options(
        port=args.port, token=args.token, gzip=not args.no_gzip, bookmark_every=args.bookmark_every,
        scheduler=not args.no_scheduler, controllers=not args.no_controllers, kubelet=delays, pages=args.pages,
    )  # fmt: skip
    return options, args.write_kubeconfig


async def _serve(options: Options, kubeconfig: Path | None) -> None:
    async with KubernetesEmulator.serve(options) as cluster:
        if kubeconfig is not None:
            cluster.write_kubeconfig(kubeconfig)
        sys.stdout.write(f"listening on {cluster.url}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


def main() -> None:
    options, kubeconfig = _options(sys.argv[1:])
    try:
        anyio.run(_serve, options, kubeconfig)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
