"""Servers that are known by the hash of their certificate, or of its public key."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

import aiopquic
from aiopquic.exceptions import CertificateVerifyError, ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration

from .certificates import Certificate, Certificates
from .support import Echo, Endpoints, round_trips


def hash_of(certificate: Certificate) -> bytes:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())).digest()


def key_hash_of(certificate: Certificate) -> bytes:
    key = x509.load_pem_x509_certificate(certificate.cert.read_bytes()).public_key()
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(encoding, form)).digest()


def made(folder: Path, key: Any, days: float) -> Certificate:
    """A certificate for nobody in particular, valid for ``days`` from an hour ago on."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anybody")])
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=days))
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return Certificate(*paths)


def served(certificate: Certificate) -> dict[str, Any]:
    return {"certificate_file": certificate.cert, "private_key_file": certificate.key}


@pytest.fixture
def by_hash(certificates: Certificates) -> dict[str, Any]:
    """A client's settings: the good certificate, among others, whoever issued it."""
    return {"cafile": None, "server_certificate_hashes": [hash_of(certificates.other), hash_of(certificates.good)]}


async def test_certificate_is_known_by_its_hash(endpoints: Endpoints, by_hash: dict[str, Any]):
    """No trust store is asked."""
    async with endpoints.pair(client_settings=by_hash) as pair:
        await round_trips(pair)


async def test_streams_api(endpoints: Endpoints, certificates: Certificates, by_hash: dict[str, Any]):
    """The setting has the same name there."""
    async with endpoints.server(Echo) as server:
        where: tuple[str, int] = ("127.0.0.1", server.port)
        async with aiopquic.connect(*where, alpn=["test"], **by_hash) as conn:
            assert conn.peer_certificate == ssl.PEM_cert_to_DER_cert(certificates.good.cert.read_text())
        with pytest.raises(CertificateVerifyError, match="its hash is none of server_certificate_hashes"):
            await aiopquic.connect(*where, alpn=["test"], server_certificate_hashes=[bytes(32)])


async def test_name_is_not_compared(endpoints: Endpoints, certificates: Certificates):
    """As in browsers: the hash says which server it is."""
    certificate = certificates.other_name
    settings = {"cafile": None, "server_certificate_hashes": [hash_of(certificate)]}
    async with endpoints.pair(client_settings=settings, server_settings=served(certificate)) as pair:
        await round_trips(pair)


@pytest.mark.parametrize("setting", ["server_certificate_hashes", "pinned_keys"])
async def test_unknown_hash(endpoints: Endpoints, certificates: Certificates, setting: str):
    """The error says which hash the certificate has, so that it can be compared."""
    other, good = certificates.other, certificates.good
    one, actual = (
        (hash_of(other), hash_of(good)) if setting != "pinned_keys" else (key_hash_of(other), key_hash_of(good))
    )
    async with endpoints.server() as server:
        settings: dict[str, Any] = {setting: [one]}
        if setting != "pinned_keys":
            settings["cafile"] = None
        words = f"certificate was refused: .* is none of {setting}: its SHA-256 is {actual.hex()}$"
        with pytest.raises(CertificateVerifyError, match=words) as caught:
            async with endpoints.connect(server, **settings):
                pass
        assert not caught.value.close_reason.is_remote
        assert caught.value.close_reason.tls_alert == 42


@pytest.mark.parametrize(
    ("name", "words"), [("expired", "certificate has expired"), ("not_yet_valid", "certificate is not yet valid")]
)
async def test_validity_counts(endpoints: Endpoints, certificates: Certificates, name: str, words: str):
    """A hash is no reason to take a certificate that is not valid now."""
    certificate: Certificate = getattr(certificates, name)
    async with endpoints.server(**served(certificate)) as server:
        with pytest.raises(CertificateVerifyError, match=words):
            async with endpoints.connect(server, cafile=None, server_certificate_hashes=[hash_of(certificate)]):
                pass


@pytest.mark.parametrize(
    ("kind", "days", "words"),
    [
        ("p256", 14, None),
        ("p384", 14, None),
        ("p256", 14.1, "valid for 14 days at most"),
        ("rsa", 10, "has no RSA key"),
    ],
)
async def test_certificates_that_a_hash_is_enough_for(
    endpoints: Endpoints, tmp_path: Path, kind: str, days: float, words: str | None
):
    """W3C WebTransport: two weeks, and no RSA."""
    key: Any = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    certificate = made(tmp_path, key, days)
    settings = {"cafile": None, "server_certificate_hashes": [hash_of(certificate)]}
    async with endpoints.server(Echo, **served(certificate)) as server:
        if words is None:
            async with endpoints.connect(server, **settings):
                pass
        else:
            with pytest.raises(CertificateVerifyError, match=words):
                async with endpoints.connect(server, **settings):
                    pass


# ---- public keys ----


async def test_pinned_key(endpoints: Endpoints, certificates: Certificates):
    """The chain is verified as always, and the key is one of those."""
    settings = {"pinned_keys": [bytes(32), key_hash_of(certificates.good)]}
    async with endpoints.pair(client_settings=settings) as pair:
        await round_trips(pair)
    async with endpoints.server() as server:
        with pytest.raises(CertificateVerifyError, match="self-signed"):
            async with endpoints.connect(server, cafile=certificates.other.cert, **settings):
                pass


async def test_pinned_key_alone(endpoints: Endpoints, tmp_path: Path):
    """With ssl.CERT_NONE the key is all that counts: any age, any name, any kind."""
    certificate = made(tmp_path, rsa.generate_private_key(65537, 2048), 1000)
    settings = {"cafile": None, "verify_mode": ssl.CERT_NONE, "pinned_keys": [key_hash_of(certificate)]}
    async with endpoints.pair(client_settings=settings, server_settings=served(certificate)) as pair:
        await round_trips(pair)
    async with endpoints.server() as server:
        with pytest.raises(CertificateVerifyError, match="its public key is none of pinned_keys"):
            async with endpoints.connect(server, **settings):
                pass


# ---- settings ----


@pytest.mark.parametrize("setting", ["server_certificate_hashes", "pinned_keys"])
@pytest.mark.parametrize("wrong", [[], [bytes(31)], bytes(32), "00" * 32, ["00" * 32], 5])
def test_wrong_hashes(setting: str, wrong: Any):
    """What is no list of hashes is refused with what would be one."""
    with pytest.raises(ConfigurationError, match=f"{setting} is a list of SHA-256 hashes, 32 bytes each, or None"):
        QuicConfiguration(**{setting: wrong})


@pytest.mark.parametrize("setting", ["server_certificate_hashes", "pinned_keys"])
def test_not_for_servers(setting: str):
    with pytest.raises(ConfigurationError, match=f"{setting} is for clients"):
        QuicConfiguration(is_client=False, **{setting: [bytes(32)]})


@pytest.mark.parametrize("other", [{"cafile": "ca.pem"}, {"verify_mode": ssl.CERT_NONE}])
def test_hashes_and_trust(other: dict[str, Any]):
    """Nobody has to guess which of the two decides."""
    words = f"server_certificate_hashes and {next(iter(other))}.* exclude each other"
    with pytest.raises(ConfigurationError, match=words):
        QuicConfiguration(server_certificate_hashes=[bytes(32)], **other)
