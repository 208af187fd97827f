"""Sessions of a server whose port is shared by several engines."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from aiopquic_webtransport.testing import WebTransportLoopback

from .support import echo, soon

#: Enough that two workers get some each.
CLIENTS = 24


async def test_sessions_on_workers(webtransport: WebTransportLoopback, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIOPQUIC_LOOP", raising=False)
    async with webtransport.serve(echo, workers=2) as server, AsyncExitStack() as stack:
        for number in range(CLIENTS):
            session = await stack.enter_async_context(webtransport.connect(server))
            stream = await soon(session.open_stream())
            await stream.write(b"%d" % number, end_stream=True)
            assert await soon(stream.read_all()) == b"%d" % number
        workers = server.stats().workers
        assert sum(worker.handshakes for worker in workers) == CLIENTS
        assert all(worker.handshakes for worker in workers)
