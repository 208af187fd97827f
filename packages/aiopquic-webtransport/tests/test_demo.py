"""The shared page of ``python -m aiopquic_webtransport.demo``: what its command prints, its page, its room."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from aiopquic_webtransport import Session, SessionRefusedError, connect
from aiopquic_webtransport.demo.room import LINES_MAX, MESSAGE_BYTES, TOO_SLOW, Room
from aiopquic_webtransport.testing import WebTransportLoopback

from .support import soon, until


@dataclass
class Guest:
    """A page, as a program."""

    session: Session
    number: int = 0

    async def come(self) -> list[int]:
        """Take the number that one is given; returns who is there already."""
        self.lines = await soon(self.session.accept_stream(bidirectional=False))
        welcome = await self.happens()
        assert welcome["type"] == "welcome"
        self.number = welcome["guest"]
        return welcome["others"]

    async def happens(self) -> dict:
        line = b""
        while not line.endswith(b"\n"):
            line += await soon(self.lines.readexactly(1))
        return json.loads(line)

    async def say(self, text: bytes) -> None:
        async with await soon(self.session.open_send_stream()) as stream:
            await stream.write(text)


@asynccontextmanager
async def two_guests(webtransport: WebTransportLoopback) -> AsyncIterator[tuple[Guest, Guest]]:
    async with (
        webtransport.serve(Room()) as server,
        webtransport.connect(server) as one,
        webtransport.connect(server) as other,
    ):
        first, second = Guest(one), Guest(other)
        assert await first.come() == []
        assert await second.come() == [1]
        assert await first.happens() == {"type": "came", "guest": 2}
        yield first, second


async def test_cursors_and_chat(webtransport: WebTransportLoopback):
    async with two_guests(webtransport) as (first, second):
        await first.say("grüß dich".encode())
        for guest in (first, second):
            assert await guest.happens() == {"type": "chat", "guest": 1, "text": "grüß dich"}
        await second.session.datagrams.send(struct.pack(">HH", 0, 65535))
        assert await soon(first.session.datagrams.receive()) == struct.pack(">IHH", 2, 0, 65535)
        await second.session.aclose()
        assert await first.happens() == {"type": "left", "guest": 2}


async def test_what_is_no_message_harms_nobody(webtransport: WebTransportLoopback):
    async with two_guests(webtransport) as (first, second):
        await second.session.datagrams.send(b"too long for a cursor")
        stream = await soon(second.session.open_send_stream())
        await stream.write(bytes(MESSAGE_BYTES + 1), end_stream=True)
        given_up = await soon(second.session.open_send_stream())
        given_up.reset(1)
        await second.say(b"\xff")
        assert await first.happens() == {"type": "chat", "guest": 2, "text": "\N{REPLACEMENT CHARACTER}"}


async def test_a_page_that_does_not_read(webtransport: WebTransportLoopback):
    """What waits for it is bounded: it is closed, and the others go on."""
    room = Room()
    async with webtransport.serve(room) as server, webtransport.connect(server, initial_stream_window=1) as session:
        slow = Guest(session)
        await until(lambda: room._guests)
        guest = room._guests[1]
        for _ in range(LINES_MAX + 2):
            guest.tell(type="chat", guest=9, text="x" * 1000)
        info = await soon(slow.session.closed)
        assert (info.code, info.reason) == (TOO_SLOW, "this page does not read what it is told")


async def test_the_command_serves_the_page():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aiopquic_webtransport.demo", "--port", "0", "--page-port", "0"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        first = (await soon(process.stdout.readline())).decode()
        second = (await soon(process.stdout.readline())).decode()
        digest = bytes.fromhex(first.split()[-1])
        port = int(re.search(r"http://localhost:(\d+)", second)[1])
        page = await fetch(port, "/")
        assert "new WebTransport(settings.url" in page
        assert (await fetch(port, "/other")).startswith("HTTP/1.1 404")
        settings = json.loads(re.search(r"const settings = (\{.*\});", page)[1])
        assert bytes(settings["hash"]) == digest
        options = {"server_certificate_hashes": [digest]}
        async with connect(settings["url"], origin=f"http://localhost:{port}", **options) as session:
            assert await Guest(session).come() == []
        with pytest.raises(SessionRefusedError, match="403"):
            await soon(connect(settings["url"], origin="http://localhost:1", **options))
    finally:
        process.terminate()
        await soon(process.wait())


async def fetch(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    text = (await soon(reader.read())).decode()
    writer.close()
    await writer.wait_closed()
    return text


async def test_guests_are_told_in_order(webtransport: WebTransportLoopback):
    async with two_guests(webtransport) as (first, second):
        for number in range(20):
            await first.say(b"%d" % number)
            assert (await second.happens())["text"] == str(number)
        assert not first.session.is_closed
        await soon(first.session.quic.ping())
