"""What a server can do, by its HTTP/3 settings and transport parameters, and how a CONNECT is put to it."""

from __future__ import annotations

from collections.abc import Mapping

from aiopquic_webtransport._wire import PeerSettings, Setting
from aiopquic_webtransport.exceptions import NotSupportedError

__all__ = ["check_peer", "connect_token", "max_sessions"]

#: What draft-ietf-webtrans-http3-15 and 16 ask for in section 3.1.
_SETTINGS = (Setting.WT_ENABLED, Setting.H3_DATAGRAM, Setting.ENABLE_CONNECT_PROTOCOL)
_OLDER = (Setting.WT_MAX_SESSIONS, Setting.WEBTRANSPORT_MAX_SESSIONS, Setting.ENABLE_WEBTRANSPORT)
_PARAMETERS = ("max_datagram_frame_size", "reset_stream_at")


def check_peer(peer: PeerSettings, parameters: Mapping[str, int | bool], *, compatibility: bool) -> None:
    """Raise NotSupportedError for a server that lacks something.

    With ``compatibility``, any sign of WebTransport is enough, for servers of older drafts announce less.
    """
    if peer.conforms or (compatibility and peer.dialect):
        return
    missing = [setting.name for setting in _SETTINGS if peer.values.get(setting) != 1]
    missing += [name for name in _PARAMETERS if not parameters.get(name)]
    if peer.dialect:
        what, hint = "speaks an older draft of WebTransport", "; compatibility=True speaks the older drafts"
    else:
        what, hint = "does not offer WebTransport", ""
    raise NotSupportedError(f"the server {what}: it announces no {', '.join(missing)}{hint}", missing)


def connect_token(peer: PeerSettings, *, compatibility: bool) -> bytes:
    """What ``:protocol`` says: ``webtransport-h3`` since draft 15; before, ``webtransport``, which most still know.

    To a server that announces no older draft the newer word goes, with ``compatibility`` too.
    """
    is_older = compatibility and any(peer.values.get(setting) for setting in _OLDER)
    return b"webtransport" if is_older else b"webtransport-h3"


def max_sessions(peer: PeerSettings, *, compatibility: bool) -> int:
    """How many sessions the server takes on one connection.

    Since draft 13 more than one need flow control of sessions, which this package does not announce.
    """
    is_older = connect_token(peer, compatibility=compatibility) == b"webtransport"
    return max(1, peer.max_sessions) if is_older else 1
