"""From a QuicConfiguration to the settings of an engine."""

from __future__ import annotations

import os
import sys

from aiopquic._files import StrPath, check_keylog, qlog_folder, read_certificate, read_private_key, trusted_roots
from aiopquic._settings import EngineSettings
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration

__all__ = ["alpn_of", "engine_settings"]

#: Asked of the system for each socket: enough for the bursts of a fast sender on one host.
_SOCKET_BUFFER_BYTES = 4 << 20

#: Stands for "no limit of the connection's own" in a C integer.
_UNLIMITED = 1 << 60


def alpn_of(configuration: QuicConfiguration) -> tuple[str, ...]:
    """The application protocols; QUIC does not go without (RFC 9001 section 8.1)."""
    if not configuration.alpn_protocols:
        raise ConfigurationError('QUIC needs an application protocol: set alpn_protocols, for example ["echo"]')
    return tuple(configuration.alpn_protocols)


def engine_settings(
    configuration: QuicConfiguration,
    *,
    bind_addresses: tuple[str, ...] = (),
    port: int = 0,
    always_retry: bool = False,
    holds_incoming: bool = False,
) -> EngineSettings:
    """Check everything that can be checked before a socket is opened, and read the files."""
    configuration.validate()
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigurationError(f"a UDP port is 0 to 65535, not {port!r}")
    is_client = configuration.is_client
    keylog_file = _path(configuration.secrets_log_file) or os.environ.get("SSLKEYLOGFILE") or None
    check_keylog(keylog_file)
    settings = EngineSettings(
        is_client=is_client,
        always_retry=always_retry,
        holds_incoming=holds_incoming,
        bind_addresses=bind_addresses,
        local_port=port,
        alpn=alpn_of(configuration),
        socket_buffer_bytes=configuration.socket_buffer_size or _SOCKET_BUFFER_BYTES,
        use_portable_loop=os.environ.get("AIOPQUIC_LOOP") == "portable",
        use_pipe_waker=os.environ.get("AIOPQUIC_WAKER") == "pipe",
        verify_peer=configuration.verify_peer,
        stateless_reset_secret=configuration.stateless_reset_secret or b"",
        certificate_chain=b"" if is_client else read_certificate(configuration.certificate_file),
        private_key=b"" if is_client else read_private_key(configuration.private_key_file),
        private_key_password=None if is_client else _bytes(configuration.private_key_password),
        trusted_roots=_trusted_roots(configuration),
        keylog_file=keylog_file,
        qlog_dir=qlog_folder(configuration.qlog_dir),
        congestion_control=configuration.congestion_control_algorithm,
        cipher_suite=configuration.cipher_suite or 0,
        max_connections=configuration.max_connections,
        idle_timeout_ms=max(round(configuration.idle_timeout * 1000), 1 if configuration.idle_timeout else 0),
        handshake_timeout_us=round(configuration.handshake_timeout * 1_000_000),
        keep_alive_us=round((configuration.keep_alive_interval or 0) * 1_000_000),
        max_data=configuration.max_data,
        max_stream_data=configuration.max_stream_data,
        initial_stream_window=min(configuration.initial_stream_window, configuration.max_stream_data),
        max_streams_bidi=configuration.max_streams_bidi,
        max_streams_uni=configuration.max_streams_uni,
        max_datagram_frame_size=configuration.max_datagram_frame_size or 0,
        datagram_queue_bytes=configuration.datagram_ring_bytes,
        datagram_max_payload=configuration.datagram_max_payload or 0,
        send_budget_stream=configuration.stream_ring_cap,
        send_budget_conn=configuration.tx_max_queued_bytes or _UNLIMITED,
        command_capacity=configuration.event_ring_capacity or 0,
    )
    _check_incoming(settings)
    return settings


def _trusted_roots(configuration: QuicConfiguration) -> tuple[bytes, ...]:
    if not configuration.is_client or not configuration.verify_peer:
        return ()
    return trusted_roots(configuration.cafile, configuration.capath, configuration.cadata)


def _check_incoming(settings: EngineSettings) -> None:
    if settings.is_client and (settings.always_retry or settings.holds_incoming):
        raise ConfigurationError("retry and incoming are for servers: nobody connects to a client")
    if settings.holds_incoming and (settings.use_portable_loop or not sys.platform.startswith("linux")):
        raise ConfigurationError(
            "incoming needs aiopquic's own packet loop, of Linux: picoquic's, which AIOPQUIC_LOOP=portable asks for "
            "and other systems have, accepts clients before anybody can be asked; retry=True works with both"
        )


def _path(value: StrPath | None) -> str | None:
    return None if value is None else os.fspath(value)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
