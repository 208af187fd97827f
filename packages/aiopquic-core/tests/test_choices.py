"""Settings of TLS and of the path, by what they change on the wire."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from aiopquic.exceptions import ConfigurationError, HandshakeError
from aiopquic.quic.configuration import QUIC_V1, QUIC_V2, QuicConfiguration, available_key_exchange_groups
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.pool import close_idle_engines

from .support import Echo, Endpoints, Recorder, round_trips

X25519, SECP256R1 = 0x001D, 0x0017


async def send(client: Recorder, size: int) -> None:
    stream_id = client.quic.get_next_available_stream_id()
    await client.quic.send_stream_data_drained(stream_id, bytes(size), end_stream=True)
    assert len(await client.wait_end(stream_id)) == size


# ---- key exchange ----


def test_available_groups():
    """Classic groups come first, X25519 before all; hybrids follow where OpenSSL has them."""
    groups = available_key_exchange_groups()
    assert groups[:2] == (X25519, SECP256R1)
    assert all(group >= 0x0200 for group in groups[2:])


@pytest.mark.parametrize(
    ("offered", "accepted"),
    [
        ([X25519], [X25519]),
        ([X25519, SECP256R1], [SECP256R1]),
        (None, [SECP256R1]),
        ([SECP256R1], None),
        (available_key_exchange_groups(), available_key_exchange_groups()[::-1]),
    ],
    ids=["one", "asked for another", "all", "preferred", "reversed"],
)
async def test_key_exchange_groups(endpoints: Endpoints, offered: Any, accepted: Any):
    """Two engines of one process have lists of their own; a server asks for the group that both have."""
    settings = {
        "client_settings": {"key_exchange_groups": offered},
        "server_settings": {"key_exchange_groups": accepted},
    }
    async with endpoints.pair(**settings) as pair:  # type: ignore[arg-type]
        await round_trips(pair)


async def test_no_common_group(endpoints: Endpoints):
    """Without one in common the handshake ends with an alert, at once."""
    async with endpoints.server(key_exchange_groups=[SECP256R1]) as server:
        with pytest.raises(HandshakeError, match="handshake_failure"):
            async with endpoints.connect(server, key_exchange_groups=[X25519]):
                pass


# ---- versions ----


@pytest.mark.parametrize(
    ("versions", "agreed"),
    [
        (None, QUIC_V1),
        ([QUIC_V1], QUIC_V1),
        ([QUIC_V2], QUIC_V2),
        ([QUIC_V1, QUIC_V2], QUIC_V1),
        ([QUIC_V2, QUIC_V1], QUIC_V2),
    ],
    ids=["default", "1", "2", "1 before 2", "2 before 1"],
)
async def test_supported_versions(endpoints: Endpoints, versions: Any, agreed: int, monkeypatch: pytest.MonkeyPatch):
    """The connection speaks the version that the client wants (RFC 9369)."""
    spoken: list[int] = []
    original = QuicConnection.connection_ready
    monkeypatch.setattr(
        QuicConnection, "connection_ready", lambda self, info: spoken.append(info.version) or original(self, info)
    )
    async with endpoints.pair(client_settings={"supported_versions": versions}) as pair:
        await round_trips(pair)
    assert spoken == [agreed, agreed]


def test_desired_version():
    """What a client prefers to version 1."""
    assert QuicConfiguration().desired_version == 0
    assert QuicConfiguration(supported_versions=[QUIC_V1, QUIC_V2]).desired_version == 0
    assert QuicConfiguration(supported_versions=[QUIC_V2, QUIC_V1]).desired_version == QUIC_V2


def test_versions_of_a_server():
    """A server can't be kept from a version, and says so."""
    QuicConfiguration(is_client=False, supported_versions=[QUIC_V1, QUIC_V2])
    with pytest.raises(ConfigurationError, match="a server accepts versions 1 and 2"):
        QuicConfiguration(is_client=False, supported_versions=[QUIC_V1])


# ---- key update ----


@pytest.mark.parametrize("interval", [None, 50])
async def test_key_update_interval(endpoints: Endpoints, tmp_path: Path, interval: int | None):
    """After so many packets the keys change, and nothing is lost (RFC 9001 section 6)."""
    settings = {"key_update_interval": interval, "qlog_dir": tmp_path}
    async with endpoints.pair(server=Echo, client_settings=settings) as pair:
        await send(pair.client, 1 << 20)
    await close_idle_engines()  # a client's qlog is whole when its connection has drained
    phases = re.findall(r'"packet_sent".*"key_phase": *(\d)', logs(tmp_path))
    assert set(phases) == ({"0"} if interval is None else {"0", "1"})


# ---- path MTU discovery ----

LARGER = 1300
"Bytes of a packet that is larger than the first ones, and smaller than the loopback's."


@pytest.mark.parametrize(
    ("pmtud", "size", "tries"),
    [
        ("basic", 1000, True),
        ("delayed", 1000, False),
        ("delayed", 3 << 20, True),
        ("blocked", 3 << 20, False),
    ],
)
async def test_pmtud(endpoints: Endpoints, tmp_path: Path, pmtud: str, size: int, tries: bool):
    """Larger packets are tried at once, when there is much to send, or never."""
    async with endpoints.pair(server=Echo, client_settings={"pmtud": pmtud, "qlog_dir": tmp_path}) as pair:
        await send(pair.client, size)
        await pair.client.quic.stats()
    await close_idle_engines()
    sizes = [int(found) for found in re.findall(r'"packet_sent".*"packet_size": *(\d+)', logs(tmp_path))]
    assert sizes
    assert (max(sizes) > LARGER) == tries


def logs(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.iterdir())


# ---- addresses ----


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "AF_INET6"), ("::1", "AF_INET")])
async def test_family_that_contradicts_the_host(endpoints: Endpoints, host: str, family: str):
    """An address of the other family is refused before a packet is sent, by both sides."""
    settings = {"ip_family": getattr(socket, family)}
    async with endpoints.server() as server:
        with pytest.raises(ConfigurationError, match=f"which ip_family=socket.{family} excludes"):
            async with endpoints.connect(server, host=host, **settings):
                pass
    with pytest.raises(ConfigurationError, match=family):
        async with endpoints.server(host=host, **settings):
            pass
