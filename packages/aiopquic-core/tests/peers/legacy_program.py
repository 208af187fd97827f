"""A program for the existing releases of aiopquic, which runs unchanged on ours: same file, same output.

It knows public names only: a mixin before QuicConnectionProtocol, messages on streams, datagrams, closes, and the
low-level transport. ``server PORT CERT KEY``, ``client PORT CAFILE`` or ``lowlevel PORT CERT KEY``.
"""

import asyncio
import functools
import hashlib
import io
import select
import sys
import time

from aiopquic._binding._transport import TransportContext
from aiopquic.asyncio.client import connect
from aiopquic.asyncio.protocol import QuicConnectionProtocol
from aiopquic.asyncio.server import serve
from aiopquic.buffer import Buffer, BufferReadError
from aiopquic.exceptions import StreamUnderflow
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicErrorCode, stream_is_unidirectional
from aiopquic.quic.events import (
    ConnectionTerminated,
    DatagramFrameReceived,
    HandshakeCompleted,
    ProtocolNegotiated,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aiopquic.streamchain import StreamChain
from aiopquic.versions import print_versions

ALPN = "legacy-00"
ECHO, RESET, STOP, SEND, ONE_WAY, WATCH = range(1, 7)
TIMEOUT = 20
PIECE = 65536


def encode(kind, payload=b""):
    buffer = Buffer(capacity=16 + len(payload))
    buffer.push_uint_var(kind)
    buffer.push_uint_var(len(payload))
    buffer.push_bytes(payload)
    return buffer.data


def decode(data):
    buffer = Buffer(data=data)
    kind = buffer.pull_uint_var()
    return kind, buffer.pull_bytes(buffer.pull_uint_var())


def sha(data):
    return hashlib.sha256(data).hexdigest()[:16]


def say(*words):
    print(*words, flush=True)


class SessionMixin:
    """Stands before QuicConnectionProtocol and takes arguments of its own."""

    def __init__(self, *args, session, **kwargs):
        super().__init__(*args, **kwargs)
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._chains = {}
        self._tasks = set()

    def quic_event_received(self, event):
        name = f"on_{type(event).__name__}"
        handler = getattr(self, name, None)
        if handler is not None:
            handler(event)

    def parse(self, stream_id, data):
        """The messages that are complete; the rest stays in the chain."""
        chain = self._chains.setdefault(stream_id, StreamChain())
        chain.extend(data)
        while chain.capacity > chain.tell():
            chain.save()
            try:
                kind = chain.pull_uint_var()
                payload = bytes(chain.pull_bytes(chain.pull_uint_var()))
            except (StreamUnderflow, BufferReadError):
                chain.rollback()
                return
            chain.commit()
            yield kind, payload

    def start(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send_retrying(self, stream_id, data, end_stream=False):
        """In pieces, each again and again until it is taken."""
        pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)] or [b""]
        for index, piece in enumerate(pieces):
            while True:
                try:
                    last = end_stream and index == len(pieces) - 1
                    self._quic.send_stream_data(stream_id=stream_id, data=piece, end_stream=last)
                    break
                except BufferError:
                    await asyncio.sleep(0.0001)


class ServerSession(SessionMixin, QuicConnectionProtocol):
    def on_ProtocolNegotiated(self, event):
        say("server alpn", event.alpn_protocol, "client" if self._quic.configuration.is_client else "server")

    def on_StreamDataReceived(self, event):
        if event.stream_id in self._session["watched"] and event.end_stream:
            say("server got the end of", event.stream_id)
        for kind, payload in self.parse(event.stream_id, event.data):
            self.answer(event.stream_id, kind, payload)

    def answer(self, stream_id, kind, payload):
        if kind == ECHO:
            self.start(self.send_retrying(stream_id, encode(ECHO, payload), end_stream=True))
        elif kind == RESET:
            self._quic.reset_stream(stream_id, int.from_bytes(payload, "big"))
        elif kind == STOP:
            self._quic.stop_stream(stream_id, int.from_bytes(payload, "big"))
        elif kind == SEND:
            data = bytes(int.from_bytes(payload, "big"))
            self.start(self._quic.send_stream_data_drained(stream_id, data, end_stream=True))
        elif kind == ONE_WAY:
            own = self._quic.get_next_available_stream_id(is_unidirectional=True)
            say("server opens", own, stream_is_unidirectional(own))
            self._quic.send_stream_data(own, encode(ECHO, payload), end_stream=True)
        elif kind == WATCH:
            self._session["watched"].add(stream_id)
            self._quic.send_stream_data(stream_id, encode(WATCH))

    def on_DatagramFrameReceived(self, event):
        self._quic.send_datagram_frame(bytes(event.data)[::-1])

    def on_StreamReset(self, event):
        if event.stream_id in self._session["watched"]:
            say("server got a reset of", event.stream_id, "code", event.error_code)

    def on_StopSendingReceived(self, event):
        if event.stream_id in self._session["watched"]:
            say("server got a stop of", event.stream_id, "code", event.error_code)

    def on_ConnectionTerminated(self, event):
        if not self._session["over"]:
            self._session["over"] = True
            say("server terminated", event.error_code)


class ClientSession(SessionMixin, QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []
        self.data = {}
        self.ended = set()
        self.changed = asyncio.Event()

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            self.data[event.stream_id] = self.data.get(event.stream_id, b"") + bytes(event.data)
            if event.end_stream:
                self.ended.add(event.stream_id)
        else:
            self.seen.append(event)
        self.changed.set()

    async def until(self, condition):
        async def wait():
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), TIMEOUT)

    async def first(self, kind):
        await self.until(lambda: any(isinstance(event, kind) for event in self.seen))
        event = next(event for event in self.seen if isinstance(event, kind))
        self.seen.remove(event)
        return event

    async def whole(self, stream_id):
        await self.until(lambda: stream_id in self.ended)
        return self.data.pop(stream_id)

    async def ask(self, kind, payload=b""):
        stream_id = self._quic.get_next_available_stream_id()
        await self.send_retrying(stream_id, encode(kind, payload), end_stream=kind in (ECHO, SEND))
        return stream_id


async def run_server(port, certificate, key):
    configuration = QuicConfiguration(
        alpn_protocols=[ALPN], is_client=False, max_data=2**24, max_stream_data=2**24, max_datagram_frame_size=64 * 1024
    )
    configuration.load_cert_chain(certificate, key)
    session = {"watched": set(), "over": False}
    server = await serve(
        "127.0.0.1",
        port,
        configuration=configuration,
        create_protocol=functools.partial(ServerSession, session=session),
    )
    say("serving")
    while not session["over"]:  # noqa: ASYNC110 - says what a program would
        await asyncio.sleep(0.01)
    server.close()


async def handshake(client, port):
    await client.first(HandshakeCompleted)
    say("alpn", (await client.first(ProtocolNegotiated)).alpn_protocol)
    quic = client._quic
    host, peer_port = quic.peer_address()
    say("peer", host, peer_port == port, "closed", quic.closed, "connected", quic._connected)
    parameters = quic.peer_transport_parameters
    say("parameters", parameters["initial_max_streams_bidi"], parameters["initial_max_streams_uni"])
    say("connection ids", sorted(quic.connection_ids), "no error", int(QuicErrorCode.NO_ERROR))


async def streams(client):
    small = await client.ask(ECHO, b"hello")
    say("echo", small, decode(await client.whole(small)))
    large = bytes(range(256)) * 4096
    stream_id = await client.ask(ECHO, large)
    kind, payload = decode(await client.whole(stream_id))
    say("large echo", kind, len(payload), sha(payload) == sha(large))
    stream_id = await client.ask(SEND, (3 * 2**20).to_bytes(4, "big"))
    say("drained", sha(await client.whole(stream_id)))
    one_way = client._quic.get_next_available_stream_id(is_unidirectional=True)
    client._quic.send_stream_data(one_way, encode(ONE_WAY, b"over there"), end_stream=True)
    await client.until(lambda: any(stream_is_unidirectional(ended) for ended in client.ended))
    opened = next(ended for ended in client.ended if stream_is_unidirectional(ended))
    say("one way", one_way, opened, decode(client.data[opened]))
    stream_id = await client.ask(WATCH)
    await client.until(lambda: stream_id in client.data)
    client._quic.send_stream_data(stream_id, b"", end_stream=True)
    say("ended", stream_id)


async def waiting(client):
    """Writes until there is no room, then with the drain event."""
    quic = client._quic
    stream_id = quic.get_next_available_stream_id()
    data = encode(ECHO, bytes(8 * 2**20))
    event = quic.get_tx_data_drain_event(stream_id)
    refused = 0
    for at in range(0, len(data), 2**18):
        while True:
            try:
                event.clear()
                quic.send_stream_data(stream_id, data[at : at + 2**18], end_stream=at + 2**18 >= len(data))
                break
            except BufferError:
                refused += 1
                await asyncio.wait_for(event.wait(), TIMEOUT)
    say("refused", refused > 0, "echoed", sha(await client.whole(stream_id)))
    say("sent", quic.tx_sent_bytes(stream_id) in (0, len(data)), "used", quic.tx_data_ring_used(stream_id))
    say("fill", 0.0 <= quic.tx_event_ring_fill() < 0.5)


async def ends(client):
    quic = client._quic
    await client.ask(RESET, b"\x77")
    event = await client.first(StreamReset)
    say("reset by the server", event.stream_id, event.error_code)
    await client.ask(STOP, b"\x78")
    event = await client.first(StopSendingReceived)
    say("stopped by the server", event.stream_id, event.error_code)
    for act, code in ((quic.reset_stream, 5), (quic.stop_stream, 6)):
        stream_id = await client.ask(WATCH)
        await client.until(lambda stream_id=stream_id: stream_id in client.data)
        act(stream_id, code)
        say("gave up", stream_id, code)
        again = await client.ask(ECHO)
        await client.whole(again)
    say("priority", quic.set_stream_priority(await client.ask(WATCH), 2))


async def datagrams(client):
    quic = client._quic
    say(
        "datagram",
        quic.max_datagram_payload(),
        quic.send_datagram_frame(b"ping"),
        quic.get_datagram_tx_drain_event().is_set(),
    )
    event = await client.first(DatagramFrameReceived)
    say("datagram back", bytes(event.data))
    try:
        quic.send_datagram_frame(bytes(5000))
    except ValueError:
        say("datagram too large")


async def statistics(client):
    """The figures are those of a moment ago: asking once asks for newer ones."""
    quic, names = client._quic, ("rtt", "rtt_min", "cwin", "sent", "lost", "bytes_in_transit")
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and not (quic.path_quality() and quic.bytes_received > 3 * 2**20):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    say("quality", all(name in quic.path_quality() for name in names))
    say("bytes", quic.bytes_sent > 0, quic.bytes_received > 3 * 2**20)


async def run_client(port, cafile):
    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=True, stream_ring_cap=2**20)
    configuration.load_verify_locations(cafile)
    configuration.server_name = "localhost"
    create = functools.partial(ClientSession, session="client")
    async with connect("localhost", port, configuration=configuration, create_protocol=create) as client:
        await handshake(client, port)
        await streams(client)
        await waiting(client)
        await ends(client)
        await datagrams(client)
        await statistics(client)
        client._quic.close(error_code=9, reason_phrase="done")
        say("terminated", type(await client.first(ConnectionTerminated)).__name__)
        await asyncio.wait_for(client.wait_closed(), TIMEOUT)
    text = io.StringIO()
    print_versions(file=text)
    say("versions", "aiopquic" in text.getvalue(), "picoquic" in text.getvalue())


# ---- the low-level transport ----

STREAM_DATA, STREAM_FIN, READY = 0, 1, 6


class Endpoint:
    def __init__(self, **settings):
        self.context = TransportContext()
        self.context.start(alpn=ALPN, **settings)
        self.ready = 0
        self.data = b""
        self.finished = False

    def drain(self):
        for event in self.context.drain_rx():
            kind, stream_id, data, is_fin, _code, connection, _stream, *_ = event
            if kind == READY and connection:
                self.ready = connection
            elif kind in (STREAM_DATA, STREAM_FIN):
                self.stream_id = stream_id
                self.data += bytes(data) if data is not None else b""
                self.finished = self.finished or kind == STREAM_FIN or bool(is_fin)


def run_lowlevel(port, certificate, key):
    server = Endpoint(port=port, cert_file=certificate, key_file=key, is_client=False)
    client = Endpoint(port=0, is_client=True, ca_file=certificate)
    client.context.create_client_connection("127.0.0.1", port, sni="localhost", alpn=ALPN)
    say("started", client.context.started, server.context.started)

    def until(condition):
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end, "nothing more happened"
            select.select([client.context.eventfd, server.context.eventfd], [], [], 0.1)
            client.drain()
            server.drain()

    until(lambda: client.ready and server.ready)
    say("alpn", client.context.get_negotiated_alpn(client.ready))
    client.context.tx_send_stream(client.ready, 0, b"hello", end_stream=True)
    until(lambda: server.finished)
    say("server got", server.stream_id, server.data)
    server.context.tx_send_stream(server.ready, 0, b"and back", end_stream=True)
    until(lambda: client.finished)
    say("client got", client.stream_id, client.data)
    client.context.wake_up()
    client.context.stop()
    server.context.stop()
    say("stopped", client.context.started, server.context.started)


if __name__ == "__main__":
    role, port, *files = sys.argv[1:]
    if role == "lowlevel":
        run_lowlevel(int(port), *files)
    else:
        asyncio.run((run_server if role == "server" else run_client)(int(port), *files))
