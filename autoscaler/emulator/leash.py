"""Start a program that ends with its parent, whatever ends the parent.

`python -m autoscaler.emulator.leash PARENT PROGRAM ARGUMENT...` asks the kernel
for a SIGTERM when the parent dies, then becomes the program. Where the kernel
is not Linux the program simply runs: its starter stops it in all usual ends.
For the kernel the parent is a thread: start it from one that outlives it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
