"""The callback style, as programs for aioquic have it: a server that counts, a client that sends.

python examples/events.py
"""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

from aiopquic.asyncio import QuicConnectionProtocol, connect, serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived
from aiopquic.testing.certificates import dev_certificate

MIB = 1 << 20


class Counter(QuicConnectionProtocol):
    """Counts the bytes of each stream and answers with their number. Takes a breath after every MiB."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self._counts: dict[int, int] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            before = self._counts.get(event.stream_id, 0)
            after = self._counts[event.stream_id] = before + len(event.data)
            if event.end_stream:
                # 20 bytes always fit: the send budget of a stream is 4 MiB.
                self._quic.send_stream_data(event.stream_id, str(after).encode(), end_stream=True)
            elif after // MIB > before // MIB:
                # The client may fill its window, and then waits.
                self._quic.pause_reading(event.stream_id)
                asyncio.get_running_loop().call_later(0.01, self._quic.resume_reading, event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            print(f"server: {event.close_reason}")


class Sender(QuicConnectionProtocol):
    """Sends, and keeps the answer."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = b""

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._received += event.data
            if event.end_stream:
                self.answer.set_result(self._received)

    async def send(self, size: int) -> bytes:
        """Send ``size`` bytes, however small the budgets are, and return what the server says."""
        stream_id = self._quic.get_next_available_stream_id()
        await self._quic.send_stream_data_drained(stream_id, bytes(size), end_stream=True)
        return await self.answer


async def main(folder: str) -> None:
    certificate, key = dev_certificate().write(folder)
    accepting = QuicConfiguration(is_client=False, alpn_protocols=["count"])
    accepting.load_cert_chain(certificate, key)
    connecting = QuicConfiguration(alpn_protocols=["count"], cafile=certificate)
    async with (
        await serve("127.0.0.1", 0, configuration=accepting, create_protocol=Counter) as server,
        connect("127.0.0.1", server.port, configuration=connecting, create_protocol=Sender) as client,
    ):
        assert isinstance(client, Sender)
        print(f"client: the server counted {(await client.send(8 * MIB)).decode()} bytes")
        [counter] = server.protocols
        client.close(error_code=7, reason_phrase="that was all")
        await counter.wait_closed()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))
