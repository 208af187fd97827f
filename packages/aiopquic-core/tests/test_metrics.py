"""Figures of engines, and what a monitoring system reads of them."""

from __future__ import annotations

import re
import sys

import pytest

import aiopquic
from aiopquic import ConfigurationError, metrics
from aiopquic._driver import left_out

from .support import Echo, Endpoints, round_trips, until


async def test_engine_stats(endpoints: Endpoints):
    """What has happened on either side is counted."""
    async with endpoints.pair(server=Echo) as pair:
        await round_trips(pair)
        stats = pair.server.stats()
        assert (stats.role, stats.port, stats.connections) == ("server", pair.server.port, 1)
        assert (stats.handshakes, stats.handshakes_failed, stats.connections_closed) == (1, 0, 0)
        assert stats.bytes_received >= stats.datagrams_received * 20
        assert stats.datagrams_received > 2
        assert stats.bytes_sent >= stats.datagrams_sent * 20
        assert stats.datagrams_sent > 2
        assert stats.events > 0
        assert stats.commands > 0
        assert stats.turns > 0
        assert stats.loop_wakes > 0
        pair.client.quic.close()
        await until(lambda: pair.server.stats().connections == 0, "the end is counted")
        assert pair.server.stats().connections_closed == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the packet loop of Linux")
async def test_system_calls(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch):
    """Those that move datagrams are counted: one for each where the packet loop is told to do without batches."""
    monkeypatch.delenv("AIOPQUIC_LOOP", raising=False)
    monkeypatch.setenv("AIOPQUIC_WITHOUT", "gso,gro")
    async with endpoints.pair(server=Echo) as pair:
        await round_trips(pair)
        stats = pair.server.stats()
        assert stats.send_calls >= stats.datagrams_sent > 2
        assert stats.receive_calls == stats.datagrams_received


def test_what_can_not_be_left_out(monkeypatch: pytest.MonkeyPatch):
    """The sentence names what can."""
    monkeypatch.setenv("AIOPQUIC_WITHOUT", "gso,cake")
    with pytest.raises(ConfigurationError, match="gso, gro, joining, not 'cake'"):
        left_out()


async def test_failed_handshake(endpoints: Endpoints):
    """One that does not get through is counted as such."""
    async with endpoints.server() as server:
        try:
            async with endpoints.connect(server, alpn_protocols=["other"]):
                raise AssertionError
        except aiopquic.AlpnError:
            pass
        await until(lambda: server.server.stats().handshakes_failed == 1, "the failure is counted")
        assert server.server.stats().handshakes == 0


async def test_render(endpoints: Endpoints):
    """Prometheus's text format: every sample under its type, engines by their labels; those that ended are gone."""
    async with endpoints.pair(server=Echo) as pair:
        await round_trips(pair)
        text = metrics.render()
        label = f'{{role="server",port="{pair.server.port}",worker="0"}}'
        assert f"aiopquic_connections{label} 1\n" in text
        assert f"aiopquic_handshakes_total{label} 1\n" in text
        assert "# TYPE aiopquic_connections gauge\n" in text
        assert "# TYPE aiopquic_handshakes_total counter\n" in text
        assert re.search(r'aiopquic_handshakes_total\{role="client",port="\d+",worker="0"\} ', text)
        for line in text.splitlines():
            assert re.fullmatch(
                r'# (HELP|TYPE) aiopquic_\w+ .+|aiopquic_\w+\{role="\w+",port="\d+",worker="0"\} \d+', line
            ), line
        port = pair.server.port
    assert f'port="{port}"' not in metrics.render()


async def test_server_of_the_streams_api(endpoints: Endpoints):
    """The same figures there."""

    async def idle(conn: aiopquic.Connection) -> None:
        await conn.wait_closed()

    good = endpoints.certificates.good
    async with aiopquic.serve(
        idle, "127.0.0.1", 0, alpn=["test"], certificate=good.cert, private_key=good.key
    ) as server:
        stats = server.stats()
        assert (stats.role, stats.port) == ("server", server.port)
        assert ("server", server.port) in {(one.role, one.port) for one in metrics.engine_stats()}
