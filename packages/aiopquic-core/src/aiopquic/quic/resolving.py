"""From the name of a server to the addresses to try, in the order of RFC 8305 section 4."""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any

from aiopquic._addresses import packed_address

__all__ = ["resolve"]

Address = tuple[str, int]


async def resolve(host: str, port: int, family: int | None) -> list[Address]:
    """The addresses of ``host`` as IP literals with the port, families in turn; an IP literal stands for itself.

    The system's resolver sorts them (RFC 6724), and with them which family comes first: IPv6, on a host that has it.

    Raises:
        socket.gaierror: there is no such name, or it has no address of the ``family``.

    Cancellation: safe; a look-up that has begun goes on in its thread, and nobody hears of it.
    """
    try:
        packed_address(host)
        return [(host, port)]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family or socket.AF_UNSPEC, type=socket.SOCK_DGRAM)
    by_family: dict[int, dict[Address, None]] = {}
    for entry in found:
        by_family.setdefault(entry[0], {})[_literal(entry[4]), port] = None
    taking_turns = chain.from_iterable(zip_longest(*by_family.values()))
    return [address for address in taking_turns if address is not None]


def _literal(address: tuple[Any, ...]) -> str:
    """The host of a socket address, with the zone that a link-local one needs."""
    literal = str(address[0])
    has_zone = len(address) == 4 and address[3] and "%" not in literal
    return f"{literal}%{address[3]}" if has_zone else literal
