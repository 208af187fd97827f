"""From a QuicConfiguration to the settings of an engine."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from typing import Any

from aiopquic._addresses import ip_version
from aiopquic._driver import left_out, runs_inline, uses_portable_loop
from aiopquic._files import StrPath, check_keylog, knows_roots, qlog_folder, trusted_roots
from aiopquic._settings import EngineSettings
from aiopquic._simulation import placed
from aiopquic.exceptions import CertificateFileError, ConfigurationError
from aiopquic.quic._identities import named_identities, read_identity
from aiopquic.quic.configuration import QUIC_V1, QuicConfiguration
from aiopquic.quic.ech import ech_settings

__all__ = ["alpn_of", "certificate_settings", "check_host", "engine_settings", "reads_files"]

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
    protocols: tuple[object, ...] = (),
) -> EngineSettings:
    """Check everything that can be checked before a socket is opened, and read the files."""
    configuration.validate()
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigurationError(f"a UDP port is 0 to 65535, not {port!r}")
    keylog_file = _keylog_file(configuration)
    check_keylog(keylog_file)
    settings = EngineSettings(
        is_client=configuration.is_client,
        always_retry=always_retry,
        holds_incoming=holds_incoming,
        protocols=protocols,
        bind_addresses=bind_addresses,
        local_port=port,
        preferred_addresses=tuple(configuration.preferred_addresses or ()),
        alpn=alpn_of(configuration),
        socket_buffer_bytes=configuration.socket_buffer_size or _SOCKET_BUFFER_BYTES,
        spin_us=round(configuration.spin_time * 1e6),
        use_portable_loop=uses_portable_loop(),
        is_inline=runs_inline(configuration.driver),
        use_pipe_waker=os.environ.get("AIOPQUIC_WAKER") == "pipe",
        without=left_out(),
        verify_peer=_needs_roots(configuration),
        certificate_hashes=tuple(configuration.server_certificate_hashes or ()),
        pinned_keys=tuple(configuration.pinned_keys or ()),
        stateless_reset_secret=configuration.stateless_reset_secret or b"",
        session_ticket_key=configuration.session_ticket_key or b"",
        **certificate_settings(configuration),
        trusted_roots=_trusted_roots(configuration),
        keylog_file=keylog_file,
        qlog_dir=qlog_folder(configuration.qlog_dir),
        congestion_control=configuration.congestion_control_algorithm,
        congestion_options=configuration.congestion_control_options,
        max_congestion_window=configuration.max_congestion_window or 0,
        offers_ack_frequency=configuration.ack_frequency,
        shows_spin_bit=configuration.spin_bit,
        connection_id_length=configuration.connection_id_length,
        quic_lb=configuration.quic_lb,
        is_peer_certificate_optional=not configuration.is_client and configuration.verify_mode == ssl.CERT_OPTIONAL,
        cipher_suite=configuration.cipher_suite or 0,
        key_exchange_groups=tuple(configuration.key_exchange_groups or ()),
        key_update_interval=configuration.key_update_interval or 0,
        version=_first_version(configuration),
        desired_version=configuration.desired_version,
        pmtud=configuration.pmtud,
        session_ticket_file=_path(configuration.session_ticket_file),
        session_store=configuration.session_store,
        accepts_early_data=configuration.early_data,
        **ech_settings(configuration),
        max_connections=configuration.max_connections,
        half_open_limit=configuration.half_open_limit,
        idle_timeout_ms=max(round(configuration.idle_timeout * 1000), 1 if configuration.idle_timeout else 0),
        handshake_timeout_us=round(configuration.handshake_timeout * 1_000_000),
        keep_alive_us=round((configuration.keep_alive_interval or 0) * 1_000_000),
        max_data=configuration.max_data,
        max_stream_data=configuration.max_stream_data,
        initial_stream_window=min(configuration.initial_stream_window, configuration.max_stream_data),
        max_streams_bidi=configuration.max_streams_bidi,
        max_paths=configuration.max_paths,
        max_streams_uni=configuration.max_streams_uni,
        max_datagram_frame_size=configuration.max_datagram_frame_size or 0,
        datagram_queue_bytes=configuration.datagram_ring_bytes,
        datagram_max_payload=configuration.datagram_max_payload or 0,
        datagram_priority=configuration.datagram_priority,
        send_budget_stream=configuration.stream_ring_cap,
        send_budget_conn=configuration.tx_max_queued_bytes or _UNLIMITED,
        command_capacity=configuration.event_ring_capacity or 0,
    )
    _check_incoming(settings)
    return placed(settings)


def reads_files(configuration: QuicConfiguration) -> bool:
    """Whether :func:`engine_settings` reads or writes a file for this client, which is not for a loop's thread.

    What is left is to look at a trust store's time of change.
    """
    if _keylog_file(configuration) is not None or configuration.certificate_file is not None:
        return True
    return _needs_roots(configuration) and not knows_roots(
        configuration.cafile, configuration.capath, configuration.cadata
    )


def certificate_settings(configuration: QuicConfiguration) -> dict[str, Any]:
    """The fields of the settings that say who we are, read and checked: a server always, a client when it has them."""
    certificate, key = configuration.certificate_file, configuration.private_key_file
    named = named_identities(configuration.certificates)
    if (configuration.is_client or named) and certificate is None and key is None:
        return {"certificates": named}
    if configuration.is_client and (certificate is None or key is None):
        raise CertificateFileError("a client's certificate needs its key: set certificate_file and private_key_file")
    chain, private_key, password = read_identity(certificate, key, configuration.private_key_password)
    return {
        "certificate_chain": chain,
        "private_key": private_key,
        "private_key_password": password,
        "certificates": named,
    }


def _keylog_file(configuration: QuicConfiguration) -> str | None:
    return _path(configuration.secrets_log_file) or os.environ.get("SSLKEYLOGFILE") or None


def _needs_roots(configuration: QuicConfiguration) -> bool:
    return configuration.verify_peer and not configuration.server_certificate_hashes


def _trusted_roots(configuration: QuicConfiguration) -> tuple[bytes, ...]:
    if not _needs_roots(configuration):
        return ()
    return trusted_roots(configuration.cafile, configuration.capath, configuration.cadata)


def check_host(host: str, family: int | None) -> None:
    """Raise when ``host`` is an IP literal of another family than ``ip_family`` allows."""
    try:
        version = ip_version(host)
    except ValueError:
        return
    if family in (socket.AF_INET, socket.AF_INET6) and family != (socket.AF_INET if version == 4 else socket.AF_INET6):
        asked = "socket.AF_INET" if family == socket.AF_INET else "socket.AF_INET6"
        raise ConfigurationError(f"{host} is an IPv{version} address, which ip_family={asked} excludes")


def _first_version(configuration: QuicConfiguration) -> int:
    """The version of the first packet: 1 when it is among them, since every server knows it."""
    versions = configuration.supported_versions
    return QUIC_V1 if versions is None or QUIC_V1 in versions else versions[0]


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
