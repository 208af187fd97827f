"""The development certificate of a folder: made once, and again when it is about to end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from aiopquic.cli.errors import UsageProblem
from aiopquic.testing.certificates import CERTIFICATE_FILE, KEY_FILE, dev_certificate

__all__ = ["ensure_certificate"]

#: A certificate that ends sooner is replaced.
REST = timedelta(days=1)


def ensure_certificate(folder: Path) -> tuple[Path, Path]:
    """The certificate and the key in ``folder``; made when they are missing or about to expire."""
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if certificate.exists() and key.exists():
        try:
            end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
        except ValueError:
            raise UsageProblem(f"{certificate} is no certificate: remove it, or name another folder") from None
        if end - datetime.now(UTC) > REST:
            return certificate, key
    return dev_certificate().write(folder)
