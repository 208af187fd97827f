"""Certificates for the tests: one that is good, and one for each way in which one can be bad."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from aiopquic.testing.certificates import DEFAULT_HOSTS, DevCertificate, dev_certificate

LOCAL_NAMES = DEFAULT_HOSTS
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
    return Certificates(
        good=_write(folder / "good", dev_certificate()),
        other=_write(folder / "other", dev_certificate()),
        expired=_write(folder / "expired", dev_certificate(expired=True)),
        not_yet_valid=_write(
            folder / "not_yet_valid", dev_certificate(not_before=datetime.now(UTC) + timedelta(days=1))
        ),
        other_name=_write(folder / "other_name", dev_certificate(hosts=["example.org"])),
        client_only=_write(folder / "client_only", dev_certificate(usage="client")),
        encrypted=_encrypted(folder / "encrypted", dev_certificate()),
    )


def _write(folder: Path, certificate: DevCertificate) -> Certificate:
    return Certificate(*certificate.write(folder))


def _encrypted(folder: Path, certificate: DevCertificate) -> Certificate:
    paths = certificate.write(folder)
    key = serialization.load_pem_private_key(certificate.private_key_pem, None)
    encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return Certificate(*paths, PASSWORD)
