"""Session tickets in a file: kept over the life of a process, and never in the way of a connection."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import tempfile
from pathlib import Path

__all__ = ["load_tickets", "save_tickets"]

logger = logging.getLogger("aiopquic.tickets")

_MAGIC = b"aiopquic session tickets 1\n"


def load_tickets(path: str) -> bytes:
    """What :func:`save_tickets` wrote; nothing, and a warning, when the file can't be used."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        logger.warning("the session tickets of %r can't be read: %s", path, error.strerror)
        return b""
    digest, tickets = content[len(_MAGIC) : len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
    if not content.startswith(_MAGIC) or hashlib.sha256(tickets).digest() != digest:
        # A damaged ticket is no matter of its own: the server would refuse the whole handshake.
        logger.warning("%r holds no session tickets, or damaged ones: they are not used", path)
        return b""
    return tickets


def save_tickets(path: str, tickets: bytes) -> None:
    """Replace the file, readable by its owner alone; a warning when that can't be."""
    temporary = None
    try:
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is not writable")
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tickets-")
        with open(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(tickets).digest() + tickets)
        os.replace(temporary, path)
    except OSError as error:
        logger.warning("the session tickets can't be kept in %r: %s", path, error.strerror)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
