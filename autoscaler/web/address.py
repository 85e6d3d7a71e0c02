"""`--address`: where to listen, as Go writes it.

`:8085` is every interface, IPv4 and IPv6; `host:port`, `1.2.3.4:port` and
`[::1]:port` are one. What cannot be listened on is one error naming it.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import NamedTuple

import anyio

from autoscaler.errors import AutoscalerError

_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Address(NamedTuple):
    """An empty host means every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `[HOST]:PORT`. Raises AutoscalerError that says what is wrong with it."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AutoscalerError(f"address {text!r}: an IPv6 address needs brackets, as in [::1]:8085")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise AutoscalerError(f"address {text!r}: not HOST:PORT with a port from 0 to 65535")
    return Address(host, int(port))


async def listen(address: Address) -> socket.socket:
    """Open the listening socket. Raises AutoscalerError that names the address."""
    try:
        if not address.host:
            return _listen_everywhere(address.port)
        found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        return socket.create_server((str(place[0]), address.port), family=family)
    except OSError as error:
        known = error.errno in errno.errorcode
        reason = os.strerror(error.errno) if known and error.errno else str(error.strerror or error)
        raise AutoscalerError(
            f"address {address}: cannot listen ({reason}); free it, or choose another with --address"
        ) from error


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:  # IPv6 compiled in, but switched off
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port))
