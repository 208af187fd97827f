"""Session tickets in a file: kept over the life of a process, and never in the way of a connection."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic._settings import EngineSettings

__all__ = ["load_tickets", "save_tickets", "trust_of"]

logger = logging.getLogger("aiopquic.tickets")

_MAGIC = b"aiopquic session tickets 2\n"
_DIGEST = 32


def trust_of(settings: EngineSettings) -> bytes:
    """Stands for what a client verifies: a session of another verification is none that this one would have begun."""
    trust = repr((settings.verify_peer, settings.certificate_hashes, settings.pinned_keys)).encode()
    return _sha256(trust + b"".join(_sha256(root) for root in settings.trusted_roots))


def load_tickets(path: str, trust: bytes) -> bytes:
    """What :func:`save_tickets` wrote with the same ``trust``; nothing, and a warning, when the file can't be used."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        logger.warning("the session tickets of %r can't be read: %s", path, error.strerror)
        return b""
    digest, body = content[len(_MAGIC) : len(_MAGIC) + _DIGEST], content[len(_MAGIC) + _DIGEST :]
    if not content.startswith(_MAGIC) or _sha256(body) != digest:
        # A damaged ticket is no matter of its own: the server would refuse the whole handshake.
        logger.warning("%r holds no session tickets, or damaged ones: they are not used", path)
        return b""
    if body[:_DIGEST] != trust:
        # A resumed session shows no certificate: it is as good as the verification that it began with.
        logger.warning("the session tickets of %r are from clients that verify servers in another way: not used", path)
        return b""
    return body[_DIGEST:]


def save_tickets(path: str, tickets: bytes, trust: bytes) -> None:
    """Replace the file, readable by its owner alone; a warning when that can't be."""
    import tempfile  # which brings half of the archive formats: for those who keep tickets

    temporary = None
    try:
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is not writable")
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tickets-")
        with open(handle, "wb") as file:
            body = trust + tickets
            file.write(_MAGIC + _sha256(body) + body)
        os.replace(temporary, path)
    except OSError as error:
        logger.warning("the session tickets can't be kept in %r: %s", path, error.strerror)
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def _sha256(data: bytes) -> bytes:
    import hashlib  # for those who keep tickets

    return hashlib.sha256(data).digest()
