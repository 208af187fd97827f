"""Clients that show who they are (RFC 8446 section 4.3.2)."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from aiopquic._sinks import HandshakeInfo
from aiopquic.exceptions import CertificateFileError, CertificateVerifyError, ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, HandshakeCompleted

from .certificates import Certificate, Certificates
from .support import Endpoints, round_trips


def shown(certificate: Certificate) -> dict[str, Any]:
    return {
        "certificate_file": certificate.cert,
        "private_key_file": certificate.key,
        "private_key_password": certificate.password,
    }


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, ...]]:
    """The chains that servers were shown."""
    chains: list[tuple[bytes, ...]] = []
    original = QuicConnection.connection_ready

    def record(quic: QuicConnection, info: HandshakeInfo) -> None:
        if not quic.configuration.is_client:
            chains.append(info.peer_certificates)
        original(quic, info)

    monkeypatch.setattr(QuicConnection, "connection_ready", record)
    return chains


@pytest.mark.parametrize("mode", [ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL])
async def test_accepted(endpoints: Endpoints, certificates: Certificates, told: list[tuple[bytes, ...]], mode: int):
    """A client with a certificate that the server trusts connects, and the server knows whose it is."""
    certificate = certificates.client_only
    settings = {"verify_mode": mode, "cafile": certificate.cert}
    async with endpoints.pair(client_settings=shown(certificate), server_settings=settings) as pair:
        await round_trips(pair)
    assert told == [(ssl.PEM_cert_to_DER_cert(certificate.cert.read_text()),)]


async def test_optional_and_missing(endpoints: Endpoints, certificates: Certificates, told: list[tuple[bytes, ...]]):
    """With ssl.CERT_OPTIONAL a client without a certificate connects, and nothing is known of it."""
    settings = {"verify_mode": ssl.CERT_OPTIONAL, "cafile": certificates.other.cert}
    async with endpoints.pair(server_settings=settings) as pair:
        await round_trips(pair)
    assert told == [()]


async def test_not_asked_for(endpoints: Endpoints, certificates: Certificates, told: list[tuple[bytes, ...]]):
    """A client shows its certificate to nobody who does not ask."""
    async with endpoints.pair(client_settings=shown(certificates.other)) as pair:
        await round_trips(pair)
    assert told == [()]


#: What the client shows, what the server trusts instead of that, its mode, and the alert.
REFUSED: dict[str, tuple[str | None, str | None, int, int]] = {
    "missing": (None, "other", ssl.CERT_REQUIRED, 116),
    "untrusted": ("client_only", "other", ssl.CERT_REQUIRED, 46),
    "untrusted, optional": ("client_only", "other", ssl.CERT_OPTIONAL, 46),
    "for servers": ("good", None, ssl.CERT_REQUIRED, 46),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused(endpoints: Endpoints, certificates: Certificates, case: str):
    """A client that can't show what is asked for is told why by an alert, and its data reaches nobody."""
    name, instead, mode, alert = REFUSED[case]
    certificate: Certificate | None = getattr(certificates, name) if name is not None else None
    trusted: Certificate = getattr(certificates, instead or name or "")
    settings = shown(certificate) if certificate is not None else {}
    async with endpoints.server(verify_mode=mode, cafile=trusted.cert) as server:
        async with endpoints.connect(server, wait_connected=False, **settings) as client:
            client.quic.send_stream_data(client.quic.get_next_available_stream_id(), b"secret", end_stream=True)
            event = await client.wait_for(ConnectionTerminated)
            with pytest.raises(CertificateVerifyError) as caught:
                client.quic.send_stream_data(0, b"more")
        reason = client.quic.close_reason
        assert reason is event.close_reason is caught.value.close_reason
        assert reason is not None
        assert reason.is_remote
        assert reason.tls_alert == alert
        assert client.seen(ConnectionTerminated) == [event]
        assert not any(peer.data or peer.seen(HandshakeCompleted) for peer in server.peers)


# ---- settings ----


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cafile": "ca.pem"}, "a server with cafile needs a verify_mode: ssl.CERT_REQUIRED or"),
        ({"cadata": "PEM"}, "a server with cadata needs a verify_mode"),
        ({"verify_mode": ssl.CERT_REQUIRED}, "a server that verifies clients needs cafile, capath or cadata"),
        ({"verify_mode": ssl.CERT_OPTIONAL}, "a server that verifies clients needs cafile"),
        ({"session_ticket_file": "tickets"}, "session_ticket_file is for clients"),
        ({"early_data": 1}, "early_data is True or False, not 1"),
    ],
)
def test_wrong_server_settings(settings: dict[str, Any], words: str):
    """A server is never left to guess whether clients are to be verified."""
    with pytest.raises(ConfigurationError, match=words):
        QuicConfiguration(is_client=False, **settings)


def test_server_that_ignores_its_trust():
    """What is said aloud is done."""
    configuration = QuicConfiguration(is_client=False, cafile="ca.pem", verify_mode=ssl.CERT_NONE)
    assert not configuration.verify_peer
    assert not QuicConfiguration(is_client=False).verify_peer
    assert QuicConfiguration(is_client=False, cafile="ca.pem", verify_mode=ssl.CERT_OPTIONAL).verify_peer


@pytest.mark.parametrize("missing", ["certificate_file", "private_key_file"])
async def test_half_a_client_certificate(endpoints: Endpoints, certificates: Certificates, missing: str):
    """A certificate without its key, or a key without its certificate, is refused before a packet is sent."""
    settings = shown(certificates.other) | {missing: None}
    async with endpoints.server() as server:
        with pytest.raises(CertificateFileError, match="a client's certificate needs its key"):
            async with endpoints.connect(server, **settings):
                pass


async def test_client_key_of_another(endpoints: Endpoints, certificates: Certificates):
    """So is a key that does not belong to it."""
    settings = shown(certificates.other) | {"private_key_file": certificates.good.key}
    async with endpoints.server() as server:
        with pytest.raises(CertificateFileError, match="does not belong"):
            async with endpoints.connect(server, **settings):
                pass
