"""Development certificates: what they say, and what a client makes of them."""

from __future__ import annotations

import hashlib
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from aiopquic.asyncio import connect, serve
from aiopquic.exceptions import CertificateVerifyError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.certificates import DevCertificate, dev_authority, dev_certificate


async def handshake(certificate: DevCertificate, trusted: bytes, folder: Path, host: str = "localhost") -> None:
    """Connect by a host name; raises what connect() raises."""
    server_configuration = QuicConfiguration(is_client=False, alpn_protocols=["test"])
    server_configuration.load_cert_chain(*certificate.write(folder))
    client_configuration = QuicConfiguration(alpn_protocols=["test"], cadata=trusted)
    async with (
        await serve("127.0.0.1", 0, configuration=server_configuration) as server,
        connect(host, server.port, configuration=client_configuration),
    ):
        pass


def test_it_is_what_browsers_accept_by_hash() -> None:
    made = x509.load_pem_x509_certificate(dev_certificate().certificate_pem)
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert made.not_valid_after_utc - made.not_valid_before_utc <= timedelta(days=14)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_sha256_is_that_of_the_der() -> None:
    made = dev_certificate()
    der = ssl.PEM_cert_to_DER_cert(made.certificate_pem.decode())
    assert made.sha256 == hashlib.sha256(der).digest()


def test_the_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for _ in range(2):  # the second overwrites
        certificate, key = dev_certificate().write(folder)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


@pytest.mark.parametrize("days", [0, -1, 14.1, 365])
def test_too_many_days(days: float) -> None:
    with pytest.raises(ValueError, match="up to 14 days"):
        dev_certificate(days=days)


@pytest.mark.parametrize("hosts", ["localhost", []])
def test_hosts_is_a_list(hosts: list[str]) -> None:
    with pytest.raises(ValueError, match="list of names"):
        dev_certificate(hosts=hosts)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_client_that_is_given_it_trusts_it(tmp_path: Path, host: str) -> None:
    made = dev_certificate()
    await handshake(made, made.certificate_pem, tmp_path, host)


async def test_a_client_that_is_given_the_authority_trusts_what_it_issues(tmp_path: Path) -> None:
    authority = dev_authority()
    await handshake(authority.issue(), authority.certificate_pem, tmp_path)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (dev_certificate(expired=True), "expired"),
        (dev_certificate(not_before=datetime.now(UTC) + timedelta(days=1)), "not yet valid"),
        (dev_certificate(hosts=["example.net"]), "hostname mismatch"),
        (dev_certificate(usage="client"), "purpose"),
    ],
    ids=["expired", "early", "name", "usage"],
)
async def test_a_client_refuses(tmp_path: Path, made: DevCertificate, why: str) -> None:
    with pytest.raises(CertificateVerifyError, match=why):
        await handshake(made, made.certificate_pem, tmp_path)


async def test_a_client_refuses_another_authority(tmp_path: Path) -> None:
    with pytest.raises(CertificateVerifyError):
        await handshake(dev_authority().issue(), dev_authority().certificate_pem, tmp_path)


def test_without_cryptography_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from aiopquic.testing.certificates import dev_certificate\n"
        "try: dev_certificate()\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "aiopquic-core[cli]" in done.stdout
