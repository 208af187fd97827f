"""A buffer with a cursor, for integers and byte strings in network byte order. docs/buffers.md tells how it moves."""

from __future__ import annotations

from aiopquic._binding._buffer import Buffer
from aiopquic.exceptions import BufferReadError

__all__ = ["Buffer", "BufferReadError"]
