"""Which local addresses a server binds."""

from __future__ import annotations

import asyncio
import socket

from aiopquic._addresses import has_ipv6, packed_address
from aiopquic.quic._engine_settings import check_host

__all__ = ["bind_addresses"]


async def bind_addresses(host: str | None, family: int | None) -> tuple[str, ...]:
    """IP literals to bind, at most one per family; never blocks the loop.

    None, ``""`` and ``"::"`` are the wildcard addresses of both families.

    Raises:
        ConfigurationError: ``host`` is an IP literal of another family.
        socket.gaierror: ``host`` can't be resolved.
    """
    if host in (None, "", "::"):
        both = ("0.0.0.0", "::") if has_ipv6() else ("0.0.0.0",)
        if family == socket.AF_INET:
            return ("0.0.0.0",)
        return ("::",) if family == socket.AF_INET6 else both
    assert host is not None
    check_host(host, family)
    try:
        packed_address(host)
        return (host,)
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, 0, family=family or socket.AF_UNSPEC, type=socket.SOCK_DGRAM)
    by_family: dict[int, str] = {}
    for entry in found:
        by_family.setdefault(entry[0], str(entry[4][0]))
    return tuple(by_family.values())
