"""Start a program that the kernel kills when its parent dies: `leash.py PARENT PROGRAM ARGUMENT...`.

By SIGKILL: an API server that is asked to end at the same moment as its etcd
goes on for minutes. In all usual ends the starter stops it properly. Where
the kernel is not Linux the program simply runs.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
