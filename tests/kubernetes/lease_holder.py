"""A process that holds a lease until it is stopped: `lease_holder.py URL IDENTITY`.

Prints `leading` when it leads, `lost` and exits with 3 when it lost the lease.
"""

import sys

import anyio
import structlog

from autoscaler.kubernetes.lease import Elector, LostLease
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.kubernetes.test_lease import quick


async def hold(url: str, identity: str) -> None:
    async def lead() -> None:
        sys.stdout.write("leading\n")
        sys.stdout.flush()
        await anyio.sleep_forever()

    async with connect(KubernetesSettings(master_url=url)) as api:
        await Elector(api, quick(identity)).run(lead)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        anyio.run(hold, sys.argv[1], sys.argv[2])
    except LostLease:
        sys.stdout.write("lost\n")
        sys.exit(3)
