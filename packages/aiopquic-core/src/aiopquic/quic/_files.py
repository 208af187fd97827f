"""Certificates, keys and trusted roots, read and checked before a packet is sent."""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path

import certifi

from aiopquic.exceptions import CertificateFileError
from aiopquic.quic.configuration import QuicConfiguration, StrPath

__all__ = ["read_certificate", "read_private_key", "trusted_roots"]


def _read(path: StrPath, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateFileError(
            f"the {what} {os.fspath(path)!r} can't be read: {error.strerror}", os.fspath(path)
        ) from error


def read_certificate(configuration: QuicConfiguration) -> bytes:
    """The server's certificate chain, as PEM."""
    path = configuration.certificate_file
    if path is None:
        raise CertificateFileError("a server needs a certificate: set certificate_file, or call load_cert_chain()")
    text = _read(path, "certificate file")
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise CertificateFileError(f"{os.fspath(path)!r} contains no PEM certificate", os.fspath(path))
    return text


def read_private_key(configuration: QuicConfiguration) -> bytes:
    """The server's private key, as PEM."""
    path = configuration.private_key_file
    if path is None:
        raise CertificateFileError("a server needs a private key: set private_key_file, or call load_cert_chain()")
    text = _read(path, "private key file")
    if b"PRIVATE KEY-----" not in text:
        raise CertificateFileError(f"{os.fspath(path)!r} contains no PEM private key", os.fspath(path))
    return text


def trusted_roots(configuration: QuicConfiguration) -> tuple[bytes, ...]:
    """The certificates that a client trusts, as DER; never empty."""
    roots: list[bytes] = []
    if configuration.cafile is not None:
        roots += _roots_of_file(configuration.cafile)
    if configuration.capath is not None:
        roots += _roots_of_folder(configuration.capath)
    if configuration.cadata is not None:
        data = configuration.cadata
        roots += _load(data.decode() if isinstance(data, bytes) and b"-----BEGIN" in data else data, "cadata", None)
    if configuration.cafile is None and configuration.capath is None and configuration.cadata is None:
        return _certifi_roots()
    return tuple(roots)


@functools.cache
def _certifi_roots() -> tuple[bytes, ...]:
    return tuple(_roots_of_file(certifi.where()))


def _roots_of_file(path: StrPath) -> list[bytes]:
    text = _read(path, "trust store")
    return _load(text.decode("ascii", "replace"), f"the trust store {os.fspath(path)!r}", os.fspath(path))


def _roots_of_folder(path: StrPath) -> list[bytes]:
    folder = Path(path)
    if not folder.is_dir():
        raise CertificateFileError(f"capath {os.fspath(path)!r} is not a folder", os.fspath(path))
    texts = [_read(entry, "trust store") for entry in sorted(folder.iterdir()) if entry.is_file()]
    pem = b"\n".join(text for text in texts if b"-----BEGIN CERTIFICATE-----" in text)
    return _load(pem.decode("ascii", "replace"), f"the trust store {os.fspath(path)!r}", os.fspath(path))


def _load(data: str | bytes, what: str, path: str | None) -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=data)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateFileError(f"{what} contains no certificate that can be used: {error}", path) from error
    roots = _pem_to_der(data) if isinstance(data, str) else [data]
    if not roots:
        raise CertificateFileError(f"{what} contains no certificate: nothing could ever be verified with it", path)
    return roots


def _pem_to_der(text: str) -> list[bytes]:
    end = "-----END CERTIFICATE-----"
    blocks = text.split("-----BEGIN CERTIFICATE-----")[1:]
    return [ssl.PEM_cert_to_DER_cert("-----BEGIN CERTIFICATE-----" + block.split(end)[0] + end) for block in blocks]
