"""IP literals, and what this host's sockets can do."""

from __future__ import annotations

import socket

__all__ = ["has_ipv6", "ip_version", "packed_address"]


def packed_address(host: str) -> bytes:
    """The 4 or 16 bytes of an IP literal, whatever zone is behind it.

    Of ``socket``, which asyncio has loaded, and not of ``ipaddress``, which takes a millisecond to import.

    Raises:
        ValueError: ``host`` is no IP literal.
    """
    literal = host.partition("%")[0]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, literal)
        except OSError:
            continue
    raise ValueError(f"{host!r} is not an IP literal, such as 192.0.2.1 or 2001:db8::1")


def ip_version(host: str) -> int:
    """4 or 6, of an IP literal. Raises ValueError for anything else."""
    return 4 if len(packed_address(host)) == 4 else 6


def has_ipv6() -> bool:
    """True when this host lets a socket bind the IPv6 wildcard address. Asked until it does: a host seldom loses it."""
    return bool(_ipv6_seen) or _binds_ipv6()


#: Filled by the first socket that bound an IPv6 address.
_ipv6_seen: list[bool] = []


def _binds_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(("::", 0))
    except OSError:
        return False
    _ipv6_seen.append(True)
    return True
