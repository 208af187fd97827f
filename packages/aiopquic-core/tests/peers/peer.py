"""One end of a connection by aioquic or qh3: ``peer.py MODULE server|client SETTINGS``, with SETTINGS in JSON.

It does what the JSON lines of its input say, and tells on its output what happens, a JSON line each. Both ends of a
test stand in the test itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import sys
from typing import Any

from exchange import ALPN, pattern

asyncio_api = importlib.import_module(f"{sys.argv[1]}.asyncio")
events = importlib.import_module(f"{sys.argv[1]}.quic.events")
QuicConfiguration = importlib.import_module(f"{sys.argv[1]}.quic.configuration").QuicConfiguration

#: How much of the first bytes of a stream is told.
TEXT_BYTES = 100


def tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Protocol(asyncio_api.QuicConnectionProtocol):  # type: ignore[name-defined, misc]
    newest: Protocol

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.hashes: dict[int, Any] = {}
        self.lengths: dict[int, int] = {}
        Protocol.newest = self

    def quic_event_received(self, event: object) -> None:
        if isinstance(event, events.StreamDataReceived):
            self.received(event)
        elif isinstance(event, events.HandshakeCompleted):
            tell("connected", alpn=event.alpn_protocol)
        elif isinstance(event, events.StreamReset):
            tell("reset", stream=event.stream_id, code=event.error_code)
        elif isinstance(event, events.StopSendingReceived):
            tell("stop", stream=event.stream_id, code=event.error_code)
        elif isinstance(event, events.DatagramFrameReceived):
            tell("datagram", text=bytes(event.data).decode())
        elif isinstance(event, events.ConnectionTerminated):
            tell("terminated", code=event.error_code, frame=event.frame_type, reason=event.reason_phrase)

    def received(self, event: Any) -> None:
        stream, data = event.stream_id, bytes(event.data)
        if stream not in self.hashes:
            self.hashes[stream] = hashlib.sha256()
            self.lengths[stream] = 0
            tell("data", stream=stream, text=data[:TEXT_BYTES].decode("latin-1"))
        self.hashes[stream].update(data)
        self.lengths[stream] += len(data)
        if event.end_stream:
            tell("end", stream=stream, length=self.lengths[stream], sha256=self.hashes[stream].hexdigest())

    # ---- what the input asks for ----

    def do_open(self, uni: bool = False) -> None:
        stream = self._quic.get_next_available_stream_id(is_unidirectional=uni)
        self._quic.send_stream_data(stream, b"")  # the id is taken
        tell("opened", stream=stream)

    def do_send(self, stream: int, text: str = "", size: int = 0, end: bool = False) -> None:
        self._quic.send_stream_data(stream, text.encode())
        for piece in pattern("peer", size):
            self._quic.send_stream_data(stream, piece)
        if end:
            self._quic.send_stream_data(stream, b"", end_stream=True)

    def do_reset(self, stream: int, code: int) -> None:
        self._quic.reset_stream(stream, code)

    def do_stop(self, stream: int, code: int) -> None:
        self._quic.stop_stream(stream, code)

    def do_datagram(self, text: str) -> None:
        self._quic.send_datagram_frame(text.encode())

    def do_close(self, code: int = 0, reason: str = "", frame: int | None = None) -> None:
        self._quic.close(error_code=code, frame_type=frame, reason_phrase=reason)

    def do_update_keys(self) -> None:
        self._quic.request_key_update()

    def do_change_connection_id(self) -> None:
        self._quic.change_connection_id()

    def do_ping(self) -> None:
        pong = asyncio.ensure_future(self.ping())
        pong.add_done_callback(lambda _: tell("pong"))


async def obey() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        getattr(Protocol.newest, f"do_{command.pop('do')}")(**command)
        Protocol.newest.transmit()


async def main(role: str, settings: dict[str, Any]) -> None:
    host = settings.pop("host")
    files = [settings.pop(name, None) for name in ("certificate", "key", "cafile")]
    port = settings.pop("port", 0)
    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=role == "client", **settings)
    if role == "server":
        configuration.load_cert_chain(*files[:2])
        server = await asyncio_api.serve(host, 0, configuration=configuration, create_protocol=Protocol)
        tell("listening", port=server._transport.get_extra_info("sockname")[1])
        await obey()
    else:
        configuration.load_verify_locations(files[2])
        configuration.server_name = "localhost"
        async with asyncio_api.connect(host, port, configuration=configuration, create_protocol=Protocol):
            await obey()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2], json.loads(sys.argv[3])))
