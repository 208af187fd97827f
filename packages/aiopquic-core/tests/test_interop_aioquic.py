"""Both directions against aioquic, an implementation that shares no line with ours, in both roles."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aiopquic.asyncio import QuicConnectionProtocol, connect, serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import QuicEvent, StreamDataReceived
from aiopquic.testing.certificates import dev_certificate

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from exchange import ALPN, Answer, pattern  # noqa: E402 - found beside this file

pytestmark = pytest.mark.peer
aioquic = pytest.importorskip("aioquic", reason="aioquic is installed by the nox sessions that test")

SIZE = int(os.environ.get("AIOPQUIC_INTEROP_BYTES", 100 << 20))
#: aioquic moves some 10 to 20 MB/s on one core; ten times that time is a hang.
DEADLINE = 110


@asynccontextmanager
async def peer(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """aioquic in a process of its own, ended by its pid."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PEERS / "aioquic_peer.py"), *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class OurServer(QuicConnectionProtocol):
    """Answers each exchange; the reply is written with back-pressure."""

    def __init__(self, quic, stream_handler=None) -> None:
        super().__init__(quic, stream_handler)
        self.hash = hashlib.sha256()
        self.replies: set[asyncio.Task[None]] = set()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self.hash.update(event.data)
            if event.end_stream:
                self.replies.add(asyncio.ensure_future(self.reply(event.stream_id)))

    async def reply(self, stream_id: int) -> None:
        for piece in pattern("server", SIZE):
            await self._quic.send_stream_data_drained(stream_id, piece)
        await self._quic.send_stream_data_drained(stream_id, self.hash.digest(), end_stream=True)


class OurClient(QuicConnectionProtocol):
    def __init__(self, quic, stream_handler=None) -> None:
        super().__init__(quic, stream_handler)
        self.answer = Answer(SIZE)
        self.done = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self.answer.feed(event.data)
            if event.end_stream:
                self.done.set_result(None)


async def test_our_client_and_an_aioquic_server_exchange_100_mib_each_way(tmp_path: Path) -> None:
    """Every byte arrives, both ways, with aioquic as the server."""
    certificate, key = dev_certificate().write(tmp_path)
    async with asyncio.timeout(DEADLINE), peer("server", str(certificate), str(key), str(SIZE)) as process:
        assert process.stdout is not None
        port = int((await process.stdout.readline()).split()[1])
        configuration = QuicConfiguration(alpn_protocols=[ALPN], cafile=certificate, server_name="localhost")
        async with connect("127.0.0.1", port, configuration=configuration, create_protocol=OurClient) as client:
            assert isinstance(client, OurClient)
            stream_id = client._quic.get_next_available_stream_id()
            for piece in pattern("client", SIZE):
                await client._quic.send_stream_data_drained(stream_id, piece)
            await client._quic.send_stream_data_drained(stream_id, b"", end_stream=True)
            await client.done
            client.answer.check()
            client.close(7, "thank you")
        assert await process.stdout.readline() == b"terminated 7 thank you\n"


async def test_an_aioquic_client_and_our_server_exchange_100_mib_each_way(tmp_path: Path) -> None:
    """Every byte arrives, both ways, with aioquic as the client."""
    certificate, key = dev_certificate().write(tmp_path)
    configuration = QuicConfiguration(alpn_protocols=[ALPN], is_client=False)
    configuration.load_cert_chain(certificate, key)
    async with (
        asyncio.timeout(DEADLINE),
        await serve("127.0.0.1", 0, configuration=configuration, create_protocol=OurServer) as server,
        peer("client", str(server.port), str(certificate), str(SIZE)) as process,
    ):
        assert process.stdout is not None
        output = await process.stdout.read()
        assert await process.wait() == 0
        assert output == b"ok\n"
