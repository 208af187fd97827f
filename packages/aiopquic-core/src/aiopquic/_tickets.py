"""Session tickets and address tokens beyond the life of an engine, and never in the way of a connection."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiopquic._settings import EngineSettings

__all__ = ["Keeper", "SessionStore", "keeper_of", "load_tickets", "save_tickets", "trust_of"]

logger = logging.getLogger("aiopquic.tickets")

_MAGIC = b"aiopquic session tickets 3\n"
_DIGEST = 32

#: Tickets and tokens that a store keeps; of each server there are a few.
_RECORDS_MAX = 1000


def trust_of(settings: EngineSettings) -> bytes:
    """Stands for what a client verifies: a session of another verification is none that this one would have begun."""
    trust = repr((settings.verify_peer, settings.certificate_hashes, settings.pinned_keys)).encode()
    return _sha256(trust + b"".join(_sha256(root) for root in settings.trusted_roots))


class Keeper(Protocol):
    """Keeps what an engine has learnt of its servers for the next one."""

    def load_records(self, trust: bytes) -> bytes:
        """What was kept of clients that verify alike."""

    def save_records(self, trust: bytes, left: bytes, loaded: bytes) -> None:
        """Keep ``left``, which an engine has of what it ``loaded`` and got, beside what others added meanwhile."""


class SessionStore:
    """Session tickets and address tokens in memory: shorter handshakes with servers that were connected to before.

    Given as ``session_store`` to the connections that share it, of one event loop or of several. A ticket resumes a TLS
    session (RFC 8446 section 2.2) with the server of its name, for its application protocol, by clients that verify
    alike; a token spares the round trip of a Retry (RFC 9000 section 8.1.3) at the address that gave it. Either is used
    once, and each connection brings others. They come into the store when the engine of their connections ends: a
    second after the last of these, or with :func:`aiopquic.close_idle_engines`.

    Threading: safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """How many tickets and tokens there are."""
        with self._lock:
            return sum(len(_split(records)) for records in self._kept.values())

    def __bool__(self) -> bool:
        """Always true: an empty store is one, too."""
        return True

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._kept.clear()

    def load_records(self, trust: bytes) -> bytes:
        """For engines: what was kept of clients that verify alike."""
        with self._lock:
            return self._kept.get(trust, b"")

    def save_records(self, trust: bytes, left: bytes, loaded: bytes) -> None:
        """For engines: keep what one has left, beside what others added meanwhile."""
        with self._lock:
            self._kept[trust] = _merge(left, loaded, self._kept.get(trust, b""))


class _TicketFile:
    """The same in a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load_records(self, trust: bytes) -> bytes:
        return load_tickets(self._path, trust)

    def save_records(self, trust: bytes, left: bytes, loaded: bytes) -> None:
        save_tickets(self._path, left, trust, loaded)


def keeper_of(settings: EngineSettings) -> Keeper | None:
    """Where the settings say that tickets are kept; None for nowhere."""
    if settings.session_ticket_file is not None:
        return _TicketFile(settings.session_ticket_file)
    return settings.session_store


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
    body = _body_of(content)
    if body is None:
        # A damaged ticket is no matter of its own: the server would refuse the whole handshake.
        logger.warning("%r holds no session tickets, or damaged ones: they are not used", path)
        return b""
    if body[:_DIGEST] != trust:
        # A resumed session shows no certificate: it is as good as the verification that it began with.
        logger.warning("the session tickets of %r are from clients that verify servers in another way: not used", path)
        return b""
    return body[_DIGEST:]


def save_tickets(path: str, tickets: bytes, trust: bytes, loaded: bytes = b"") -> None:
    """Replace the file, readable by its owner alone; a warning when that can't be.

    What others have added to it since ``loaded`` was stays.
    """
    import tempfile  # which brings half of the archive formats: for those who keep tickets

    temporary = None
    try:
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is not writable")
        body = trust + _merge(tickets, loaded, _others(path, trust))
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tickets-")
        with open(handle, "wb") as file:
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


def _body_of(content: bytes) -> bytes | None:
    """The digest of the trust and the records; None when this is no file of tickets, or a damaged one."""
    digest, body = content[len(_MAGIC) : len(_MAGIC) + _DIGEST], content[len(_MAGIC) + _DIGEST :]
    return body if content.startswith(_MAGIC) and _sha256(body) == digest else None


def _others(path: str, trust: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            body = _body_of(file.read())
    except OSError:
        return b""
    return body[_DIGEST:] if body is not None and body[:_DIGEST] == trust else b""


def _split(records: bytes) -> list[bytes]:
    """Each with its length of four bytes in front, as :meth:`Engine.session_tickets` gives them."""
    found, start = [], 0
    while start < len(records):
        end = start + 4 + int.from_bytes(records[start : start + 4], "big")
        found.append(records[start:end])
        start = end
    return found


def _merge(left: bytes, loaded: bytes, there_is: bytes) -> bytes:
    """What an engine left, the newest first, and behind it what is in the store and was not when it looked."""
    mine = _split(left)
    known = {*mine, *_split(loaded)}
    return b"".join([*mine, *(record for record in _split(there_is) if record not in known)][:_RECORDS_MAX])
