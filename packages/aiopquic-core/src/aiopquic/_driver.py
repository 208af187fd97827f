"""Which driver runs an engine: a network thread, or the asyncio loop itself."""

from __future__ import annotations

import os
import sys

from aiopquic.exceptions import ConfigurationError

__all__ = ["CAN_BE_LEFT_OUT", "left_out", "runs_inline", "uses_portable_loop"]

_DRIVERS = ("thread", "inline")

#: What the packet loop of Linux can be told to do without.
CAN_BE_LEFT_OUT = ("gso", "gro", "joining")


def uses_portable_loop() -> bool:
    """AIOPQUIC_LOOP=portable in the environment takes picoquic's packet loop instead of ours."""
    return os.environ.get("AIOPQUIC_LOOP") == "portable"


def left_out() -> frozenset[str]:
    """AIOPQUIC_WITHOUT in the environment names what the packet loop of Linux does without, with commas between.

    Raises:
        ConfigurationError: nothing is called that.
    """
    names = frozenset(filter(None, os.environ.get("AIOPQUIC_WITHOUT", "").split(",")))
    for name in sorted(names.difference(CAN_BE_LEFT_OUT)):
        known = ", ".join(CAN_BE_LEFT_OUT)
        raise ConfigurationError(f"AIOPQUIC_WITHOUT names what the packet loop does without: {known}, not {name!r}")
    return names


def runs_inline(driver: str) -> bool:
    """Whether the engine goes without a network thread.

    AIOPQUIC_LOOP=inline in the environment makes that the default, to run a whole program or test suite with it.

    Raises:
        ConfigurationError: no driver is called that, or this system does not have it.
    """
    if driver not in _DRIVERS:
        raise ConfigurationError(f'driver is "thread" or "inline", not {driver!r}')
    if driver == "thread" and os.environ.get("AIOPQUIC_LOOP") != "inline":
        return False
    if not sys.platform.startswith("linux"):
        raise ConfigurationError('driver="inline" needs Linux: use driver="thread" here')
    if uses_portable_loop():
        raise ConfigurationError(
            'AIOPQUIC_LOOP=portable asks for picoquic\'s packet loop, which has no driver="inline"'
        )
    return True
