"""Certificates for development and tests: short-lived, made on the spot, trusted by nobody until told to.

They need the extra ``aiopquic-core[cli]`` (``cryptography``), which is imported when one is made.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

__all__ = [
    "CERTIFICATE_FILE",
    "KEY_FILE",
    "CertificateFiles",
    "DevAuthority",
    "DevCertificate",
    "dev_authority",
    "dev_certificate",
]

CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"

DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")

#: Browsers accept a certificate by its hash when it is an ECDSA one that is valid for two weeks at most.
MAX_DAYS = 14

Usage = Literal["server", "client"]
KeyType = Literal["p256", "ed25519"]


@dataclass(frozen=True, slots=True)
class DevCertificate:
    """A certificate and its private key."""

    certificate_pem: bytes
    "The certificate, alone."
    private_key_pem: bytes
    "PKCS #8, not encrypted."

    @property
    def sha256(self) -> bytes:
        """The digest of the certificate's DER: what ``serverCertificateHashes`` takes in browsers."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate_pem.decode())).digest()

    @property
    def for_pages(self) -> str:
        """The option of JavaScript's ``new WebTransport(url, {...})`` with which a page trusts the certificate."""
        value = ", ".join(map(str, self.sha256))
        return f'serverCertificateHashes: [{{algorithm: "sha-256", value: new Uint8Array([{value}])}}]'

    def write(self, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
        """Write both into a folder, which is made if it is missing; the key is readable by its owner alone.

        Returns:
            The paths of the certificate and of the key.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        certificate, key = target / CERTIFICATE_FILE, target / KEY_FILE
        certificate.write_bytes(self.certificate_pem)
        key.unlink(missing_ok=True)
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.private_key_pem)
        return certificate, key


class CertificateFiles(NamedTuple):
    """The paths of a certificate, which clients trust as their ``cafile``, and of its private key."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class DevAuthority:
    """A certificate authority of one's own: clients trust ``certificate_pem``, servers use what it issues."""

    certificate_pem: bytes
    private_key_pem: bytes

    def issue(
        self,
        hosts: Sequence[str] = DEFAULT_HOSTS,
        days: float = 10,
        *,
        not_before: datetime | None = None,
        expired: bool = False,
        usage: Usage = "server",
    ) -> DevCertificate:
        """A certificate like that of :func:`dev_certificate`, signed by this authority."""
        return _make(hosts, days, not_before=not_before, expired=expired, usage=usage, issuer=self)


def dev_certificate(
    hosts: Sequence[str] = DEFAULT_HOSTS,
    days: float = 10,
    *,
    not_before: datetime | None = None,
    expired: bool = False,
    usage: Usage = "server",
    key_type: KeyType = "p256",
) -> DevCertificate:
    """A self-signed certificate. A client whose ``cafile`` is the certificate itself trusts it.

    Args:
        hosts: names and IP literals that it is for.
        days: how long it is valid, 14 at most.
        not_before: when its validity begins; an hour ago when left out, as clocks differ.
        expired: its validity ended yesterday.
        usage: "client" makes one that servers can't use.
        key_type: "p256" (ECDSA), which browsers take; "ed25519", whose certificates and signatures have one length.

    Raises:
        ImportError: the extra ``aiopquic-core[cli]`` is not installed.
        ValueError: no host, or too many days.
    """
    return _make(hosts, days, not_before=not_before, expired=expired, usage=usage, issuer=None, key_type=key_type)


def dev_authority(name: str = "aiopquic development authority", days: float = MAX_DAYS) -> DevAuthority:
    """A new authority, valid for ``days``."""
    _need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = _builder(subject, subject, key, start, start + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=True), critical=True)
    return DevAuthority(*_sign(builder, key, key))


def _make(
    hosts: Sequence[str],
    days: float,
    *,
    not_before: datetime | None,
    expired: bool,
    usage: Usage,
    issuer: DevAuthority | None,
    key_type: KeyType = "p256",
) -> DevCertificate:
    if isinstance(hosts, str) or not hosts:
        raise ValueError(f"hosts is a list of names and addresses, not {hosts!r}")
    if not 0 < days <= MAX_DAYS:
        raise ValueError(f"a development certificate is valid for up to {MAX_DAYS} days, not {days}")
    _need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.now(UTC)
    start = not_before if not_before is not None else now - timedelta(hours=1)
    if expired:
        start = now - timedelta(days=days + 1)
    key: PrivateKey
    key = ed25519.Ed25519PrivateKey.generate() if key_type == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    # A name of its own: a trust store finds a certificate by its subject, and looks no further once it has one.
    subject = issuer_name = _name(f"aiopquic development {secrets.token_hex(4)}")
    signer = key
    if issuer is not None:
        issuer_name = x509.load_pem_x509_certificate(issuer.certificate_pem).subject
        issuer_key = load_pem_private_key(issuer.private_key_pem, password=None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        signer = issuer_key
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(subject, issuer_name, key, start, start + timedelta(days=days))
    builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return DevCertificate(*_sign(builder, key, signer))


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ImportError('certificates are made with cryptography: pip install "aiopquic-core[cli]"') from error


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.encode("idna").decode())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(b"\x40" + secrets.token_bytes(15)))  # of one length, whatever the dice say
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: PrivateKey, signer: PrivateKey) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    # Ed25519 hashes by itself (RFC 8032).
    digest = hashes.SHA256() if isinstance(signer, ec.EllipticCurvePrivateKey) else None
    certificate = builder.sign(signer, digest)
    private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private_key
