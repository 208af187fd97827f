"""QUIC for asyncio, over picoquic."""

from aiopquic._version import __version__
from aiopquic.quic.pool import close_idle_engines

__all__ = ["__version__", "close_idle_engines"]
