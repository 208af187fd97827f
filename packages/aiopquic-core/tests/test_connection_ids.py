"""Connection ids come and go, and are told (RFC 9000 section 5.1); the chain of the peer is told too."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from aiopquic._sinks import HandshakeInfo
from aiopquic.asyncio import QuicConnectionProtocol, serve
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionIdIssued, ConnectionIdRetired

from .certificates import Certificates
from .support import ALPN, Endpoints, Recorder, server_configuration, until


class Told:
    """What the sinks of every connection were told, in order: side, "ready", "issued" or "retired", and with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entries: list[tuple[bool, str, Any]] = []
        for name in ("connection_ready", "connection_id_issued", "connection_id_retired"):
            monkeypatch.setattr(QuicConnection, name, self._recording(name, getattr(QuicConnection, name)))

    def _recording(self, name: str, original: Any) -> Any:
        def record(quic: QuicConnection, argument: Any) -> None:
            self.entries.append((quic.configuration.is_client, name.rsplit("_", 1)[1], argument))
            original(quic, argument)

        return record

    def of(self, is_client: bool, what: str) -> list[Any]:
        return [argument for side, name, argument in self.entries if (side, name) == (is_client, what)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


async def test_ids_are_issued(endpoints: Endpoints, told: Told):
    """Each side tells the ids that it gives its peer, those of the handshake included, after ``connection_ready``."""
    async with endpoints.pair() as pair:
        await until(lambda: told.of(True, "issued") and told.of(False, "issued"), "ids of both sides")
        for side, protocol in ((True, pair.client), (False, pair.peer)):
            assert next(name for is_client, name, _ in told.entries if is_client is side) == "ready"
            ids = told.of(side, "issued")
            assert len(set(ids)) == len(ids)
            assert protocol.quic.connection_ids["local"] not in ids
            assert {len(one) for one in ids} == {8}
        assert not told.of(True, "retired") + told.of(False, "retired")


@pytest.mark.peer
async def test_ids_are_retired(certificates: Certificates, told: Told):
    """A peer that changes to another id retires the one that it leaves; it gets a fresh one in exchange."""
    aioquic = pytest.importorskip("aioquic.asyncio", reason="aioquic is installed by the nox sessions that test")
    from aioquic.quic.configuration import QuicConfiguration as Configuration

    configuration = Configuration(alpn_protocols=[ALPN], verify_mode=ssl.CERT_NONE)
    accepted: list[QuicConnection] = []
    protocols: list[Recorder] = []

    def create(quic: QuicConnection, **arguments: Any) -> QuicConnectionProtocol:
        accepted.append(quic)
        protocols.append(Recorder(quic, **arguments))
        return protocols[-1]

    ours = server_configuration(certificates)
    async with (
        await serve("127.0.0.1", 0, configuration=ours, create_protocol=create) as server,
        aioquic.connect("127.0.0.1", server.port, configuration=configuration) as client,
    ):
        await until(lambda: len(told.of(False, "issued")) > 1, "ids")
        issued = len(told.of(False, "issued"))
        first, second = accepted[0].connection_ids["local"], told.of(False, "issued")[0]
        client.change_connection_id()
        await client.ping()
        await until(lambda: told.of(False, "retired"), "the peer retires an id")
        assert told.of(False, "retired") == [first]
        assert accepted[0].connection_ids["local"] == second, "the oldest that is left"
        await until(lambda: len(told.of(False, "issued")) == issued + 1, "a fresh id")
        assert protocols[0].seen(ConnectionIdRetired) == [ConnectionIdRetired(first)]
        assert [event.connection_id for event in protocols[0].seen(ConnectionIdIssued)] == told.of(False, "issued")


@pytest.mark.parametrize("verify_mode", [ssl.CERT_NONE, ssl.CERT_REQUIRED], ids=["unverified", "verified"])
async def test_peer_certificates(endpoints: Endpoints, certificates: Certificates, told: Told, verify_mode: int):
    """The handshake tells the server's chain, its own certificate first, also when nothing is verified."""
    leaf, other = (ssl.PEM_cert_to_DER_cert(one.cert.read_text()) for one in (certificates.good, certificates.other))
    chain = certificates.good.cert.with_name("chain.pem")
    chain.write_text(certificates.good.cert.read_text() + certificates.other.cert.read_text())
    async with (
        endpoints.server(certificate_file=chain) as server,
        endpoints.connect(server, verify_mode=verify_mode),
    ):
        await server.peer()
        info: HandshakeInfo
        (info,) = told.of(True, "ready")
        assert info.peer_certificates == (leaf, other)
        (info,) = told.of(False, "ready")
        assert info.peer_certificates == ()
        assert not info.early_data_accepted
