"""Protocols for tests: one that keeps what happens, one that sends back what it gets."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from aiopquic.asyncio.protocol import QuicConnectionProtocol
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import QuicEvent, StreamDataReceived
from aiopquic.quic.streams import stream_is_client_initiated, stream_is_unidirectional

__all__ = ["DEADLINE", "Changes", "Echo", "Recorder"]

#: Seconds until a wait for something that should come at once gives up.
DEADLINE = 20.0

E = TypeVar("E", bound=QuicEvent)


class Changes:
    """Wakes whoever waits for the next change."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        """Something has changed: everybody looks at their condition again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(
        self, condition: Callable[[], object], what: str | Callable[[], str], timeout: float = DEADLINE
    ) -> None:
        """Wait until the condition holds.

        Raises:
            AssertionError: it did not within ``timeout`` seconds; ``what`` is told.

        Cancellation: safe.
        """
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"{text} within {timeout} s") from None


class Recorder(QuicConnectionProtocol):
    """Keeps every event, and the bytes of every stream, for a test to wait for.

    Waiting raises AssertionError after ``timeout`` seconds, with what came instead. Every wait may be cancelled.
    """

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.quic = quic
        "The connection: what a program calls ``protocol._quic``."
        self.events: list[QuicEvent] = []
        "Every event but StreamDataReceived."
        self.data: defaultdict[int, bytearray] = defaultdict(bytearray)
        "The bytes of each stream."
        self.chunks: list[tuple[int, int]] = []
        "Stream id and length of each StreamDataReceived."
        self.ended: set[int] = set()
        "Streams whose end has come."
        self.changes = Changes()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self.chunks.append((event.stream_id, len(event.data)))
            self.keep(event.stream_id, event.data)
            if event.end_stream:
                assert event.stream_id not in self.ended, "two ends of one stream"
                self.ended.add(event.stream_id)
        else:
            self.events.append(event)
        self.changes.tell()

    def keep(self, stream_id: int, data: memoryview) -> None:
        """Keep bytes of a stream; override it to count them, say, or to write them down."""
        self.data[stream_id] += data

    def seen(self, kind: type[E], **fields: object) -> list[E]:
        """The events of that kind with those fields, so far."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
        ]

    async def wait_for(self, kind: type[E], timeout: float = DEADLINE, **fields: object) -> E:
        """The first event of that kind with those fields, once it is there."""

        def what() -> str:
            return f"no {kind.__name__}({fields}) among {self.events}"

        await self.changes.wait_for(lambda: self.seen(kind, **fields), what, timeout)
        return self.seen(kind, **fields)[0]

    async def wait_end(self, stream_id: int, timeout: float = DEADLINE) -> bytes:
        """All bytes of the stream, once it has ended."""
        await self.changes.wait_for(
            lambda: stream_id in self.ended,
            lambda: f"no end of stream {stream_id}: {dict(self.lengths)}",
            timeout,
        )
        return bytes(self.data[stream_id])

    async def wait_bytes(self, stream_id: int, count: int, timeout: float = DEADLINE) -> bytes:
        """The bytes of the stream, once there are ``count``."""
        await self.changes.wait_for(
            lambda: len(self.data[stream_id]) >= count,
            lambda: f"no {count} bytes: {dict(self.lengths)}",
            timeout,
        )
        return bytes(self.data[stream_id])

    @property
    def lengths(self) -> dict[int, int]:
        """How many bytes of each stream are here."""
        return {stream_id: len(data) for stream_id, data in self.data.items()}


class Echo(Recorder):
    """Sends back what it gets on the peer's bidirectional streams, in order, however much.

    Backpressure: what the peer does not take back waits in memory; for tests, not for strangers.
    """

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self._queues: dict[int, asyncio.Queue[tuple[bytes, bool]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, StreamDataReceived) and self._is_echoed(event.stream_id):
            if event.stream_id not in self._queues:
                self._queues[event.stream_id] = asyncio.Queue()
                task = asyncio.get_running_loop().create_task(self._send(event.stream_id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._queues[event.stream_id].put_nowait((bytes(event.data), event.end_stream))

    def keep(self, stream_id: int, data: memoryview) -> None:
        """Not kept."""

    def _is_echoed(self, stream_id: int) -> bool:
        is_own = stream_is_client_initiated(stream_id) == self._quic.configuration.is_client
        return not is_own and not stream_is_unidirectional(stream_id)

    async def _send(self, stream_id: int) -> None:
        end = False
        try:
            while not end:
                data, end = await self._queues[stream_id].get()
                await self._quic.send_stream_data_drained(stream_id, data, end)
        except ConnectionError:
            pass
        finally:
            del self._queues[stream_id]

    def close_tasks(self) -> None:
        """Give up what is not sent yet."""
        for task in self._tasks:
            task.cancel()
