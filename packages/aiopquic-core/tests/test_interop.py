"""Against aioquic and qh3, which share no line with ours, each as the client and as the server, in its own process."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aiopquic.exceptions import CloseKind
from aiopquic.quic.events import (
    ConnectionTerminated,
    DatagramFrameReceived,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aiopquic.testing import dev_authority
from aiopquic.testing.loopback import Loopback
from aiopquic.testing.protocols import Recorder

from .support import until

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from exchange import ALPN, digest, pattern  # noqa: E402 - found beside this file

pytestmark = [
    pytest.mark.peer,
    pytest.mark.parametrize("module", ["aioquic", "qh3"]),
    pytest.mark.parametrize("role", ["server", "client"]),
]

SIZE = int(os.environ.get("AIOPQUIC_INTEROP_BYTES", 100 << 20))
#: aioquic moves some 10 to 20 MB/s on one core; ten times that time is a hang.
DEADLINE = 110
#: A code and a text that come out of nowhere else.
CODE, REASON = 0x123456, "schönen Tag"

sha256 = hashlib.sha256


class Peer:
    """A process of the other implementation: told what to do, asked what has happened."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._told: list[dict[str, Any]] = []

    async def do(self, what: str, **details: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **details}).encode() + b"\n")
        await self.process.stdin.drain()

    async def expect(self, event: str, **fields: object) -> dict[str, Any]:
        """The first event of that name with those fields that was not asked for before."""
        assert self.process.stdout is not None
        wanted = {"event": event, **fields}
        while True:
            for told in self._told:
                if wanted.items() <= told.items():
                    self._told.remove(told)
                    return told
            line = await self.process.stdout.readline()
            assert line, f"the peer is gone; waited for {wanted}, and it had told {self._told}"
            self._told.append(json.loads(line))

    async def open(self, uni: bool = False) -> int:
        await self.do("open", uni=uni)
        return int((await self.expect("opened"))["stream"])


@asynccontextmanager
async def started(module: str, role: str, **settings: object) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PEERS / "peer.py"),
        module,
        role,
        json.dumps(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # its pipes are open as long as it is


class Talks:
    """Connects ours with theirs, whichever is the server. qh3 trusts no self-signed certificate: it is issued."""

    def __init__(self, module: str, role: str, folder: Path) -> None:
        self.module, self.role = module, role
        authority = dev_authority()
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(authority.certificate_pem)
        self.loopback = Loopback(*authority.issue().write(folder))

    @asynccontextmanager
    async def __call__(
        self,
        ours: type[Recorder] = Recorder,
        theirs: dict[str, object] | None = None,
        host: str = "127.0.0.1",
        **settings: Any,
    ) -> AsyncIterator[tuple[Recorder, Peer]]:
        """Both ends; ``settings`` are ours."""
        peers: dict[str, object] = {"host": host, **(theirs or {})}
        settings["alpn_protocols"] = [ALPN]
        async with asyncio.timeout(DEADLINE):
            if self.role == "client":
                async with self.loopback.server(ours, host=host, **settings) as server:
                    peers.update(port=server.port, cafile=str(self.authority))
                    async with started(self.module, "client", **peers) as peer:
                        await peer.expect("connected", alpn=ALPN)
                        yield await server.peer(), peer
            else:
                peers.update(certificate=str(self.loopback.certificate), key=str(self.loopback.private_key))
                async with started(self.module, "server", **peers) as peer:
                    address = (host, (await peer.expect("listening"))["port"])
                    async with self.loopback.connect(address, ours, cafile=self.authority, **settings) as client:
                        await peer.expect("connected", alpn=ALPN)
                        yield client, peer


@pytest.fixture
def talk(module: str, role: str, tmp_path: Path) -> Talks:
    if importlib.util.find_spec(module) is None:
        text = f"{module} is not installed: uv pip install --group peers"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    return Talks(module, role, tmp_path)


class Counter(Recorder):
    """Keeps no bytes, but their number and their hash."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.hash = sha256()
        self.received = 0

    def keep(self, stream_id: int, data: memoryview) -> None:
        self.hash.update(data)
        self.received += len(data)


async def exchange(ours: Recorder, peer: Peer) -> None:
    """A few bytes there and back on a new stream."""
    stream = ours.quic.get_next_available_stream_id()
    ours.quic.send_stream_data(stream, b"there", end_stream=True)
    await peer.expect("end", stream=stream, sha256=sha256(b"there").hexdigest())
    await peer.do("send", stream=stream, text="and back", end=True)
    assert await ours.wait_end(stream) == b"and back"


async def test_streams(talk: Talks):
    """Both sides open streams of both kinds; bytes and ends arrive."""
    async with talk() as (ours, peer):
        assert ours.quic.alpn == ALPN
        await exchange(ours, peer)
        stream = await peer.open()
        await peer.do("send", stream=stream, text="hello", end=True)
        assert await ours.wait_end(stream) == b"hello"
        ours.quic.send_stream_data(stream, b"", end_stream=True)
        await peer.expect("end", stream=stream, length=0)
        stream = await peer.open(uni=True)
        await peer.do("send", stream=stream, text="one way", end=True)
        assert await ours.wait_end(stream) == b"one way"
        stream = ours.quic.get_next_available_stream_id(is_unidirectional=True)
        ours.quic.send_stream_data(stream, b"the other", end_stream=True)
        await peer.expect("end", stream=stream, sha256=sha256(b"the other").hexdigest())


@pytest.mark.slow
async def test_large_transfers(talk: Talks):
    """Every byte arrives, both ways, through windows of ordinary size."""
    windows = {"max_data": 8 << 20, "max_stream_data": 8 << 20}
    async with talk(Counter, windows) as (ours, peer):
        assert isinstance(ours, Counter)
        stream = ours.quic.get_next_available_stream_id()
        for piece in pattern("ours", SIZE):
            await ours.quic.send_stream_data_drained(stream, piece)
        ours.quic.send_stream_data(stream, b"", end_stream=True)
        await peer.expect("end", stream=stream, length=SIZE, sha256=digest("ours", SIZE))
        await peer.do("send", stream=stream, size=SIZE, end=True)
        await ours.wait_end(stream, timeout=DEADLINE)
        assert (ours.received, ours.hash.hexdigest()) == (SIZE, digest("peer", SIZE))


async def test_resets_and_stops(talk: Talks):
    """RESET_STREAM and STOP_SENDING carry their codes in both directions, and end nothing else."""
    async with talk() as (ours, peer):
        first, second = (ours.quic.get_next_available_stream_id() for _ in range(2))
        ours.quic.send_stream_data(first, b"given up by us")
        await peer.expect("data", stream=first)
        ours.quic.reset_stream(first, CODE)
        await peer.expect("reset", stream=first, code=CODE)
        await peer.do("send", stream=first, text="given up by them")
        await ours.wait_bytes(first, 1)
        await peer.do("reset", stream=first, code=CODE + 1)
        await ours.wait_for(StreamReset, stream_id=first, error_code=CODE + 1)

        ours.quic.send_stream_data(second, b"unwanted by them")
        await peer.expect("data", stream=second)
        await peer.do("stop", stream=second, code=CODE + 2)
        await ours.wait_for(StopSendingReceived, stream_id=second, error_code=CODE + 2)
        await peer.expect("reset", stream=second, code=CODE + 2)
        await peer.do("send", stream=second, text="unwanted by us")
        await ours.wait_bytes(second, 1)
        ours.quic.stop_stream(second, CODE + 3)
        await peer.expect("stop", stream=second, code=CODE + 3)
        await exchange(ours, peer)


async def test_close_by_us(talk: Talks):
    """Our code and reason arrive."""
    async with talk() as (ours, peer):
        ours.close(CODE, REASON)
        await peer.expect("terminated", code=CODE, reason=REASON)
        await ours.wait_closed()


@pytest.mark.parametrize("frame", [None, 0x08], ids=["application", "transport"])
async def test_close_by_the_peer(talk: Talks, frame: int | None):
    """Code, reason and, of a transport close, the frame that caused it; once."""
    code = CODE if frame is None else 0x7
    async with talk() as (ours, peer):
        await exchange(ours, peer)
        await peer.do("close", code=code, reason=REASON, frame=frame)
        event = await ours.wait_for(ConnectionTerminated, error_code=code, reason_phrase=REASON)
        assert event.close_reason is not None
        assert event.close_reason.kind is (CloseKind.APPLICATION if frame is None else CloseKind.TRANSPORT)
        assert event.frame_type == frame
        await ours.wait_closed()
        assert len(ours.seen(ConnectionTerminated)) == 1


async def test_small_windows(talk: Talks):
    """Both sides wait for credit hundreds of times; nothing is lost and nothing stands still."""
    size = 1 << 20
    theirs = {"max_data": 8192, "max_stream_data": 4096}
    async with talk(theirs=theirs, max_data=8192, max_stream_data=4096, initial_stream_window=4096) as (ours, peer):
        stream = ours.quic.get_next_available_stream_id()
        for piece in pattern("ours", size):
            await ours.quic.send_stream_data_drained(stream, piece, end_stream=True)
        await peer.expect("end", stream=stream, length=size, sha256=digest("ours", size))
        await peer.do("send", stream=stream, size=size, end=True)
        assert sha256(await ours.wait_end(stream)).hexdigest() == digest("peer", size)


class Sleeper(Recorder):
    """Reads nothing of a stream until it is resumed."""

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, StreamDataReceived) and len(self.chunks) == 1:
            self.quic.pause_reading(event.stream_id)


async def test_we_do_not_read(talk: Talks):
    """The peer is held at our window, other streams go on, and the rest comes when we read."""
    size, window = 1 << 20, 1 << 16
    async with talk(Sleeper, max_stream_data=window, initial_stream_window=window) as (ours, peer):
        stream = await peer.open()
        await peer.do("send", stream=stream, size=size, end=True)
        await ours.wait_bytes(stream, 1)
        await exchange(ours, peer)
        await exchange(ours, peer)
        assert 0 < len(ours.data[stream]) <= window
        ours.quic.resume_reading(stream)
        assert sha256(await ours.wait_end(stream)).hexdigest() == digest("peer", size)


async def test_the_peer_does_not_read(talk: Talks):
    """A writer waits while the peer's process stands still, and goes on with it."""
    size = 8 << 20
    theirs = {"max_data": 1 << 18, "max_stream_data": 1 << 18}
    async with talk(theirs=theirs, stream_ring_cap=1 << 18) as (ours, peer):
        await exchange(ours, peer)
        peer.process.send_signal(signal.SIGSTOP)
        stream = ours.quic.get_next_available_stream_id()

        async def write() -> None:
            for piece in pattern("ours", size):
                await ours.quic.send_stream_data_drained(stream, piece)

        writer = asyncio.create_task(write())
        await until(lambda: ours.quic.tx_data_ring_used(stream) > 1 << 17, "a full ring")
        assert not writer.done()
        peer.process.send_signal(signal.SIGCONT)
        await writer
        ours.quic.send_stream_data(stream, b"", end_stream=True)
        await peer.expect("end", stream=stream, length=size, sha256=digest("ours", size))


async def test_many_streams(talk: Talks):
    """200 at once by us, 100 by the peer."""
    async with talk() as (ours, peer):
        streams = [ours.quic.get_next_available_stream_id() for _ in range(200)]
        for stream in streams:
            ours.quic.send_stream_data(stream, b"%d" % stream, end_stream=True)
        for stream in streams:
            await peer.expect("end", stream=stream, sha256=sha256(b"%d" % stream).hexdigest())
            await peer.do("send", stream=stream, end=True)
        theirs = [await peer.open() for _ in range(100)]
        for stream in theirs:
            await peer.do("send", stream=stream, text=str(stream), end=True)
        for stream in theirs:
            assert await ours.wait_end(stream) == b"%d" % stream
        for stream in streams:
            assert await ours.wait_end(stream) == b""


async def test_ipv6(talk: Talks):
    async with talk(host="::1") as (ours, peer):
        address = ours.quic.peer_address()
        assert address is not None
        assert address[0] == "::1"
        await exchange(ours, peer)


async def test_the_peer_updates_keys(talk: Talks):
    """RFC 9001 section 6: the peer changes keys, we follow; twice, as the phase is one bit."""
    async with talk() as (ours, peer):
        for _ in range(2):
            await exchange(ours, peer)
            await peer.do("update_keys")
            await exchange(ours, peer)


async def test_we_update_keys(talk: Talks):
    """The peer follows; three times, as the phase is one bit."""
    async with talk() as (ours, peer):
        for _ in range(3):
            await exchange(ours, peer)
            await ours.quic.update_keys()
        await exchange(ours, peer)


async def test_the_peer_changes_its_connection_id(talk: Talks):
    """It takes another one of those that we issued, and retires the first (RFC 9000 section 5.1)."""
    async with talk() as (ours, peer):
        await exchange(ours, peer)
        await peer.do("change_connection_id")
        await exchange(ours, peer)


async def test_the_peer_pings(talk: Talks):
    async with talk() as (_, peer):
        await peer.do("ping")
        await peer.expect("pong")


async def test_datagrams(talk: Talks):
    """DATAGRAM frames (RFC 9221) both ways."""
    async with talk(theirs={"max_datagram_frame_size": 65536}) as (ours, peer):
        assert ours.quic.max_datagram_payload() >= 1100
        assert ours.quic.send_datagram_frame(b"ping") == 4
        await peer.expect("datagram", text="ping")
        await peer.do("datagram", text="pong")
        event = await ours.wait_for(DatagramFrameReceived)
        assert event.data == b"pong"
