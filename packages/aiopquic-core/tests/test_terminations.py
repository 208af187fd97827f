"""Each way in which a connection ends is told once, by a kind of its own and in words."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest

from aiopquic.asyncio import connect, serve
from aiopquic.exceptions import (
    AlpnError,
    CloseKind,
    CloseReason,
    ConfigurationError,
    ConnectionClosedError,
    HandshakeTimeoutError,
    IdleTimeoutError,
    QuicConnectionError,
    ServerRefusedError,
    StatelessResetError,
    TransportError,
    VersionNegotiationError,
)
from aiopquic.quic.configuration import QUIC_V1, QUIC_V2, QuicConfiguration
from aiopquic.quic.events import ConnectionTerminated

from .certificates import Certificates
from .support import ALPN, DEADLINE, Endpoints, Recorder, client_configuration, server_configuration

STREAM_FRAME = 0x08


@asynccontextmanager
async def aioquic_server(certificates: Certificates) -> AsyncIterator[tuple[int, list[Any]]]:
    """A server of another make in this process: its port, and its protocols."""
    asyncio_api = pytest.importorskip("aioquic.asyncio", reason="aioquic is installed by the nox sessions that test")
    from aioquic.quic.configuration import QuicConfiguration

    protocols: list[Any] = []

    class Protocol(asyncio_api.QuicConnectionProtocol):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            protocols.append(self)

    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=False)
    configuration.load_cert_chain(certificates.good.cert, certificates.good.key)
    server = await asyncio_api.serve("127.0.0.1", 0, configuration=configuration, create_protocol=Protocol)
    try:
        yield server._transport.get_extra_info("sockname")[1], protocols
    finally:
        server.close()


@pytest.mark.peer
async def test_frame_type_of_a_peers_close(certificates: Certificates):
    """The frame that a peer blames for a transport error reaches event, reason and text (RFC 9000 section 19.19)."""
    async with (
        aioquic_server(certificates) as (port, protocols),
        connect(
            "127.0.0.1", port, configuration=client_configuration(certificates), create_protocol=Recorder
        ) as client,
    ):
        protocols[0]._quic.close(error_code=0x05, frame_type=STREAM_FRAME, reason_phrase="no such state")
        protocols[0].transmit()
        event = await client.wait_for(ConnectionTerminated)
        assert (event.error_code, event.frame_type, event.reason_phrase) == (0x05, STREAM_FRAME, "no such state")
        assert client.quic.close_reason == CloseReason(
            CloseKind.TRANSPORT, True, error_code=0x05, frame_type=STREAM_FRAME, reason="no such state"
        )
        assert "frame type 0x8" in str(client.quic.close_reason)
        assert isinstance(client.quic.close_reason.exception(), TransportError)


@pytest.mark.peer
async def test_real_protocol_error(certificates: Certificates):
    """A peer that opens a stream beyond our limit is refused by the stack, with the code for it."""
    configuration = client_configuration(certificates, max_streams_bidi=1)
    async with (
        aioquic_server(certificates) as (port, protocols),
        connect("127.0.0.1", port, configuration=configuration, create_protocol=Recorder) as client,
    ):
        quic = protocols[0]._quic
        quic._remote_max_streams_bidi = 1000
        quic.send_stream_data(4 * 500 + 1, b"beyond the limit")
        protocols[0].transmit()
        event = await client.wait_for(ConnectionTerminated)
        assert event.error_code == 0x04  # STREAM_LIMIT_ERROR
        assert client.quic.close_reason is not None
        assert client.quic.close_reason.kind is CloseKind.TRANSPORT
        assert not client.quic.close_reason.is_remote


def test_no_frame_is_blamed():
    """Without a frame the text says nothing of one."""
    assert "frame" not in str(CloseReason(CloseKind.TRANSPORT, True, error_code=0x1))


# ---- a peer that lost its state ----

SERVER = """
import asyncio, sys
from aiopquic.asyncio import serve
from aiopquic.quic.configuration import QuicConfiguration

async def main(certificate, key, alpn, secret):
    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=[alpn], certificate_file=certificate, private_key_file=key,
        stateless_reset_secret=bytes.fromhex(secret))
    async with await serve("127.0.0.1", 0, configuration=configuration) as server:
        print(server.port, flush=True)
        await server.serve_forever()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_stateless_reset(endpoints: Endpoints, certificates: Certificates):
    """A server that died without a word and came back ends the connections that it has lost."""
    secret = bytes(range(16))
    files = str(certificates.good.cert), str(certificates.good.key)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, *files, ALPN, secret.hex(), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        settings = client_configuration(certificates, keep_alive_interval=0.2)
        async with connect("127.0.0.1", port, configuration=settings, create_protocol=Recorder) as client:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            configuration = server_configuration(certificates, stateless_reset_secret=secret)
            async with await serve("127.0.0.1", port, configuration=configuration):
                with contextlib.suppress(StatelessResetError):  # what kept the connection alive may have met the reset
                    client.quic.send_stream_data(client.quic.get_next_available_stream_id(), bytes(1000))
                event = await client.wait_for(ConnectionTerminated)
            check_end(client, event, CloseKind.STATELESS_RESET, StatelessResetError, "stateless reset")
            assert event.close_reason is not None
            assert event.close_reason.is_remote
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("secret", [b"too short", bytes(16), "x" * 16, bytes(17)])
def test_wrong_reset_secret(secret: Any):
    """The secret is sixteen bytes that somebody drew."""
    with pytest.raises(ConfigurationError, match="16 random bytes"):
        QuicConfiguration(is_client=False, stateless_reset_secret=secret)


# ---- no version in common ----


class Negotiator(asyncio.DatagramProtocol):
    """Answers every Initial with a Version Negotiation packet (RFC 9000 section 17.2.1)."""

    def __init__(self, versions: list[int], echoes: bool = True) -> None:
        self.versions = versions
        self.echoes = echoes
        self.answered = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        destination = data[6 : 6 + data[5]]
        source = data[7 + len(destination) : 7 + len(destination) + data[6 + len(destination)]]
        if not self.echoes:
            source = bytes(len(source))
        ids = bytes([len(source)]) + source + bytes([len(destination)]) + destination
        listed = b"".join(version.to_bytes(4, "big") for version in self.versions)
        self.transport.sendto(b"\x80" + bytes(4) + ids + listed, address)
        self.answered += 1


@asynccontextmanager
async def negotiator(versions: list[int], echoes: bool = True) -> AsyncIterator[tuple[int, Negotiator]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Negotiator(versions, echoes), ("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1], protocol
    finally:
        transport.close()


@pytest.mark.parametrize("versions", [[0x0A1A2A3A, 0xFF00001D], [QUIC_V2]], ids=["unknown", "known"])
async def test_version_negotiation(certificates: Certificates, versions: list[int]):
    """A server that does not speak our version ends the attempt at once (RFC 9000 section 6.2)."""
    async with negotiator(versions) as (port, _), asyncio.timeout(DEADLINE):
        configuration = client_configuration(certificates, handshake_timeout=DEADLINE)
        async with connect(
            "127.0.0.1", port, configuration=configuration, create_protocol=Recorder, wait_connected=False
        ) as client:
            event = await client.wait_for(ConnectionTerminated)
        check_end(client, event, CloseKind.VERSION_NEGOTIATION, VersionNegotiationError, "no common QUIC version")


@pytest.mark.parametrize(("versions", "echoes"), [([QUIC_V1], True), ([QUIC_V2], False)], ids=["ours", "forged"])
async def test_version_negotiation_that_means_nothing(certificates: Certificates, versions: list[int], echoes: bool):
    """One that lists our version, or does not know our connection id, is discarded; nobody answered then."""
    async with negotiator(versions, echoes) as (port, protocol):
        configuration = client_configuration(certificates, handshake_timeout=0.5)
        with pytest.raises(HandshakeTimeoutError):
            async with connect("127.0.0.1", port, configuration=configuration):
                pass
        assert protocol.answered


# ---- the others: one event each, by a kind of its own ----


def check_end(
    client: Recorder, event: ConnectionTerminated, kind: CloseKind, error: type[QuicConnectionError], words: str
) -> None:
    """One last event; reason, text and exception say the same."""
    reason = client.quic.close_reason
    assert client.seen(ConnectionTerminated) == [event]
    assert client.events[-1] is event
    assert reason is not None
    assert event.close_reason is reason
    assert reason.kind is kind
    assert type(reason.exception()) is error
    assert words in str(reason)
    assert words in event.reason_phrase or event.reason_phrase == reason.reason


ENDS: dict[str, tuple[dict[str, Any], CloseKind, type[QuicConnectionError], str]] = {
    "TLS alert": ({"alpn_protocols": ["other"]}, CloseKind.TRANSPORT, AlpnError, "no_application_protocol"),
    "refused handshake": ({}, CloseKind.TRANSPORT, ServerRefusedError, "the peer refused the connection"),
    "idle timeout": ({"idle_timeout": 0.2}, CloseKind.IDLE_TIMEOUT, IdleTimeoutError, "idle timeout"),
    "application close": ({}, CloseKind.APPLICATION, ConnectionClosedError, "application code 0x7"),
    "dead port": ({"handshake_timeout": 0.3}, CloseKind.HANDSHAKE_TIMEOUT, HandshakeTimeoutError, "nobody answered"),
}


@pytest.mark.parametrize("case", ENDS)
async def test_ends_are_told_apart(endpoints: Endpoints, unused_port: int, certificates: Certificates, case: str):
    """Exactly one ConnectionTerminated each, with its own kind, exception and sentence."""
    settings, kind, error, words = ENDS[case]
    configuration = client_configuration(certificates, **settings)
    async with endpoints.server(max_connections=1) as server:
        port = unused_port if case == "dead port" else server.port
        if case == "refused handshake":
            first = connect("127.0.0.1", port, configuration=client_configuration(certificates))
        else:
            first = nullcontext()
        async with (
            first,
            connect(
                "127.0.0.1", port, configuration=configuration, create_protocol=Recorder, wait_connected=False
            ) as client,
        ):
            if case == "application close":
                (await server.peer()).close(7, "enough")
            event = await client.wait_for(ConnectionTerminated)
            await client.wait_closed()
        check_end(client, event, kind, error, words)
