"""aioquic as a process of its own: ``server CERT KEY SIZE`` or ``client PORT CAFILE SIZE``."""

from __future__ import annotations

import asyncio
import hashlib
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived
from exchange import ALPN, Answer, pattern

PORT_LINE = "port"
WINDOW = 8 << 20


class Server(QuicConnectionProtocol):
    size = 0
    hash = hashlib.sha256()

    def quic_event_received(self, event: object) -> None:
        if isinstance(event, StreamDataReceived):
            self.hash.update(event.data)
            if event.end_stream:
                for piece in pattern("server", Server.size):
                    self._quic.send_stream_data(event.stream_id, piece)
                self._quic.send_stream_data(event.stream_id, self.hash.digest(), end_stream=True)
                self.transmit()
        elif isinstance(event, ConnectionTerminated):
            print("terminated", event.error_code, event.reason_phrase, flush=True)


class Client(QuicConnectionProtocol):
    answer: Answer
    done: asyncio.Future[None]

    def quic_event_received(self, event: object) -> None:
        if isinstance(event, StreamDataReceived):
            self.answer.feed(event.data)
            if event.end_stream and not self.done.done():
                self.done.set_result(None)
        elif isinstance(event, ConnectionTerminated) and not self.done.done():
            self.done.set_exception(ConnectionError(event.reason_phrase))


async def run_server(certificate: str, key: str, size: int) -> None:
    Server.size = size
    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=False, max_data=WINDOW, max_stream_data=WINDOW)
    configuration.load_cert_chain(certificate, key)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    print(PORT_LINE, server._transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


async def run_client(port: int, cafile: str, size: int) -> None:
    configuration = QuicConfiguration(
        alpn_protocols=[ALPN], is_client=True, server_name="localhost", max_data=WINDOW, max_stream_data=WINDOW
    )
    configuration.load_verify_locations(cafile)
    async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Client) as client:
        client.answer = Answer(size)
        client.done = asyncio.get_running_loop().create_future()
        stream_id = client._quic.get_next_available_stream_id()
        for piece in pattern("client", size):
            client._quic.send_stream_data(stream_id, piece)
        client._quic.send_stream_data(stream_id, b"", end_stream=True)
        client.transmit()
        await client.done
        client.answer.check()
    print("ok", flush=True)


if __name__ == "__main__":
    role, first, second, third = sys.argv[1:]
    if role == "server":
        asyncio.run(run_server(first, second, int(third)))
    else:
        asyncio.run(run_client(int(first), second, int(third)))
