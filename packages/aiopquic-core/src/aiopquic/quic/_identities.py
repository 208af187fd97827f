"""Certificates of one's own with their keys: from files or bytes, checked before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from aiopquic._binding._config import check_certificate
from aiopquic._files import StrPath, read_certificate, read_private_key
from aiopquic.exceptions import CertificateFileError, ConfigurationError

__all__ = ["CertificateSource", "Identity", "NamedCertificates", "named_identities", "read_identity", "server_name_of"]

#: A path, or the content itself.
CertificateSource = StrPath | bytes

#: By the name that clients ask for: a certificate chain and its key, and the key's password if it has one.
NamedCertificates = Mapping[str, Sequence[Any]]

#: A certificate chain, its private key, PEM or DER, and the key's password.
Identity = tuple[bytes, bytes, bytes | None]


def read_identity(
    certificate: CertificateSource | None, key: CertificateSource | None, password: str | bytes | None
) -> Identity:
    """Read both and see that they belong together.

    Raises CertificateFileError: it names the files, or says that they were given as bytes.
    """
    identity = (read_certificate(certificate), read_private_key(key), _bytes(password))
    try:
        check_certificate(*identity)
    except CertificateFileError as error:
        text = f"{error} (certificate {_name(certificate)}, key {_name(key)})"
        raise CertificateFileError(text, None if key is None or isinstance(key, bytes) else os.fspath(key)) from None
    return identity


def named_identities(named: NamedCertificates | None) -> tuple[tuple[str, bytes, bytes, bytes | None], ...]:
    """Those of ``certificates``, each behind its name as it is on the wire."""
    found = []
    for name, source in (named or {}).items():
        certificate, key = source[:2]
        try:
            identity = read_identity(certificate, key, source[2] if len(source) > 2 else None)
        except CertificateFileError as error:
            raise CertificateFileError(f"certificates[{name!r}]: {error}", error.filename) from None
        found.append((server_name_of(name), *identity))
    return tuple(found)


def server_name_of(name: object) -> str:
    """The name in the letters of DNS (RFC 6066 section 3). Raises ConfigurationError when no client can ask for it."""
    if isinstance(name, str):
        star, plain = ("*.", name[2:]) if name.startswith("*.") else ("", name)
        try:
            encoded = plain.rstrip(".").encode("idna").decode()
        except UnicodeError:
            encoded = ""
        if 0 < len(encoded) <= 253 and "*" not in encoded and "\0" not in encoded:
            return star + encoded
    raise ConfigurationError(f'the names of certificates are like "a.example" or "*.b.example", not {name!r}')


def _name(source: CertificateSource | None) -> str:
    return "given as bytes" if isinstance(source, bytes) else repr(os.fspath(source or ""))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
