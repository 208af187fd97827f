"""Handlers that begin with 0-RTT data, before the handshake is complete: ``serve(..., wait_connected=False)``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

import aiopquic
from aiopquic.exceptions import CloseKind, ConfigurationError, QuicConnectionError
from aiopquic.streams.server import HANDLER_FAILED
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

from ..support import until
from .support import ALPN, Ends, echo, soon

DELAY = 0.05
"Of each direction."
ROUND_TRIP = 2 * DELAY
ADDRESS = ("server", 443)


@dataclass
class Host:
    """A server on a simulated network, and a client that comes back with a ticket."""

    network: SimulatedNetwork
    cafile: str
    store: aiopquic.SessionStore = field(default_factory=aiopquic.SessionStore)

    @asynccontextmanager
    async def visit(self, **settings: Any) -> AsyncIterator[aiopquic.Connection]:
        settings = {"alpn": ALPN, "cafile": self.cafile, "session_store": self.store} | settings
        async with aiopquic.connect(*ADDRESS, wait_connected=False, **settings) as client:
            yield client
        await aiopquic.close_idle_engines()

    async def ask(self, request: bytes = b"hello", *, place: str = "localhost", **settings: Any) -> tuple[float, bytes]:
        """One request in the client's first packet; the seconds until the answer is there."""
        with self.network.host(place):
            return await self._ask(request, **settings)

    async def _ask(self, request: bytes, **settings: Any) -> tuple[float, bytes]:
        async with self.visit(**settings) as client:
            start = self.network.time
            stream = await client.open_stream()
            await stream.write(request, end_stream=True)
            answer = await stream.read_all()
            return self.network.time - start, answer

    def deafen(self, place: str = "localhost") -> None:
        """From now on nothing of the server's reaches a client there, which never completes a handshake."""
        server, client = self.network.host("server"), self.network.host(place)
        self.network.link(server, client, Link(down=True), back=Link(delay=DELAY))


@asynccontextmanager
async def serving(network: SimulatedNetwork, handler: Any, **settings: Any) -> AsyncIterator[Host]:
    host, files = network.host("server"), network.certificate()
    network.host("localhost")
    settings = {"early_data": True, "wait_connected": False, "certificate": files.certificate} | settings
    with host:
        server = await aiopquic.serve(
            handler, host.address, ADDRESS[1], alpn=ALPN, private_key=files.private_key, **settings
        )
    async with server:
        yield Host(network, files.certificate)
        await asyncio.sleep(30)  # of the simulated clock: whatever is left of the connections ends
        assert server.connections == []


class Answering:
    """A handler that answers each stream, and remembers whether the handshake was complete."""

    def __init__(self) -> None:
        self.was_connected: list[bool] = []
        self.accepted: list[bool] = []

    async def __call__(self, connection: aiopquic.Connection) -> None:
        async for stream in connection.incoming_streams(bidirectional=True):
            request = await stream.read_all()
            self.was_connected.append(connection.is_connected)
            await stream.write(request[::-1], end_stream=True)
            await connection.wait_connected()
            self.accepted.append(connection.early_data_accepted)


@pytest.mark.parametrize("waits", [False, True], ids=["early", "behind the handshake"])
def test_round_trips_until_the_answer(waits: bool):
    """One for a client that comes back where the handler begins early, and two where it waits."""

    @simulated(seed=1, link=Link(delay=DELAY))
    async def run(network: SimulatedNetwork) -> None:
        handler = Answering()
        async with serving(network, handler, wait_connected=waits) as host:
            first, _ = await host.ask()
            again, answer = await host.ask()
        assert answer == b"olleh"
        assert first == pytest.approx(2 * ROUND_TRIP, abs=0.005)
        assert again == pytest.approx((2 if waits else 1) * ROUND_TRIP, abs=0.005)
        assert handler.was_connected == [True, waits]
        assert handler.accepted == [False, True]

    run()


@simulated(seed=2, link=Link(delay=DELAY))
async def test_refused_early_data_comes_behind_the_handshake(network: SimulatedNetwork):
    """The ticket is of a server with another key: the handler begins late, and nothing is lost or comes twice."""
    handler = Answering()
    async with serving(network, Answering()) as host:
        await host.ask()
    async with serving(network, handler) as other:
        other.store = host.store
        taken, answer = await other.ask()
    assert answer == b"olleh"
    assert taken > 1.9 * ROUND_TRIP
    assert (handler.was_connected, handler.accepted) == ([True], [False])


@simulated(seed=3, link=Link(delay=DELAY))
async def test_a_client_that_never_completes_its_handshake(network: SimulatedNetwork):
    """As with a recording: the handler begins, hears how it ended, and nothing of the connection is left."""
    ends: list[BaseException] = []
    requests: list[bytes] = []

    async def handle(connection: aiopquic.Connection) -> None:
        stream = await connection.accept_stream(bidirectional=True)
        requests.append(await stream.read_all())
        await stream.write(b"done", end_stream=True)
        try:
            await connection.wait_connected()
        except QuicConnectionError as error:
            ends.append(error)
            assert not connection.is_connected
            raise

    async with serving(network, handle, handshake_timeout=5) as host:
        await host.ask(b"first")
        host.deafen()
        with pytest.raises(QuicConnectionError):
            await host.ask(b"again", handshake_timeout=4)
    assert requests == [b"first", b"again"]
    assert len(ends) == 1


@simulated(seed=4, link=Link(delay=DELAY))
async def test_handlers_end_with_their_server(network: SimulatedNetwork):
    """One that waits for a handshake that doesn't come is cancelled when the server is closed."""
    ended: list[BaseException] = []

    async def handle(connection: aiopquic.Connection) -> None:
        stream = await connection.accept_stream(bidirectional=True)
        if await stream.read_all() == b"stay":
            try:
                await connection.wait_connected()
            except BaseException as error:
                ended.append(error)
                raise
        await stream.write(b"done", end_stream=True)

    host_, files = network.host("server"), network.certificate()
    network.host("localhost")
    with host_:
        server = await aiopquic.serve(
            handle, host_.address, 443, alpn=ALPN, certificate=files.certificate, private_key=files.private_key,
            early_data=True, wait_connected=False
        )  # fmt: skip
    host = Host(network, files.certificate)
    async with server:
        await host.ask()
        host.deafen()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await host.ask(b"stay")
        assert len(server.connections) == 1
    assert [type(error) for error in ended] == [asyncio.CancelledError]


@simulated(seed=5, link=Link(delay=DELAY))
async def test_no_amplification(network: SimulatedNetwork):
    """Of a long answer, an address that isn't proven gets three times what came from it (RFC 9000 section 8.1).

    The client comes from elsewhere: at its own address the token of its first visit would be the proof.
    """

    were_connected: list[bool] = []

    async def handle(connection: aiopquic.Connection) -> None:
        stream = await connection.accept_stream(bidirectional=True)
        await stream.read_all()
        were_connected.append(connection.is_connected)
        await stream.write(bytes(200_000), end_stream=True)

    async with serving(network, handle, handshake_timeout=5) as host:
        _, answer = await host.ask()
        assert len(answer) == 200_000
        server, client = network.host("server"), network.host("elsewhere")
        host.deafen("elsewhere")
        asking = asyncio.create_task(host.ask(place="elsewhere", handshake_timeout=4))
        most = 0.0
        for _ in range(100):
            await asyncio.sleep(0.1)
            into = network.counters(client, server).delivered_bytes
            out = network.counters(server, client).sent_bytes
            assert out <= 3 * into
            most = max(most, out / into if into else 0.0)
        assert most > 2  # the limit is what kept it from sending more
        with pytest.raises(QuicConnectionError):
            await asking
        assert were_connected == [True, False]


@simulated(seed=6, link=Link(delay=DELAY))
async def test_handler_that_raises(network: SimulatedNetwork, caplog: pytest.LogCaptureFixture):
    """The client learns the code as ever."""

    async def handle(connection: aiopquic.Connection) -> None:
        stream = await connection.accept_stream(bidirectional=True)
        if await stream.read_all() == b"bad":
            raise ValueError("as expected")
        await stream.write(b"done", end_stream=True)

    async with serving(network, handle) as host:
        await host.ask()
        async with host.visit() as client:
            stream = await client.open_stream()
            await stream.write(b"bad", end_stream=True)
            reason = await client.wait_closed()
    assert reason.kind is CloseKind.APPLICATION
    assert reason.error_code == HANDLER_FAILED
    assert "raised" in caplog.text
    caplog.clear()  # the traceback holds the connection


@simulated(seed=7, link=Link(delay=DELAY))
async def test_what_is_not_known_yet(network: SimulatedNetwork):
    """The facts of the handshake are there when it is complete."""
    early: list[bool] = []

    async def handle(connection: aiopquic.Connection) -> None:
        early.append(not connection.is_connected)
        if early[-1]:
            for fact in ("alpn", "peer_address", "early_data_accepted"):
                with pytest.raises(RuntimeError, match="wait_connected"):
                    getattr(connection, fact)
        await connection.wait_connected()
        assert connection.alpn == ALPN[0]
        await echo(connection)

    async with serving(network, handle) as host:
        for _ in range(2):
            assert await host.ask()
    assert early == [False, True]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "give early_data=True"),
        (
            {"early_data": True, "verify_mode": ssl.CERT_REQUIRED, "cafile": "x"},
            "whose certificate the client will show",
        ),
        (
            {"early_data": True, "verify_mode": ssl.CERT_OPTIONAL, "cafile": "x"},
            "whose certificate the client will show",
        ),
    ],
)
async def test_where_it_makes_no_sense(ends: Ends, settings: dict[str, Any], reason: str):
    with pytest.raises(ConfigurationError, match=reason):
        ends.serve(echo, wait_connected=False, **settings)


class Recorder(asyncio.DatagramProtocol):
    """A relay on the path to a server, which keeps what the client sends.

    It holds the server's answers back until two datagrams have come: the second one has what was written.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._client: tuple[str, int] | None = None
        self._held: list[bytes] = []
        self.recording: list[bytes] = []
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if address == self._server:
            self._held.append(data)
        else:
            self._client = address
            self.recording.append(data)
            self.transport.sendto(data, self._server)
        if len(self.recording) > 1:
            for answer in self._held:
                self.transport.sendto(answer, self._client)
            self._held.clear()


@pytest.mark.parametrize("waits", [False, True], ids=["early", "behind the handshake"])
async def test_a_recording(ends: Ends, waits: bool):
    """Sent again by somebody else, it reaches handlers that begin early, and them alone (RFC 9001 section 9.2)."""
    requests: list[tuple[bytes, bool]] = []

    async def handle(connection: aiopquic.Connection) -> None:
        stream = await connection.accept_stream(bidirectional=True)
        requests.append((await stream.read_all(), connection.is_connected))
        await stream.write(b"done", end_stream=True)
        await connection.wait_connected()

    loop = asyncio.get_running_loop()
    store = aiopquic.SessionStore()
    async with ends.serve(handle, early_data=True, wait_connected=waits, handshake_timeout=1) as server:
        _, relay = await loop.create_datagram_endpoint(lambda: Recorder(server.port), ("127.0.0.1", 0))
        for request, port in ((b"first", server.port), (b"again", relay.transport.get_extra_info("sockname")[1])):
            async with aiopquic.connect(
                "127.0.0.1", port, alpn=ALPN, cafile=ends.certificates.good.cert, session_store=store,
                wait_connected=False
            ) as client:  # fmt: skip
                stream = await client.open_stream()
                await stream.write(request, end_stream=True)
                assert await soon(stream.read_all()) == b"done"
                await client.wait_connected()
            await aiopquic.close_idle_engines()
        assert client.early_data_accepted
        relay.transport.close()
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", server.port))
        for datagram in relay.recording:
            other.sendto(datagram)
        await until(
            lambda: server.stats().handshakes_failed == 1 and not server.connections,
            "the end of what the recording began",
        )
        other.close()
    assert [request for request, _ in requests] == [b"first", b"again"] + [b"again"] * (not waits)
    assert requests[-1][1] is waits  # nobody completes a handshake with a recording
