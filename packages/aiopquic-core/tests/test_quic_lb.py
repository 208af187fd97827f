"""Connection ids for load balancers (draft-ietf-quic-load-balancers), as they go out."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aiopquic._quic_lb import QuicLbSettings
from aiopquic.asyncio import serve
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import ConnectionIdIssued

from .support import Echo, Endpoints, round_trips, until

KEY = bytes(range(16))
SERVER_ID = b"\x2a\x00\x07"


def decrypt(block: bytes) -> bytes:
    """A load balancer's work: server id and nonce of 16 bytes, in one pass."""
    decryptor = Cipher(algorithms.AES(KEY), modes.ECB()).decryptor()
    return decryptor.update(block) + decryptor.finalize()


@pytest.mark.parametrize("key", [None, KEY], ids=["in the clear", "encrypted"])
async def test_server_ids(endpoints: Endpoints, key: bytes | None):
    """Every id of the server has its server id, where the balancer looks for it, and none comes twice."""
    lb = QuicLbSettings(server_id=SERVER_ID, config_rotation=2, nonce_length=13, key=key)
    async with endpoints.pair(server=Echo, server_settings={"quic_lb": lb}) as pair:
        await round_trips(pair)
        await until(lambda: len(pair.peer.seen(ConnectionIdIssued)) >= 2, "ids are issued")
        issued = [event.connection_id for event in pair.peer.seen(ConnectionIdIssued)]
        assert len(set(issued)) == len(issued)
        for one in issued:
            assert len(one) == lb.connection_id_length == 17
            assert one[0] >> 5 == 2
            block = one[1:] if key is None else decrypt(one[1:])
            assert block.startswith(SERVER_ID)


async def test_length_in_the_first_byte(endpoints: Endpoints):
    lb = QuicLbSettings(server_id=SERVER_ID, nonce_length=4, encodes_length=True)
    async with endpoints.pair(server=Echo, server_settings={"quic_lb": lb}) as pair:
        await round_trips(pair)
        await until(lambda: pair.peer.seen(ConnectionIdIssued), "ids are issued")
        assert {event.connection_id[0] for event in pair.peer.seen(ConnectionIdIssued)} == {7}


async def test_workers_have_one_server_id(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch):
    """Balancer and kernel both find their way: the first by the server id, the second by the first byte."""
    monkeypatch.delenv("AIOPQUIC_LOOP", raising=False)
    lb = QuicLbSettings(server_id=SERVER_ID, config_rotation=5, nonce_length=13, key=KEY)
    peers: list[Echo] = []

    def create(quic: Any, stream_handler: Any = None) -> Echo:
        peers.append(Echo(quic, stream_handler=stream_handler))
        return peers[-1]

    configuration = endpoints.server_configuration(quic_lb=lb)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=create, workers=3)
    async with server:
        for _ in range(12):
            async with endpoints.connect(("127.0.0.1", server.port)) as client:
                stream_id = client.quic.get_next_available_stream_id()
                client.quic.send_stream_data(stream_id, b"?", end_stream=True)
                assert await client.wait_end(stream_id) == b"?"
        assert len(peers) == 12
        for peer in peers:
            engine: Any = peer.quic._engine
            for event in peer.seen(ConnectionIdIssued):
                assert event.connection_id[0] >> 5 == 5
                assert event.connection_id[0] % 3 == engine.settings.worker
                assert decrypt(event.connection_id[1:]).startswith(SERVER_ID)
        assert server.stats().datagrams_misrouted == 0
        for peer in peers:
            peer.close_tasks()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no server id": ({"server_id": b""}, "server_id of quic_lb is 1 to 15 bytes"),
    "long server id": ({"server_id": bytes(16)}, "server_id of quic_lb is 1 to 15 bytes"),
    "text": ({"server_id": "7"}, "server_id of quic_lb is 1 to 15 bytes"),
    "rotation": ({"config_rotation": 7}, "config_rotation of quic_lb is 0 to 6"),
    "short nonce": ({"nonce_length": 3}, "nonce_length of quic_lb is 4 to 18"),
    "long nonce": ({"server_id": bytes(15), "nonce_length": 5}, "nonce_length of quic_lb is 4 to 4"),
    "short key": ({"key": bytes(15)}, "key of quic_lb is 16 bytes"),
    "a word for a switch": ({"encodes_length": "yes"}, "encodes_length of quic_lb is True or False"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_settings_that_cannot_be(case: str):
    settings, text = BAD[case]
    with pytest.raises(ConfigurationError, match=text):
        QuicLbSettings(**{"server_id": b"7", **settings})


def test_only_for_servers():
    lb = QuicLbSettings(server_id=b"7", key=KEY)
    with pytest.raises(ConfigurationError, match="quic_lb is for servers"):
        QuicConfiguration(quic_lb=lb)
    with pytest.raises(ConfigurationError, match="quic_lb is QuicLbSettings"):
        QuicConfiguration(is_client=False, quic_lb=b"7")  # type: ignore[arg-type]
    assert KEY.hex() not in repr(lb)
    assert repr(KEY) not in repr(lb)
