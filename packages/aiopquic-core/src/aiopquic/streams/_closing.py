"""Waiting for what was finished to reach the peer, before a connection closes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiopquic.exceptions import QuicConnectionError, StreamError
from aiopquic.streams.sending import SendStream

if TYPE_CHECKING:
    from aiopquic.streams.connection import Connection

__all__ = ["wait_until_delivered"]

#: Seconds without progress after which a peer is not waited for any longer: several retransmissions on any path.
QUIET_SECONDS = 3.0


async def wait_until_delivered(connection: Connection, streams: Iterable[object]) -> None:
    """Wait until those of the streams that are finished are acknowledged, as long as bytes go out."""
    for stream in streams:
        if isinstance(stream, SendStream) and stream.is_finished and not await _is_delivered(connection, stream):
            return


async def _is_delivered(connection: Connection, stream: SendStream) -> bool:
    """False when nothing moves any more."""
    while True:
        waiting = connection._binding.send_queued
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await stream.wait_acked()
            return True
        except StreamError:
            return True  # reset or stopped: nobody waits for it
        except QuicConnectionError:
            return False
        except TimeoutError:
            if connection._binding.send_queued == waiting:
                return False
