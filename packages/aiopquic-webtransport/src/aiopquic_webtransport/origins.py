"""Which pages may open sessions: the check of the Origin header (RFC 6454), which only browsers send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from aiopquic.exceptions import ConfigurationError

__all__ = ["OriginCheck", "OriginRule", "origin_check"]

#: What a server is told: None for the same origin, "*" for every one, or those that are allowed.
OriginRule = str | Iterable[str] | None

#: Says whether a page of this origin may open a session at this authority.
OriginCheck = Callable[[str, str], bool]


def origin_check(rule: OriginRule) -> OriginCheck:
    """The check that follows from what a server was told.

    Raises:
        ConfigurationError: something is no origin.
    """
    if rule is None:
        return _is_same
    if rule == "*":
        return lambda origin, authority: True
    if isinstance(rule, str):
        raise ConfigurationError(f'origins is "*", or a list such as ["https://example.org"]: use [{rule!r}]')
    allowed = {_checked(origin) for origin in rule}
    return lambda origin, authority: _normal(origin) in allowed


def _is_same(origin: str, authority: str) -> bool:
    normal = _normal(origin)
    return normal is not None and normal == _normal(f"https://{authority}")


def _checked(origin: object) -> str:
    normal = _normal(origin) if isinstance(origin, str) else None
    if normal is None:
        raise ConfigurationError(f'an origin is a scheme, a host and a port, as "https://example.org", not {origin!r}')
    return normal


def _normal(origin: str) -> str | None:
    """Scheme, host and port in one spelling; None for what is no origin, such as ``null``."""
    try:
        parts = urlsplit(origin)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None
    if not parts.scheme or not parts.hostname or has_more:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"
