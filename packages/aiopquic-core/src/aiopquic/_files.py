"""Certificates, keys and trusted roots, read and checked before a packet is sent."""

from __future__ import annotations

import functools
import os
import ssl
import time

from aiopquic.exceptions import CertificateFileError, ConfigurationError

__all__ = [
    "StrPath",
    "check_keylog",
    "explain",
    "knows_roots",
    "qlog_folder",
    "read_certificate",
    "read_private_key",
    "trusted_roots",
]

StrPath = str | os.PathLike[str]


def _read(path: StrPath, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CertificateFileError(
            f"the {what} {os.fspath(path)!r} can't be read: {error.strerror}", os.fspath(path)
        ) from error


def read_certificate(source: StrPath | bytes | None) -> bytes:
    """A certificate chain, as PEM or DER."""
    if source is None:
        raise CertificateFileError("a server needs a certificate: set certificate_file, or call load_cert_chain()")
    return _pem_or_der(source, "certificate", b"-----BEGIN CERTIFICATE-----")


def read_private_key(source: StrPath | bytes | None) -> bytes:
    """A private key, as PEM or DER."""
    if source is None:
        raise CertificateFileError("a server needs a private key: set private_key_file, or call load_cert_chain()")
    return _pem_or_der(source, "private key", b"PRIVATE KEY-----")


def _pem_or_der(source: StrPath | bytes, what: str, mark: bytes) -> bytes:
    """The content; what is DER shows when it is parsed, and begins with the byte of a sequence (X.690)."""
    content = source if isinstance(source, bytes) else _read(source, f"{what} file")
    if mark not in content and not content.startswith(b"0"):
        path = None if isinstance(source, bytes) else os.fspath(source)
        name = "what was given as bytes" if path is None else repr(path)
        raise CertificateFileError(f"{name} contains no PEM {what}, and no DER either", path)
    return content


def explain(error: CertificateFileError, certificate: StrPath | None, key: StrPath | None) -> CertificateFileError:
    """The same error with the names of the files that it is about."""
    return CertificateFileError(f"{error} (certificate {_name(certificate)!r}, key {_name(key)!r})", _name(key))


def _name(path: StrPath | None) -> str | None:
    return None if path is None else os.fspath(path)


def trusted_roots(
    cafile: StrPath | None = None, capath: StrPath | None = None, cadata: str | bytes | None = None
) -> tuple[bytes, ...]:
    """The certificates that a client trusts, as DER; certifi's when nothing is given; never empty."""
    if cafile is None and capath is None and cadata is None:
        return _certifi_roots()
    roots: list[bytes] = []
    if cafile is not None:
        roots += _roots_of_file(cafile)
    if capath is not None:
        roots += _roots_of_folder(capath)
    if cadata is not None:
        is_pem = isinstance(cadata, bytes) and b"-----BEGIN" in cadata
        roots += _load(_ascii(cadata) if is_pem or isinstance(cadata, str) else cadata, "cadata", None)
    return tuple(roots)


def knows_roots(cafile: StrPath | None, capath: StrPath | None, cadata: str | bytes | None) -> bool:
    """True when :func:`trusted_roots` need not read or parse anything for these now, so that a loop may call it."""
    if capath is not None or cadata is not None:
        return False
    return _certifi_roots.cache_info().currsize > 0 if cafile is None else _known_roots(cafile) is not None


@functools.cache
def _certifi_roots() -> tuple[bytes, ...]:
    import certifi  # and with it importlib.resources: for those who trust no authorities of their own

    return _roots_of_file(certifi.where())


#: What tells of a change of a file: device, inode, size, time of change.
_State = tuple[int, int, int, int]

#: Trust stores that were read, by path: a client may connect a thousand times a second with one.
_roots_read: dict[str, tuple[_State, tuple[bytes, ...]]] = {}
_ROOTS_KEPT = 16

#: Seconds within which a file may change again without a change of its time: where times are whole seconds, as on the
#: coarsest file systems, and where they are as fine as the tick of a kernel.
_COARSE_TIME, _FINE_TIME = 2.0, 0.1


def _state(path: StrPath) -> _State | None:
    """None: there is no such file, or it is so new that its time says nothing yet."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    is_coarse = found.st_ctime_ns % 1_000_000_000 == 0
    if time.time() - found.st_ctime < (_COARSE_TIME if is_coarse else _FINE_TIME):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def _known_roots(path: StrPath) -> tuple[bytes, ...] | None:
    state, roots = _roots_read.get(os.fspath(path), (None, None))
    return roots if state is not None and state == _state(path) else None


def _roots_of_file(path: StrPath) -> tuple[bytes, ...]:
    known = _known_roots(path)
    if known is not None:
        return known
    name, state = os.fspath(path), _state(path)  # of before it is read: a change meanwhile shows the next time
    roots = tuple(_load(_ascii(_read(path, "trust store")), f"the trust store {name!r}", name))
    if state is not None:
        if len(_roots_read) >= _ROOTS_KEPT:
            _roots_read.clear()
        _roots_read[name] = state, roots
    return roots


def _roots_of_folder(path: StrPath) -> list[bytes]:
    if not os.path.isdir(path):
        raise CertificateFileError(f"capath {os.fspath(path)!r} is not a folder", os.fspath(path))
    entries = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    texts = [_read(entry, "trust store") for entry in entries if os.path.isfile(entry)]
    pem = b"\n".join(text for text in texts if b"-----BEGIN CERTIFICATE-----" in text)
    return _load(_ascii(pem), f"the trust store {os.fspath(path)!r}", os.fspath(path))


def _ascii(pem: str | bytes) -> str:
    """Without what is written around the certificates in other letters: ssl refuses it."""
    return (pem.encode() if isinstance(pem, str) else pem).decode("ascii", "ignore")


def _load(data: str | bytes, what: str, path: str | None) -> list[bytes]:
    """One certificate at a time: no other thread runs Python while ssl reads a whole trust store."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        roots = _pem_to_der(data) if isinstance(data, str) else [data]
        for root in roots:
            context.load_verify_locations(cadata=root)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateFileError(f"{what} contains no certificate that can be used: {error}", path) from error
    if not roots:
        raise CertificateFileError(f"{what} contains no certificate: nothing could ever be verified with it", path)
    return roots


def _pem_to_der(text: str) -> list[bytes]:
    end = "-----END CERTIFICATE-----"
    blocks = text.split("-----BEGIN CERTIFICATE-----")[1:]
    return [ssl.PEM_cert_to_DER_cert("-----BEGIN CERTIFICATE-----" + block.split(end)[0] + end) for block in blocks]


def check_keylog(path: str | None) -> None:
    """Raise when TLS secrets can't be written there."""
    if path is not None:
        try:
            with open(path, "a", encoding="ascii"):
                pass
        except OSError as error:
            raise ConfigurationError(f"the key log file {path!r} can't be written: {error.strerror}") from error


def qlog_folder(path: StrPath | None) -> str | None:
    """The folder for qlog files: the setting, else the environment's ``AIOPQUIC_QLOG_DIR``, else none."""
    name, what = (
        (os.environ.get("AIOPQUIC_QLOG_DIR") or None, "AIOPQUIC_QLOG_DIR") if path is None else (path, "qlog_dir")
    )
    if name is None:
        return None
    if not os.path.isdir(name):
        raise ConfigurationError(f"{what} {os.fspath(name)!r} is not an existing folder")
    return os.fspath(name)
