"""What a connection is asked while it lives: new keys, and qlog files that come and go."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic import qlog
from aiopquic.exceptions import ConfigurationError, ConnectionClosedError
from aiopquic.quic.events import ConnectionTerminated
from aiopquic.quic.pool import close_idle_engines

from .support import Echo, Endpoints, round_trips


async def send(client: Any, size: int = 1000) -> None:
    stream_id = client.quic.get_next_available_stream_id()
    await client.quic.send_stream_data_drained(stream_id, bytes(size), end_stream=True)
    assert len(await client.wait_end(stream_id)) == size


def phases(folder: Path) -> list[str]:
    """The key phases of the packets that clients sent, each change once."""
    text = "".join(path.read_text() for path in folder.glob("*.client.qlog"))
    found = re.findall(r'"packet_sent".*"key_phase": *(\d)', text)
    return [phase for index, phase in enumerate(found) if index == 0 or found[index - 1] != phase]


# ---- keys ----


@pytest.mark.parametrize("count", [1, 5])
async def test_update_keys(endpoints: Endpoints, tmp_path: Path, count: int):
    """RFC 9001 section 6: each call changes the phase, and not a byte is lost in between."""
    async with endpoints.pair(server=Echo, client_settings={"qlog_dir": tmp_path}) as pair:
        for _ in range(count):
            await send(pair.client)
            await pair.client.quic.update_keys()
        await send(pair.client, 1 << 20)
    await close_idle_engines()
    assert phases(tmp_path) == [str(number % 2) for number in range(count + 1)]


async def test_both_sides_update_keys(endpoints: Endpoints):
    """At once and again, with data under way: the phases stay together."""
    async with endpoints.pair(server=Echo) as pair:

        async def update(quic: Any) -> None:
            for _ in range(10):
                await quic.update_keys()

        async with asyncio.TaskGroup() as group:
            group.create_task(update(pair.client.quic))
            group.create_task(update(pair.peer.quic))
            group.create_task(send(pair.client, 1 << 20))
        await send(pair.client)


async def test_update_keys_in_the_streams_api(endpoints: Endpoints):
    """The same call; after the end it is an error."""
    async with endpoints.server() as server:
        cafile = endpoints.certificates.good.cert
        async with aiopquic.connect("127.0.0.1", server.port, alpn=["test"], cafile=cafile) as conn:
            await asyncio.gather(*(conn.update_keys() for _ in range(3)))
            await conn.ping()
        with pytest.raises(ConnectionClosedError):
            await conn.update_keys()


async def test_the_end_wakes_who_waits_for_keys(endpoints: Endpoints):
    """A peer that is gone acknowledges nothing; the end of the connection ends the wait."""
    async with endpoints.pair() as pair:
        asked = asyncio.create_task(pair.client.quic.update_keys())
        pair.client.quic.close(3)
        await pair.client.wait_for(ConnectionTerminated)
        [result] = await asyncio.gather(asked, return_exceptions=True)
        assert result is None or isinstance(result, ConnectionClosedError)


# ---- qlog ----


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.qlog"))


async def test_qlog_comes_and_goes(endpoints: Endpoints, tmp_path: Path):
    """A file of what happens between the two calls, that a reader takes; on either side, and of no other connection."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    async with endpoints.pair(server=Echo) as pair:
        await pair.client.quic.start_qlog(before)
        await send(pair.client)
        await pair.client.quic.stop_qlog()
        kinds = {event["event"] for event in qlog.load(files(before)[0])}
        assert {"packet_sent", "packet_received"} <= kinds
        await pair.peer.quic.start_qlog(str(after))
        async with endpoints.connect(pair.server.addresses[0]) as other:
            assert other.quic.is_connected
        await send(pair.client)
        await pair.peer.quic.stop_qlog()
        size = files(before)[0].stat().st_size
        await send(pair.client)
        assert files(before)[0].stat().st_size == size
    assert [path.suffixes for path in files(before)] == [[".client", ".qlog"]]
    assert [path.suffixes for path in files(after)] == [[".server", ".qlog"]]
    assert qlog.load_header(files(after)[0])["traces"][0]["vantage_point"]["type"] == "server"


async def test_qlog_that_the_end_completes(endpoints: Endpoints, tmp_path: Path):
    """In the streams API, and beside the one that the server writes from the beginning."""
    theirs = tmp_path / "server"
    theirs.mkdir()
    async with endpoints.server(qlog_dir=theirs) as server:
        cafile = endpoints.certificates.good.cert
        async with aiopquic.connect("127.0.0.1", server.port, alpn=["test"], cafile=cafile) as conn:
            await conn.start_qlog(tmp_path)
            await conn.ping()
            peer = await server.peer()
            with pytest.raises(RuntimeError, match="one is being written for this connection already"):
                await peer.quic.start_qlog(tmp_path)
            await peer.quic.stop_qlog()
        await close_idle_engines()
    assert [path.suffixes for path in files(tmp_path)] == [[".client", ".qlog"]]
    assert len(files(theirs)) == 1
    for path in (*files(tmp_path), *files(theirs)):
        assert path.read_text().endswith("]}]}\n")


async def test_wrong_qlog(endpoints: Endpoints, tmp_path: Path):
    """Each refusal says what would be right."""
    async with endpoints.pair() as pair:
        quic = pair.client.quic
        with pytest.raises(ConfigurationError, match="missing' is not an existing folder"):
            await quic.start_qlog(tmp_path / "missing")
        with pytest.raises(RuntimeError, match="no qlog file is being written"):
            await quic.stop_qlog()
        await quic.start_qlog(tmp_path)
        with pytest.raises(RuntimeError, match="one is being written"):
            await quic.start_qlog(tmp_path)
        await quic.stop_qlog()
        await round_trips(pair)
