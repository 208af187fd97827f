"""The loss of one lever of performance at a time, planted on purpose: what the gate must find."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

__all__ = ["LOSSES", "plant_loss"]

Settings = dict[str, Any]


def _replace(owner: type, name: str, replacement: object) -> None:
    setattr(owner, name, replacement)


def _without(name: str) -> Callable[[Settings], None]:
    def lose(settings: Settings) -> None:
        os.environ["AIOPQUIC_WITHOUT"] = name

    return lose


def _portable(settings: Settings) -> None:
    os.environ["AIOPQUIC_LOOP"] = "portable"


def _spin(settings: Settings) -> None:
    settings["spin_time"] = 0


def _drain(settings: Settings) -> None:
    """A drain hands out one event, and the loop is woken for the next."""
    from aiopquic.quic.engine import QuicEngine

    _replace(QuicEngine, "drain_and_route", lambda engine: engine.binding.drain(1))


def _chunks(settings: Settings) -> None:
    """A read returns no more than a packet holds."""
    from aiopquic.streams.receiving import ReceiveStream

    async def read_chunk(stream: ReceiveStream) -> bytes | None:
        return await stream.read(1400) or None

    _replace(ReceiveStream, "read_chunk", read_chunk)


def _write(settings: Settings) -> None:
    """A write takes a turn of the loop, though there is room."""
    from aiopquic.streams.sending import SendStream

    write = SendStream.write

    async def slow(stream: SendStream, data: Any, end_stream: bool = False) -> None:
        await asyncio.sleep(0)
        await write(stream, data, end_stream)

    _replace(SendStream, "write", slow)


def _stream(settings: Settings) -> None:
    """Each stream costs a command and an event more, which nobody waits for."""
    from aiopquic.streams.sending import SendStream

    write = SendStream.write

    async def watched(stream: SendStream, data: Any, end_stream: bool = False) -> None:
        await write(stream, data, end_stream)
        if end_stream:
            stream._binding.want_acked()

    _replace(SendStream, "write", watched)


def _memory(settings: Settings) -> None:
    """Each connection, and each stream, keeps 16 KB."""
    from aiopquic.streams._base import BaseStream
    from aiopquic.streams.connection import Connection

    kept = []

    def hoards(init: Callable[..., None]) -> Callable[..., None]:
        def hoarding(*args: Any, **kwargs: Any) -> None:
            init(*args, **kwargs)
            kept.append(b"x" * 16384)

        return hoarding

    _replace(Connection, "__init__", hoards(Connection.__init__))
    _replace(BaseStream, "__init__", hoards(BaseStream.__init__))


#: By name: what is done in the process that is counted, or to the settings of its engines.
LOSSES: dict[str, Callable[[Settings], None]] = {
    "gso": _without("gso"),
    "gro": _without("gro"),
    "joining": _without("joining"),
    "loop": _portable,
    "spin": _spin,
    "drain": _drain,
    "chunks": _chunks,
    "write": _write,
    "stream": _stream,
    "memory": _memory,
}


def plant_loss(name: str, settings: Settings) -> None:
    """Lose that lever from here on; nothing for an empty name."""
    if name:
        LOSSES[name](settings)
