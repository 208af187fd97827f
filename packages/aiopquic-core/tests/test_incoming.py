"""Deciding about clients before their handshake, over real connections; robustness.md, "hostile input"."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Any

import pytest

from aiopquic._binding._engine import live_counts
from aiopquic._driver import uses_portable_loop
from aiopquic.asyncio import serve
from aiopquic.exceptions import (
    ConfigurationError,
    HandshakeTimeoutError,
    ServerRefusedError,
    TransportError,
)
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.error_codes import QuicErrorCode
from aiopquic.quic.incoming import Decision, Incoming, IncomingDesk

from .conftest import LoopErrors
from .support import ALPN, Changes, Echo, Endpoints, client_configuration, server_configuration, until

#: Seconds in which a refusal has to be known: far from any timeout.
AT_ONCE = 8.0
#: Seconds that a client tries where nobody answers.
PATIENCE = 0.4


class Door:
    """A callback that keeps what it was shown, and answers when the test says so."""

    def __init__(self, *answers: Any) -> None:
        self.seen: list[Incoming] = []
        self.changes = Changes()
        self._answers = list(answers)
        self._waiting: list[asyncio.Future[Any]] = []

    def __call__(self, incoming: Incoming) -> Any:
        self.seen.append(incoming)
        self.changes.tell()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def hold(self, incoming: Incoming) -> Any:
        self.seen.append(incoming)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.changes.tell()
        return await future

    def answer(self, number: int, decision: Any) -> None:
        self._waiting[number].set_result(decision)

    async def wait(self, count: int = 1) -> Incoming:
        await self.changes.wait_for(lambda: len(self.seen) >= count, f"{count} clients were not asked about")
        return self.seen[count - 1]


async def echo(client: Any, payload: bytes = b"hello") -> None:
    stream_id = client.quic.get_next_available_stream_id()
    await client.quic.send_stream_data_drained(stream_id, payload, end_stream=True)
    assert await client.wait_end(stream_id) == payload


def attempts() -> int:
    return live_counts()["attempts"]


# ---- the three decisions ----


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine function"])
async def test_accept(endpoints: Endpoints, is_coroutine: bool):
    """The client gets in, and the callback was shown address, name and protocols."""
    door = Door(Decision.ACCEPT)

    async def decide(incoming: Incoming) -> Decision:
        await asyncio.sleep(0)
        return door(incoming)

    async with (
        endpoints.server(Echo, incoming=decide if is_coroutine else door, alpn_protocols=["b"]) as server,
        endpoints.connect(server, alpn_protocols=["a", "b"], server_name="localhost") as client,
    ):
        await echo(client)
        (incoming,) = door.seen
        assert incoming.peer_address == (await server.peer()).quic.peer_address()
        assert incoming.local_address == ("127.0.0.1", server.port)
        assert incoming.is_address_validated is False
        assert incoming.server_name == "localhost"
        assert incoming.alpn == ("a", "b")
    assert len(door.seen) == 1


async def test_ipv6_and_no_name(endpoints: Endpoints):
    """An address is no name (RFC 6066 section 3), and IPv6 works like IPv4."""
    door = Door(Decision.ACCEPT)
    async with (
        endpoints.server(Echo, host="::1", incoming=door) as server,
        endpoints.connect(server) as client,
    ):
        await echo(client)
    assert door.seen[0].local_address == ("::1", server.port)
    assert door.seen[0].server_name is None


async def test_refuse(endpoints: Endpoints):
    """The client is told at once, by an exception that is Python's own too; nobody was accepted."""
    async with endpoints.server(incoming=Door(Decision.REFUSE)) as server:
        start = time.monotonic()
        with pytest.raises(ServerRefusedError, match="the peer refused the connection") as caught:
            async with endpoints.connect(server):
                pass
        assert time.monotonic() - start < AT_ONCE
        assert isinstance(caught.value, ConnectionRefusedError)
        assert isinstance(caught.value, TransportError)
        assert caught.value.error_code == QuicErrorCode.CONNECTION_REFUSED
        assert caught.value.close_reason.is_remote
        assert server.peers == []


async def test_retry(endpoints: Endpoints):
    """The second look is at a proven address; what is asked for is the same."""
    door = Door(Decision.RETRY, Decision.ACCEPT)
    async with (
        endpoints.server(Echo, incoming=door) as server,
        endpoints.connect(server, server_name="localhost") as client,
    ):
        await echo(client)
    first, second = door.seen
    assert (first.is_address_validated, second.is_address_validated) == (False, True)
    assert first.peer_address == second.peer_address
    assert (second.server_name, second.alpn) == (first.server_name, first.alpn)


async def test_retry_again_refuses(endpoints: Endpoints, loop_errors: LoopErrors):
    """No client goes in circles: a second Retry would be ignored (RFC 9000 section 17.2.5.2)."""
    loop_errors.expect()
    door = Door(Decision.RETRY)
    async with endpoints.server(incoming=door) as server:
        with pytest.raises(ServerRefusedError):
            async with endpoints.connect(server):
                pass
    assert len(door.seen) == 2
    (error,) = loop_errors
    assert "takes one Retry only" in str(error["exception"])
    assert error["incoming"] == door.seen[1]


@pytest.mark.parametrize("has_callback", [False, True], ids=["alone", "with incoming"])
async def test_always_retry(endpoints: Endpoints, has_callback: bool):
    """Every client proves its address, and only then anybody is asked."""
    door = Door(Decision.ACCEPT)
    async with (
        endpoints.server(Echo, retry=True, incoming=door if has_callback else None) as server,
        endpoints.connect(server) as client,
    ):
        await echo(client)
        counters = server.server._engine.binding.counters
        assert counters["incoming_retried"] == (1 if has_callback or not uses_portable_loop() else 0)
    assert [incoming.is_address_validated for incoming in door.seen] == [True] * has_callback


@pytest.mark.parametrize("first", [Decision.ACCEPT, Decision.RETRY], ids=["accept", "retry"])
async def test_client_hello_of_two_datagrams(endpoints: Endpoints, first: Decision):
    """What a hybrid key share or long names make of a ClientHello: it is asked about once, as a whole."""
    names = [letter * 250 for letter in "abc"] + [ALPN * 60]
    door = Door(first, Decision.ACCEPT)
    async with (
        endpoints.server(Echo, incoming=door, alpn_protocols=names[3:]) as server,
        endpoints.connect(server, server_name="localhost", alpn_protocols=names) as client,
    ):
        await echo(client)
    assert {(incoming.server_name, incoming.alpn) for incoming in door.seen} == {("localhost", tuple(names))}
    assert len(door.seen) == (2 if first is Decision.RETRY else 1)


# ---- more than one, too late, wrong ----


async def test_slow_decision_holds_up_nobody_else(endpoints: Endpoints):
    """Others are asked about, decided and served while one waits."""
    door = Door()
    async with endpoints.server(Echo, incoming=door.hold) as server, asyncio.TaskGroup() as group:

        async def client(name: str) -> None:
            async with endpoints.connect(server, server_name=name) as protocol:
                await echo(protocol, name.encode())

        first = group.create_task(client("localhost"))
        await door.wait(1)
        second = group.create_task(client("localhost"))
        await door.wait(2)
        third = asyncio.ensure_future(client("localhost"))
        await door.wait(3)
        door.answer(2, Decision.REFUSE)
        with pytest.raises(ServerRefusedError):
            await third
        door.answer(1, Decision.ACCEPT)
        await second
        assert not first.done()
        assert attempts() == 1
        door.answer(0, Decision.ACCEPT)
    assert attempts() == 0


async def test_decision_after_the_client_has_gone(endpoints: Endpoints):
    """The handshake that begins then finds nobody, and costs nobody else anything."""
    door = Door()
    async with endpoints.server(Echo, incoming=door.hold) as server:
        with pytest.raises(HandshakeTimeoutError):
            async with endpoints.connect(server, handshake_timeout=PATIENCE):
                pass
        door.answer(0, Decision.ACCEPT)
        await until(lambda: attempts() == 0, "the end of the attempt")
        async with endpoints.connect(server, wait_connected=False) as client:
            await door.wait(2)
            door.answer(1, Decision.ACCEPT)
            await client.wait_connected()
            await echo(client)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (None, TypeError, "must return Decision.ACCEPT"),
        (True, TypeError, "not True"),
        ("accept", TypeError, "not 'accept'"),
    ],
)
async def test_wrong_answer(
    endpoints: Endpoints, loop_errors: LoopErrors, answer: object, error: type[Exception], text: str
):
    """Whatever is no decision refuses, and the loop's exception handler is told."""
    loop_errors.expect()
    async with endpoints.server(incoming=Door(answer)) as server:
        with pytest.raises(ServerRefusedError):
            async with endpoints.connect(server):
                pass
    (told,) = loop_errors
    assert isinstance(told["exception"], error)
    assert text in str(told["exception"])
    assert "refused" in told["message"]


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine function"])
async def test_callback_that_raises(endpoints: Endpoints, loop_errors: LoopErrors, is_coroutine: bool):
    """It costs that client its connection and nobody else anything."""
    loop_errors.expect()
    names: list[str | None] = []

    def decide(incoming: Incoming) -> Decision:
        names.append(incoming.server_name)
        if len(names) == 1:
            raise LookupError("no such tenant")
        return Decision.ACCEPT

    async def decide_later(incoming: Incoming) -> Decision:
        return decide(incoming)

    async with endpoints.server(Echo, incoming=decide_later if is_coroutine else decide) as server:
        with pytest.raises(ServerRefusedError):
            async with endpoints.connect(server):
                pass
        async with endpoints.connect(server) as client:
            await echo(client)
    (told,) = loop_errors
    assert isinstance(told["exception"], LookupError)


async def test_no_decision_in_time(endpoints: Endpoints, loop_errors: LoopErrors):
    """A decision has the handshake timeout; then the client is gone, and the coroutine is ended."""
    loop_errors.expect()
    door = Door()
    async with endpoints.server(incoming=door.hold, handshake_timeout=PATIENCE) as server:
        with pytest.raises((HandshakeTimeoutError, ServerRefusedError)):
            async with endpoints.connect(server, handshake_timeout=3 * PATIENCE):
                pass
        await until(lambda: loop_errors, "the report")
        assert "no decision within 0.4 s" in str(loop_errors[0]["exception"])
        await until(lambda: attempts() == 0, "the end of the attempt")
        assert door._waiting[0].cancelled()


async def test_cancelled_decision_refuses(endpoints: Endpoints):
    """A callback may be cancelled by what it awaits."""

    async def decide(incoming: Incoming) -> Decision:
        raise asyncio.CancelledError

    async with endpoints.server(incoming=decide) as server:
        with pytest.raises(ServerRefusedError):
            async with endpoints.connect(server):
                pass


async def test_server_closes_while_clients_wait(endpoints: Endpoints):
    """They are refused at once, and the decisions are cancelled."""
    door = Door()
    async with (
        endpoints.server(incoming=door.hold) as server,
        endpoints.connect(server, wait_connected=False) as client,
    ):
        await door.wait()
        await server.server.aclose()
        with pytest.raises(ServerRefusedError):
            await client.wait_connected()
    await until(lambda: door._waiting[0].cancelled(), "the end of the decision")


# ---- strangers ----


async def test_flood_of_random_initials(endpoints: Endpoints):
    """Nothing of it is held or asked about, and whoever is connected or comes notices nothing."""
    door = Door(Decision.ACCEPT)
    async with (
        endpoints.server(Echo, incoming=door) as server,
        endpoints.connect(server) as client,
    ):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.connect(("127.0.0.1", server.port))
            for number in range(2000):
                head = bytes([0xC0 | number % 4]) + b"\0\0\0\1\x08" + os.urandom(8) + b"\0\0" + b"\x44\x9e"
                stranger.send(head + os.urandom(1200 - len(head)))
                if number % 100 == 0:
                    await echo(client)
            async with endpoints.connect(server) as other:
                await echo(other)
        assert attempts() == 0
    assert len(door.seen) == 2


# ---- settings ----


async def test_incoming_must_be_a_function(endpoints: Endpoints):
    configuration = server_configuration(endpoints.certificates)
    with pytest.raises(ConfigurationError, match="returns a Decision, not 7"):
        await serve("127.0.0.1", 0, configuration=configuration, incoming=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"retry": True}, {"on_incoming": print}], ids=["retry", "incoming"])
def test_not_for_clients(endpoints: Endpoints, settings: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="for servers"):
        QuicEngine(configuration=client_configuration(endpoints.certificates), **settings)


async def test_not_with_the_portable_loop(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch):
    """Refused in so many words rather than let everybody in; retry works with either loop."""
    monkeypatch.setenv("AIOPQUIC_LOOP", "portable")
    configuration = server_configuration(endpoints.certificates)
    with pytest.raises(ConfigurationError, match="AIOPQUIC_LOOP=portable"):
        await serve("127.0.0.1", 0, configuration=configuration, incoming=Door(Decision.ACCEPT))
    async with (
        endpoints.server(Echo, retry=True) as server,
        endpoints.connect(server) as client,
    ):
        await echo(client)


async def test_engine_answers(endpoints: Endpoints):
    """The layer below: any handle may be answered, no other answer than the three."""
    engine = QuicEngine(
        configuration=server_configuration(endpoints.certificates),
        on_incoming=IncomingDesk(Door(Decision.ACCEPT), timeout=1).take,
    )
    try:
        engine.binding.answer_incoming(12345, 0)
        with pytest.raises(ValueError, match="INCOMING_RETRY, not 3"):
            engine.binding.answer_incoming(12345, 3)
    finally:
        engine.close()


# ---- another implementation as the client ----


async def _aioquic_client(port: int, cafile: str, name: str) -> str:
    from aioquic.asyncio import connect
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(alpn_protocols=["other", "test"], is_client=True, server_name=name)
    configuration.load_verify_locations(cafile)
    async with connect("127.0.0.1", port, configuration=configuration) as client:
        reader, writer = await client.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        return (await reader.read()).decode()


@pytest.mark.peer
@pytest.mark.parametrize("first", list(Decision), ids=lambda decision: decision.value)
async def test_aioquic_as_the_client(endpoints: Endpoints, first: Decision):
    """The three decisions as a client sees them that shares no line with ours."""
    pytest.importorskip("aioquic", reason="aioquic is installed by the nox sessions that test")
    door = Door(first, Decision.ACCEPT)
    async with endpoints.server(Echo, incoming=door) as server:
        client = _aioquic_client(server.port, str(endpoints.certificates.good.cert), "localhost")
        async with asyncio.timeout(20):
            if first is Decision.REFUSE:
                with pytest.raises(ConnectionError):
                    await client
            else:
                assert await client == "hello"
    assert [incoming.is_address_validated for incoming in door.seen] == [False, True][: len(door.seen)]
    assert len(door.seen) == (2 if first is Decision.RETRY else 1)
    assert {(incoming.server_name, incoming.alpn) for incoming in door.seen} == {("localhost", ("other", "test"))}
