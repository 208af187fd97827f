"""A server's certificates: from files and bytes, by the name that a client asks for, and others while it runs."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

import aiopquic
from aiopquic.exceptions import CertificateFileError, CertificateVerifyError, ConfigurationError, HandshakeError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.certificates import dev_certificate

from .certificates import PASSWORD, Certificate, Certificates
from .support import Echo, Endpoints, round_trips


def der_of(certificate: Certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())


def der_key_of(certificate: Certificate, password: str | None = None) -> bytes:
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, encryption)


def sources(certificates: Certificates, folder: Path) -> dict[str, tuple[Any, Any, str | None]]:
    """The good certificate in every way in which it can be given."""
    good = certificates.good
    (folder / "certificate.der").write_bytes(der_of(good))
    (folder / "key.der").write_bytes(der_key_of(good))
    return {
        "PEM bytes": (good.cert.read_bytes(), good.key.read_bytes(), None),
        "DER bytes": (der_of(good), der_key_of(good), None),
        "DER files": (folder / "certificate.der", str(folder / "key.der"), None),
        "DER and PEM": (der_of(good), good.key, None),
        "encrypted DER": (der_of(good), der_key_of(good, PASSWORD), PASSWORD),
        "a chain in DER": (der_of(good) + der_of(certificates.other), der_key_of(good), None),
    }


SOURCES = ["PEM bytes", "DER bytes", "DER files", "DER and PEM", "encrypted DER", "a chain in DER"]


@pytest.mark.parametrize("case", SOURCES)
async def test_sources(endpoints: Endpoints, certificates: Certificates, tmp_path: Path, case: str):
    """Files and bytes, PEM and DER: a server's, and a client's in the same ways."""
    cases = sources(certificates, tmp_path)
    assert set(cases) == set(SOURCES)
    certificate, key, password = cases[case]
    files = {"certificate_file": certificate, "private_key_file": key, "private_key_password": password}
    async with endpoints.pair(server_settings=files) as pair:
        await round_trips(pair)
    server = {"verify_mode": ssl.CERT_REQUIRED, "cafile": certificates.client_only.cert}
    client = certificates.client_only
    files = {"certificate_file": der_of(client), "private_key_file": der_key_of(client)}
    async with endpoints.pair(client_settings=files, server_settings=server) as pair:
        await round_trips(pair)


async def test_bytes_in_the_streams_api(certificates: Certificates):
    """One PEM text may have both."""
    both = certificates.good.key.read_bytes() + certificates.good.cert.read_bytes()
    async with aiopquic.serve(idle, "127.0.0.1", 0, alpn=["test"], certificate=both) as server:
        where: tuple[str, int] = ("127.0.0.1", server.port)
        async with aiopquic.connect(*where, alpn=["test"], cafile=certificates.good.cert) as conn:
            assert conn.peer_certificate == der_of(certificates.good)


async def idle(conn: aiopquic.Connection) -> None:
    await conn.wait_closed()


@pytest.mark.parametrize(
    ("certificate", "key", "password", "words"),
    [
        (b"", "good", None, "what was given as bytes contains no PEM certificate, and no DER either"),
        (b"0garbage", "good", None, "no certificate could be read .*certificate given as bytes"),
        ("good", b"garbage", None, "what was given as bytes contains no PEM private key"),
        ("good", b"0garbage", None, "the private key could not be read .*key given as bytes"),
        ("good", "other", None, "the private key does not belong to the certificate .*key given as bytes"),
        ("good", "encrypted", None, "the private key is encrypted, and no password was given"),
        ("good", "encrypted", "wrong", "the private key is encrypted with another password"),
    ],
)
async def test_wrong_bytes(
    endpoints: Endpoints, certificates: Certificates, certificate: Any, key: Any, password: str | None, words: str
):
    """Refused before a socket is opened, with what is wrong."""
    keys = {
        "good": der_key_of(certificates.good),
        "other": der_key_of(certificates.other),
        "encrypted": der_key_of(certificates.good, PASSWORD),
    }
    if isinstance(certificate, str):
        certificate = der_of(certificates.good)
    files = {"certificate_file": certificate, "private_key_file": keys.get(key, key), "private_key_password": password}
    with pytest.raises(CertificateFileError, match=words):
        async with endpoints.server(**files):
            pass


# ---- by name ----


@pytest.fixture
def named(tmp_path: Path) -> dict[str, Certificate]:
    """A certificate for each of these names."""
    names = ["a.example", "*.b.example", "c.b.example", "xn--bcher-kva.example"]
    return {
        name: Certificate(*dev_certificate(hosts=[name]).write(tmp_path / name.replace("*", "star"))) for name in names
    }


def settings_of(named: dict[str, Certificate]) -> dict[str, Any]:
    """As ``certificates`` takes them; one key has a password, and one stands in the file of its certificate."""
    both = named["c.b.example"].cert.read_bytes() + named["c.b.example"].key.read_bytes()
    return {
        "certificates": {
            "*.b.example": (named["*.b.example"].cert, named["*.b.example"].key),
            "a.example": (der_of(named["a.example"]), der_key_of(named["a.example"], PASSWORD), PASSWORD),
            "c.b.example": (both, both),
            "bücher.example": (named["xn--bcher-kva.example"].cert, named["xn--bcher-kva.example"].key),
        }
    }


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("x.b.example", "*.b.example"),
        ("c.b.example", "c.b.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
async def test_certificate_by_name(endpoints: Endpoints, named: dict[str, Certificate], asked: str, shown: str):
    """SNI chooses (RFC 6066 section 3): an exact name before a pattern."""
    async with (
        endpoints.server(Echo, **settings_of(named)) as server,
        endpoints.connect(server, cafile=named[shown].cert, server_name=asked) as client,
    ):
        await echo(client)


@pytest.mark.parametrize("asked", ["b.example", "x.y.b.example", "z.example", None])
@pytest.mark.parametrize("has_default", [True, False])
async def test_other_names(endpoints: Endpoints, named: dict[str, Certificate], asked: str | None, has_default: bool):
    """Whoever asks for another name, or for none, gets the certificate without a name, or is refused."""
    settings = settings_of(named)
    if not has_default:
        settings |= {"certificate_file": None, "private_key_file": None}
    client = {"server_name": asked, "cafile": None, "verify_mode": ssl.CERT_NONE}
    async with endpoints.server(Echo, **settings) as server:
        if has_default:
            async with endpoints.connect(server, **client) as connected:
                assert connected.quic._info is not None
                assert connected.quic._info.peer_certificates == (der_of(endpoints.certificates.good),)
        else:
            with pytest.raises(HandshakeError, match="unrecognized_name"):
                async with endpoints.connect(server, **client):
                    pass


async def test_wrong_file_behind_a_name(endpoints: Endpoints, named: dict[str, Certificate], tmp_path: Path):
    """The error says whose it is."""
    pair = named["a.example"].cert, tmp_path / "missing.pem"
    with pytest.raises(CertificateFileError, match=r"certificates\['a.example'\]: .*missing.pem' can't be read"):
        async with endpoints.server(certificates={"a.example": pair}):
            pass


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "certificates are like"),
        ([("a.example", "a.pem", "a.key")], "certificates are like"),
        ({"a.example": "a.pem"}, r"certificates\['a.example'\] is a certificate and its key"),
        ({"a.example": ("a.pem",)}, "is a certificate and its key"),
        ({"a.example": ("a.pem", 5)}, "is a certificate and its key"),
        ({"": ("a.pem", "a.key")}, "the names of certificates are like"),
        ({"*": ("a.pem", "a.key")}, "the names of certificates are like"),
        ({"a.*.example": ("a.pem", "a.key")}, "the names of certificates are like"),
        ({5: ("a.pem", "a.key")}, "the names of certificates are like"),
    ],
)
def test_wrong_names(wrong: Any, words: str):
    with pytest.raises(ConfigurationError, match=words):
        QuicConfiguration(is_client=False, certificates=wrong)


def test_names_are_for_servers():
    with pytest.raises(ConfigurationError, match="certificates are for servers"):
        QuicConfiguration(certificates={"a.example": ("a.pem", "a.key")})


def test_pem_text_as_a_path():
    """A mistake that is easy to make."""
    with pytest.raises(ConfigurationError, match="certificate_file is a path: give its content as bytes"):
        QuicConfiguration(certificate_file="-----BEGIN CERTIFICATE-----")


# ---- while it runs ----


async def test_reload(endpoints: Endpoints, certificates: Certificates):
    """New handshakes get the new certificate, and the connections of before live on."""
    good, other = certificates.good, certificates.other
    async with endpoints.server(Echo) as server, endpoints.connect(server) as first:
        await server.server.reload_certificate(other.cert, other.key)
        async with endpoints.connect(server, cafile=other.cert) as second:
            await echo(second)
        with pytest.raises(CertificateVerifyError):
            async with endpoints.connect(server, cafile=good.cert):
                pass
        await echo(first)
        encrypted = certificates.encrypted
        await server.server.reload_certificate(encrypted.cert, encrypted.key, PASSWORD)
        async with endpoints.connect(server, cafile=encrypted.cert) as third:
            await echo(third)


async def echo(client: Any) -> None:
    stream_id = client.quic.get_next_available_stream_id()
    client.quic.send_stream_data(stream_id, b"?", end_stream=True)
    assert await client.wait_end(stream_id) == b"?"


async def test_reload_reads_the_files_again(certificates: Certificates, tmp_path: Path):
    """As when somebody else renews them; in the streams API."""
    good, other = certificates.good, certificates.other
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(good.cert.read_bytes())
    key.write_bytes(good.key.read_bytes())
    async with aiopquic.serve(idle, "127.0.0.1", 0, alpn=["test"], certificate=certificate, private_key=key) as server:
        certificate.write_bytes(other.cert.read_bytes())
        with pytest.raises(CertificateFileError, match="does not belong to the certificate"):
            await server.reload_certificate()
        async with aiopquic.connect("127.0.0.1", server.port, alpn=["test"], cafile=good.cert):
            pass
        key.write_bytes(other.key.read_bytes())
        await server.reload_certificate()
        async with aiopquic.connect("127.0.0.1", server.port, alpn=["test"], cafile=other.cert):
            pass
    with pytest.raises(RuntimeError, match="the server is closed"):
        await server.reload_certificate()


async def test_reload_of_names(endpoints: Endpoints, named: dict[str, Certificate]):
    """Names come and go."""
    one, other = named["a.example"], named["c.b.example"]
    async with endpoints.server(Echo, certificates={"a.example": (one.cert, one.key)}) as server:
        await server.server.reload_certificate(certificates={"c.b.example": (other.cert, other.key)})
        async with endpoints.connect(server, cafile=other.cert, server_name="c.b.example") as client:
            await echo(client)
        with pytest.raises(CertificateVerifyError):
            async with endpoints.connect(server, cafile=one.cert, server_name="a.example"):
                pass


async def test_wrong_reload(endpoints: Endpoints, certificates: Certificates):
    """What can't be used changes nothing."""
    async with endpoints.server(Echo) as server:
        with pytest.raises(CertificateFileError, match="does not belong"):
            await server.server.reload_certificate(certificates.good.cert, certificates.other.key)
        with pytest.raises(CertificateFileError, match="can't be read"):
            await server.server.reload_certificate("missing.pem")
        with pytest.raises(ConfigurationError, match="without its certificate"):
            await server.server.reload_certificate(private_key=certificates.good.key)
        async with endpoints.connect(server) as client:
            await echo(client)


async def test_reloads_under_handshakes(endpoints: Endpoints, certificates: Certificates):
    """Each handshake has one certificate from its beginning to its end."""
    good, other = certificates.good, certificates.other
    trusted = {"cafile": good.cert, "cadata": other.cert.read_text()}
    async with endpoints.server(Echo) as server:

        async def reload() -> None:
            for _ in range(20):
                await server.server.reload_certificate(other.cert, other.key)
                await server.server.reload_certificate(good.cert, good.key)

        async def connect() -> None:
            for _ in range(5):
                async with endpoints.connect(server, **trusted) as client:
                    await echo(client)

        async with asyncio.TaskGroup() as group:
            group.create_task(reload())
            for _ in range(3):
                group.create_task(connect())
