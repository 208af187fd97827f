"""One port over several engines: who serves whom, clients that move, what is common to all, and workers that die."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic import metrics
from aiopquic._quic_lb import QuicLbSettings
from aiopquic.exceptions import BindError, ConfigurationError, ServerRefusedError, StatelessResetError
from aiopquic.quic.engine_stats import ServerStats
from aiopquic.quic.incoming import Decision, Incoming
from aiopquic.quic.workers import REPLACEMENTS_MAX
from aiopquic.testing.simnet import SimulatedNetwork, simulated

from ..nat import Nat
from ..support import DEADLINE, until
from .support import Ends, echo, idle, soon

#: Enough that every worker gets one: two have all of them with a chance of 2**-31.
CLIENTS = 32


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are threads, whatever the other tests run with."""
    monkeypatch.delenv("AIOPQUIC_LOOP", raising=False)


def worker_of(conn: aiopquic.Connection) -> int:
    """The number of the worker that has this end of a server's connection."""
    engine: Any = conn._binding.engine.sink
    number: int = engine.settings.worker
    return number


async def exchange(client: aiopquic.Connection, length: int = 1000) -> None:
    """As many bytes there and back, all of them checked."""
    data = bytes(index * 7 % 251 for index in range(1000)) * (length // 1000)
    stream = await soon(client.open_stream())
    _, received = await soon(asyncio.gather(stream.write(data, end_stream=True), stream.read_all(limit=length)))
    assert received == data


async def open_clients(stack: AsyncExitStack, ends: Ends, server: aiopquic.Server, count: int, **settings: Any) -> Any:
    return [await stack.enter_async_context(ends.connect(server, **settings)) for _ in range(count)]


def misrouted(stats: ServerStats) -> int:
    return sum(worker.datagrams_misrouted for worker in stats.workers)


# ---- who serves whom ----


@pytest.mark.parametrize("count", [2, 3])
async def test_connections_spread_over_the_workers(ends: Ends, count: int):
    """Each worker has some of them, the kernel gives each the packets that are its own, and the sums add up."""
    async with ends.serve(echo, host="127.0.0.1", workers=count) as server, AsyncExitStack() as stack:
        clients = await open_clients(stack, ends, server, CLIENTS)
        await asyncio.gather(*(exchange(client, 20_000) for client in clients))
        stats = server.stats()
        assert Counter(worker_of(conn) for conn in server.connections) == {
            worker.worker: worker.connections for worker in stats.workers
        }
        assert [worker.worker for worker in stats.workers] == list(range(count))
        assert {worker.port for worker in stats.workers} == {server.port}
        assert all(worker.connections and worker.is_running for worker in stats.workers)
        assert (stats.connections, stats.handshakes, stats.port) == (CLIENTS, CLIENTS, server.port)
        assert stats.bytes_received == sum(worker.bytes_received for worker in stats.workers)
        assert (misrouted(stats), stats.workers_failed, stats.is_steered) == (0, 0, True)
        assert server.addresses == [("127.0.0.1", server.port)]


async def test_both_families(ends: Ends):
    """One port for IPv4 and IPv6, over the same workers."""
    good = ends.certificates.good
    async with ends.serve(echo, host="::", workers=2) as server, AsyncExitStack() as stack:
        for host in ("127.0.0.1", "::1") * 8:
            client = aiopquic.connect(host, server.port, alpn=["test"], cafile=good.cert, server_name="localhost")
            await exchange(await stack.enter_async_context(client))
        assert misrouted(server.stats()) == 0
        assert {worker_of(conn) for conn in server.connections} == {0, 1}


async def test_figures_of_each_worker_have_their_label(ends: Ends):
    async with ends.serve(idle, workers=2) as server, ends.connect(server):
        text = metrics.render()
        for number in range(2):
            label = f'{{role="server",port="{server.port}",worker="{number}"}}'
            assert text.count(f"aiopquic_connections{label} ") == 1


# ---- clients that move ----


@pytest.mark.parametrize("steering", ["on", "off"])
async def test_clients_that_are_rebound_stay_with_their_worker(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, steering: str
):
    """NATs change ports in the middle of transfers: every byte arrives, by the same worker. Without the kernel's help
    the workers hand the packets over."""
    monkeypatch.setenv("AIOPQUIC_STEERING", steering)
    good = ends.certificates.good
    arrived: dict[tuple[str, int], aiopquic.Connection] = {}

    async def handle(conn: aiopquic.Connection) -> None:
        arrived[conn.peer_address] = conn
        await echo(conn)

    async with ends.serve(handle, workers=2) as server, AsyncExitStack() as stack:
        assert ("does not steer" in caplog.text) == (steering == "off")
        nats: list[Nat] = []
        clients: list[aiopquic.Connection] = []
        while len(clients) < 8 or not all(worker.handshakes for worker in server.stats().workers):
            nat = Nat(("127.0.0.1", server.port))
            host, port = await nat.start()
            stack.callback(nat.close)
            # A client that has sent everything must say something for the server to learn where it is.
            connecting = aiopquic.connect(host, port, alpn=["test"], cafile=good.cert, keep_alive_interval=0.1)
            clients.append(await stack.enter_async_context(connecting))
            nats.append(nat)
        await until(lambda: len(arrived) == len(nats), "all have arrived")
        theirs = [arrived[nat.address] for nat in nats]
        before = [worker.handshakes for worker in server.stats().workers]
        for _ in range(3):
            moving = [asyncio.create_task(exchange(client, 300_000)) for client in clients]
            for nat in nats:
                await nat.move()
            await asyncio.gather(*moving)
            for nat, client, conn in zip(nats, clients, theirs, strict=True):
                async with asyncio.timeout(DEADLINE):  # it follows what comes from there, and the transfer may be over
                    while conn.peer_address != nat.address:
                        await client.ping()
        stats = server.stats()
        assert [worker.handshakes for worker in stats.workers] == before
        assert stats.connections == len(nats)
        assert stats.is_steered == (steering == "on")
        assert (misrouted(stats) == 0) == (steering == "on")
        assert stats.misrouted_lost == 0


async def test_clients_that_migrate_stay_with_their_worker(ends: Ends):
    """Each move takes another connection id of the server's, which the kernel finds the same worker by."""
    async with ends.serve(echo, workers=2) as server, AsyncExitStack() as stack:
        clients = await open_clients(stack, ends, server, 8)
        for _ in range(4):
            for client in clients:
                await soon(client.migrate())
                await exchange(client, 10_000)
        stats = server.stats()
        assert (stats.connections, stats.handshakes, misrouted(stats)) == (8, 8, 0)


# ---- what they have in common ----


async def test_any_worker_takes_a_ticket(ends: Ends, tmp_path: Path):
    """Sessions are resumed, with early data, whichever worker the next connection gets."""
    async with ends.serve(echo, workers=2, early_data=True) as server:
        for visit in range(16):
            async with ends.connect(server, session_ticket_file=tmp_path / "tickets", shared=False) as client:
                await exchange(client)
                assert client.session_resumed == (visit > 0)
        assert all(worker.handshakes for worker in server.stats().workers)


async def test_retry(ends: Ends):
    """The id in the Retry packet leads back to the worker that sent it, and its token is good there."""
    async with ends.serve(echo, workers=2, retry=True) as server, AsyncExitStack() as stack:
        for client in await open_clients(stack, ends, server, CLIENTS):
            await exchange(client)
        stats = server.stats()
        assert (stats.handshakes, stats.handshakes_failed, misrouted(stats)) == (CLIENTS, 0, 0)
        assert all(worker.handshakes for worker in stats.workers)


async def test_the_program_decides_for_every_worker(ends: Ends):
    """One callback is asked about the clients of each; a Retry that it asks for leads back to it."""
    seen: list[Incoming] = []

    async def decide(incoming: Incoming) -> Decision:
        seen.append(incoming)
        if not incoming.is_address_validated:
            return Decision.RETRY
        return Decision.REFUSE if incoming.server_name == "127.0.0.1" else Decision.ACCEPT

    async with ends.serve(echo, workers=2, incoming=decide) as server, AsyncExitStack() as stack:
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(ends.connect(server, server_name="localhost"))
            await exchange(client)
        # Who was here before has a token, which any worker takes; the others went the way of a Retry.
        assert not seen[0].is_address_validated
        assert sum(incoming.is_address_validated for incoming in seen) == CLIENTS
        assert all(worker.handshakes for worker in server.stats().workers)


async def test_max_connections_count_over_all(ends: Ends):
    """The limit is the server's, not each worker's; room that becomes free is given to any."""
    async with ends.serve(idle, workers=2, max_connections=6) as server, AsyncExitStack() as stack:
        clients = await open_clients(stack, ends, server, 6)
        await until(lambda: server.stats().connections == 6, "all are told")
        for _ in range(4):
            with pytest.raises(ServerRefusedError):
                await soon(ends.connect(server))
        assert server.stats().connections == 6
        await clients.pop().aclose()
        await until(lambda: server.stats().connections == 5, "the end is known")

        async def get_in() -> None:
            try:
                await stack.enter_async_context(ends.connect(server))
            except ServerRefusedError:
                await asyncio.sleep(0.01)  # the network thread forgets a connection a little later than it tells
            else:
                return
            await get_in()

        await soon(get_in())
        await until(lambda: server.stats().connections == 6, "it is told")


async def test_certificates_change_for_all(ends: Ends):
    """Also those of a worker that takes a dead one's place."""
    other = ends.certificates.other
    async with ends.serve(echo, workers=2) as server, AsyncExitStack() as stack:
        await server.reload_certificate(other.cert, other.key)
        for client in await open_clients(stack, ends, server, CLIENTS, cafile=other.cert):
            await exchange(client)
        assert all(worker.connections for worker in server.stats().workers)
        server._engines.all[1].binding.fail(errno.EIO)
        await until(lambda: server.stats().workers_failed == 1, "the end is told")
        await until(lambda: server.stats().workers[1].is_running, "another takes its place")
        await open_clients(stack, ends, server, CLIENTS, cafile=other.cert)
        assert server.stats().workers[1].handshakes > 0


# ---- the port ----


async def test_a_port_that_is_taken(ends: Ends):
    """A group refuses a port that anybody has, and nobody gets into a group."""
    good = ends.certificates.good
    files: dict[str, Any] = {"alpn": ["test"], "certificate": good.cert, "private_key": good.key}
    for first, second in ((1, 2), (2, 1), (2, 2)):
        async with ends.serve(idle, workers=first) as server:
            with pytest.raises(BindError, match=f"UDP port {server.port} of 127.0.0.1 can't be bound"):
                await aiopquic.serve(idle, "127.0.0.1", server.port, workers=second, **files)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_nothing_is_left(ends: Ends):
    """Descriptors of sockets, wakers and program go with the server."""
    before = descriptors()
    for _ in range(3):
        async with ends.serve(echo, workers=3) as server, ends.connect(server, shared=False) as client:
            assert descriptors() > before
            await exchange(client)
            port = server.port
        del server, client
        good = ends.certificates.good
        async with aiopquic.serve(idle, "127.0.0.1", port, alpn=["test"], certificate=good.cert, private_key=good.key):
            pass  # the port is free at once
    gc.collect()
    assert descriptors() == before


# ---- a worker that dies ----


async def test_a_worker_that_dies_takes_its_own_connections(ends: Ends, caplog: pytest.LogCaptureFixture):
    """Its connections end, on both sides; those of the other go on; the port stays, and another takes its place."""
    async with ends.serve(echo, workers=2) as server, AsyncExitStack() as stack:
        clients = await open_clients(stack, ends, server, CLIENTS)
        theirs = {conn.peer_address[1]: conn for conn in server.connections}
        assert len(theirs) == 1  # the clients have one socket: the dead one's and the others' share an address
        await asyncio.gather(*(exchange(client) for client in clients))
        lost = [conn for conn in server.connections if worker_of(conn) == 0]
        kept = [conn for conn in server.connections if worker_of(conn) == 1]
        assert lost
        assert kept
        handshakes = server.stats().handshakes
        with caplog.at_level(logging.ERROR, "aiopquic.server"):
            server._engines.all[0].binding.fail(errno.EIO)
            await until(lambda: server.stats().workers_failed == 1, "the end is told")
        text = f"worker 0 of 2 on port {server.port} has ended by itself: {os.strerror(errno.EIO)}"
        assert text in caplog.text
        for conn in lost:
            assert (await soon(conn.wait_closed())).kind is aiopquic.CloseKind.LOCAL_FAILURE
        await until(lambda: all(worker.is_running for worker in server.stats().workers), "another takes its place")
        ends_of_clients = await asyncio.gather(*(exchange(client) for client in clients), return_exceptions=True)
        failed = [error for error in ends_of_clients if error is not None]
        assert len(failed) == len(lost)
        assert all(isinstance(error, StatelessResetError) for error in failed)
        assert not any(conn.is_closed for conn in kept)
        for client in await open_clients(stack, ends, server, CLIENTS):
            await exchange(client)
        stats = server.stats()
        assert stats.handshakes == handshakes + CLIENTS  # what the dead one did is not forgotten
        assert stats.workers[0].handshakes > 0
        assert stats.connections == len(kept) + CLIENTS


async def test_a_worker_that_dies_again_and_again(ends: Ends, caplog: pytest.LogCaptureFixture):
    """It is replaced a few times and no more; the server goes on with the others, and closes as ever."""
    async with ends.serve(echo, workers=2) as server, AsyncExitStack() as stack:
        with caplog.at_level(logging.ERROR, "aiopquic.server"):
            for deaths in range(1, REPLACEMENTS_MAX + 2):
                await until(lambda: server.stats().workers[1].is_running, "it runs")
                server._engines.all[1].binding.fail(errno.ENOMEM)
                await until(lambda deaths=deaths: server.stats().workers_failed == deaths, "the end is told")
        assert caplog.text.count("another takes its place") == REPLACEMENTS_MAX
        assert caplog.text.count("nothing takes its place") == 1
        assert [worker.is_running for worker in server.stats().workers] == [True, False]
        served = 0
        for _ in range(8):
            try:
                client = await stack.enter_async_context(ends.connect(server, handshake_timeout=0.5))
            except aiopquic.HandshakeTimeoutError:
                continue
            await exchange(client)
            served += 1
        await until(lambda: server.stats().connections == served, "those that were served are there")


async def test_the_only_engine_dies(ends: Ends, caplog: pytest.LogCaptureFixture):
    """Without workers there is nobody to take its place; that is said, too."""
    async with ends.serve(echo) as server, ends.connect(server) as client:
        await exchange(client)
        with caplog.at_level(logging.ERROR, "aiopquic.server"):
            server._engines.all[0].binding.fail(errno.EIO)
            await until(lambda: server.stats().workers_failed == 1, "the end is told")
        assert f"the engine on port {server.port} has ended by itself" in caplog.text
        assert not server.stats().is_running


# ---- bad input ----


@pytest.mark.parametrize("count", [0, -1, 257, 2.0, "2", True, None], ids=repr)
async def test_counts_that_cannot_be(ends: Ends, count: Any):
    with pytest.raises(ConfigurationError, match=r"workers is how many engines share the port.*1 to 256, not"):
        await ends.serve(idle, workers=count)


BAD_SETTINGS: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "inline": ({"driver": "inline"}, {}, 'use driver="thread", or workers=1'),
    "inline by the environment": ({}, {"AIOPQUIC_LOOP": "inline"}, 'use driver="thread", or workers=1'),
    "portable loop": ({}, {"AIOPQUIC_LOOP": "portable"}, "need aiopquic's own packet loop"),
    "length in the ids": (
        {"quic_lb": QuicLbSettings(server_id=b"1", encodes_length=True)},
        {},
        "use encodes_length=False, or workers=1",
    ),
    "many with quic_lb": (
        {"quic_lb": QuicLbSettings(server_id=b"1"), "workers": 33},
        {},
        "with quic_lb workers is 1 to 32, not 33",
    ),
}


@pytest.mark.parametrize("case", list(BAD_SETTINGS))
async def test_settings_that_do_not_go_together(ends: Ends, monkeypatch: pytest.MonkeyPatch, case: str):
    settings, environment, text = BAD_SETTINGS[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=text):
        await ends.serve(idle, **{"workers": 2, **settings})


@simulated()
async def test_a_simulated_network_has_no_ports_to_share(network: SimulatedNetwork):
    with network.host("server"):
        certificate, key = network.certificate()
        files: dict[str, Any] = {"alpn": ["test"], "certificate": certificate, "private_key": key}
        with pytest.raises(ConfigurationError, match="use workers=1 in simulations"):
            await aiopquic.serve(idle, "server", 443, workers=2, **files)
