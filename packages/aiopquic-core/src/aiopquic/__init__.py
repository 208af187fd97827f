"""QUIC for asyncio, over picoquic."""

from aiopquic._version import __version__

__all__ = ["__version__"]
