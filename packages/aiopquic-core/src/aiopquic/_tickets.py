"""Session tickets in a file: kept over the life of a process, and never in the way of a connection."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic._settings import EngineSettings

__all__ = ["load_tickets", "save_tickets", "trust_of"]

logger = logging.getLogger("aiopquic.tickets")

_MAGIC = b"aiopquic session tickets 2\n"
_DIGEST = 32


def trust_of(settings: EngineSettings) -> bytes:
    """Stands for what a client verifies: a session of another verification is none that this one would have begun."""
    trust = hashlib.sha256(repr((settings.verify_peer, settings.certificate_hashes, settings.pinned_keys)).encode())
    for root in settings.trusted_roots:
        trust.update(hashlib.sha256(root).digest())
    return trust.digest()


def load_tickets(path: str, trust: bytes) -> bytes:
    """What :func:`save_tickets` wrote with the same ``trust``; nothing, and a warning, when the file can't be used."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        logger.warning("the session tickets of %r can't be read: %s", path, error.strerror)
        return b""
    digest, body = content[len(_MAGIC) : len(_MAGIC) + _DIGEST], content[len(_MAGIC) + _DIGEST :]
    if not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
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
    temporary = None
    try:
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is not writable")
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tickets-")
        with open(handle, "wb") as file:
            body = trust + tickets
            file.write(_MAGIC + hashlib.sha256(body).digest() + body)
        os.replace(temporary, path)
    except OSError as error:
        logger.warning("the session tickets can't be kept in %r: %s", path, error.strerror)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
