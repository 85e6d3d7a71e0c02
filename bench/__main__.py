"""The command `python -m bench`: runs benches by name, one after the other.

Exit code 1 when any figure misses its floor, 2 for a name that does not exist.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from bench.result import Result

BENCHES = ("reaction", "fallback", "idle", "pack", "plan", "mix", "policy", "scaledown", "sync", "memory", "returns")
QUICK = ("pack", "plan", "mix", "scaledown", "memory", "fallback")  # seconds, not minutes


def run_bench(name: str) -> Result:
    """Import the bench and run it."""
    result = importlib.import_module(f"bench.{name}").run()
    if not isinstance(result, Result):
        raise TypeError(f"bench {name}: run() returned {type(result).__name__}, not a Result")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=[*BENCHES, "quick", "all"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here; of several benches, a list")
    arguments = parser.parse_args()
    names: list[str] = []
    for name in arguments.names:
        names += QUICK if name == "quick" else BENCHES if name == "all" else (name,)
    results = []
    for name in dict.fromkeys(names):
        result = run_bench(name)
        results.append(result)
        print("\n".join(result.lines()), flush=True)
    if arguments.json is not None:
        values = [result.to_json() for result in results]
        arguments.json.write_text(json.dumps(values[0] if len(values) == 1 else values, indent=1) + "\n")
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
