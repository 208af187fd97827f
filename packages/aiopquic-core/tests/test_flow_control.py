"""What flow control costs and whom it holds: few credit frames, none after the end; who stalls, stalls alone."""

from __future__ import annotations

import asyncio
import gc
import re
from pathlib import Path
from typing import Any

import psutil

from aiopquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived

from .support import Endpoints, Recorder, until

#: Memory that 1000 streams of one byte may take on both sides together: a sixteenth of what windows would.
MANY_STREAMS_BYTES = 8 << 20


async def test_credit_comes_in_few_frames(endpoints: Endpoints, tmp_path: Path):
    """A storm of credit messages: a window costs four MAX_STREAM_DATA frames at most, and none follows the end."""
    size, window = 4 << 20, 1 << 16
    settings: dict[str, Any] = {"initial_stream_window": window, "max_stream_data": window, "qlog_dir": tmp_path}
    async with endpoints.pair(server_settings=settings) as pair:
        await pair.client.quic.send_stream_data_drained(0, bytes(size), end_stream=True)
        assert len(await pair.peer.wait_end(0)) == size
        pair.peer.quic.send_stream_data(0, b"", end_stream=True)
        await pair.client.wait_end(0)
    (file,) = tmp_path.glob("*.qlog")  # noqa: ASYNC240 - nothing else runs any more
    text = file.read_text()
    limits = set(re.findall(r'"frame_type": "max_stream_data"[^}]*"maximum": (\d+)', text))
    assert limits
    assert len(limits) <= 4 * size // window + 4
    assert text.rfind('"frame_type": "max_stream_data"') < text.find('"fin": true')


async def test_a_stalled_peer_holds_up_no_other_connection(endpoints: Endpoints):
    """One client's streams are read by nobody; another client of the same server moves megabytes meanwhile."""

    class Choosy(Recorder):
        """Reads nothing that begins with "stall"."""

        def quic_event_received(self, event: QuicEvent) -> None:
            super().quic_event_received(event)
            if isinstance(event, StreamDataReceived) and self.data[event.stream_id].startswith(b"stall"):
                self.quic.pause_reading(event.stream_id)

    async with (
        endpoints.server(Choosy, max_data=1 << 18) as server,
        endpoints.connect(server) as stalled,
        endpoints.connect(server) as quick,
    ):
        writer = asyncio.create_task(stalled.quic.send_stream_data_drained(0, b"stall" + bytes(8 << 20)))
        peer = await server.peer()
        await peer.wait_bytes(0, 5)
        for stream_id in (0, 4, 8):
            await quick.quic.send_stream_data_drained(stream_id, bytes(1 << 20), end_stream=True)
            assert len(await (await server.peer(1)).wait_end(stream_id)) == 1 << 20
        assert not writer.done()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


async def test_1000_streams_of_one_byte_take_no_windows(endpoints: Endpoints):
    """A peer that opens 1000 streams with one byte each makes us allocate bytes, not windows."""

    class Sleeper(Recorder):
        def quic_event_received(self, event: QuicEvent) -> None:
            super().quic_event_received(event)
            if isinstance(event, StreamDataReceived):
                self.quic.pause_reading(event.stream_id)

    async with endpoints.pair(server=Sleeper, max_streams_bidi=1000) as pair:
        gc.collect()
        before = psutil.Process().memory_info().rss
        for number in range(1000):
            pair.client.quic.send_stream_data(4 * number, b"x")
        await until(lambda: len(pair.peer.data) == 1000, "every stream")
        assert psutil.Process().memory_info().rss - before < MANY_STREAMS_BYTES


async def test_nothing_is_told_after_the_end(endpoints: Endpoints):
    """Events after the end: with bytes, resets and stops on their way, ConnectionTerminated is the last event."""
    order: list[QuicEvent] = []

    class Diary(Recorder):
        def quic_event_received(self, event: QuicEvent) -> None:
            super().quic_event_received(event)
            order.append(event)

    async with endpoints.pair(Diary) as pair:
        for number in range(20):
            stream_id = pair.peer.quic.get_next_available_stream_id()
            pair.peer.quic.send_stream_data(stream_id, bytes(20_000))
            if number % 2:
                pair.peer.quic.reset_stream(stream_id, number)
        pair.peer.close(3)
        pair.client.close(4)
        pair.client.close(5)
        await pair.client.wait_closed()
        await pair.peer.wait_closed()
    assert [isinstance(event, ConnectionTerminated) for event in order].count(True) == 1
    assert isinstance(order[-1], ConnectionTerminated)
