"""Certificates for the tests: one that is good, and one for each way in which one can be bad."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key, as PEM files."""

    cert: Path
    key: Path
    password: str | None = None


@dataclass(frozen=True)
class Certificates:
    good: Certificate
    "For localhost, 127.0.0.1 and ::1."
    other: Certificate
    "As good, and not related to it."
    expired: Certificate
    not_yet_valid: Certificate
    other_name: Certificate
    "For example.org."
    client_only: Certificate
    "Its extended key usage is clientAuth."
    encrypted: Certificate
    "Its key has the password PASSWORD."


def make_certificates(folder: Path) -> Certificates:
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    return Certificates(
        good=_make(folder / "good"),
        other=_make(folder / "other"),
        expired=_make(folder / "expired", days=(-30, -1)),
        not_yet_valid=_make(folder / "not_yet_valid", days=(1, 30)),
        other_name=_make(folder / "other_name", names=("example.org",)),
        client_only=_make(folder / "client_only", usage=client),
        encrypted=_make(folder / "encrypted", usage=server, password=PASSWORD),
    )


def _make(
    folder: Path,
    *,
    names: tuple[str, ...] = LOCAL_NAMES,
    days: tuple[int, int] = (-1, 30),
    usage: x509.ObjectIdentifier | None = None,
    password: str | None = None,
) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    result = Certificate(folder / "cert.pem", folder / "key.pem", password)
    folder.mkdir()
    result.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    result.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return result


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
