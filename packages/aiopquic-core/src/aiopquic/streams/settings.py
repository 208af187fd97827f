"""Settings as keyword arguments: the fields of QuicConfiguration, by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from aiopquic._files import StrPath
from aiopquic._quic_lb import QuicLbSettings
from aiopquic._tickets import SessionStore
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic._identities import NamedCertificates
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.ech import EchKey
from aiopquic.quic.protocols import ServerProtocol, with_protocols

__all__ = ["ClientSettings", "ServerSettings", "SharedSettings", "configuration_of"]


class SharedSettings(TypedDict, total=False):
    """What both sides can set; each is explained at the field of QuicConfiguration with its name."""

    cadata: str | bytes | None
    cafile: StrPath | None
    capath: StrPath | None
    cipher_suite: int | None
    ack_frequency: bool
    congestion_control_algorithm: str | None
    congestion_control_options: str | None
    connection_id_length: int
    max_congestion_window: int | None
    spin_bit: bool
    datagram_max_payload: int | None
    datagram_priority: int
    datagram_ring_bytes: int
    driver: str
    event_ring_capacity: int | None
    handshake_timeout: float
    idle_timeout: float
    initial_stream_window: int
    ip_family: int | None
    keep_alive_interval: float | None
    key_exchange_groups: Sequence[int] | None
    key_update_interval: int | None
    max_data: int
    max_datagram_frame_size: int | None
    max_stream_data: int
    max_paths: int
    max_streams_bidi: int
    max_streams_uni: int
    pmtud: str
    private_key_password: str | bytes | None
    qlog_dir: StrPath | None
    secrets_log_file: StrPath | None
    socket_buffer_size: int | None
    spin_time: float
    stream_ring_cap: int
    supported_versions: list[int] | None
    tx_max_queued_bytes: int | None
    verify_mode: int | None


class ClientSettings(SharedSettings, total=False):
    """What a client can set."""

    certificate_file: StrPath | bytes | None
    connection_attempt_delay: float
    ech_config: bytes | str | None
    ech_grease: bool
    pinned_keys: Sequence[bytes] | None
    private_key_file: StrPath | bytes | None
    server_certificate_hashes: Sequence[bytes] | None
    server_name: str | None
    session_store: SessionStore | None
    session_ticket_file: StrPath | None


class ServerSettings(SharedSettings, total=False):
    """What a server can set."""

    certificates: NamedCertificates | None
    early_data: bool
    ech_keys: Sequence[EchKey] | None
    half_open_limit: int
    max_connections: int
    preferred_addresses: Sequence[tuple[str, int]] | None
    quic_lb: QuicLbSettings | None
    session_ticket_key: bytes | None
    stateless_reset_secret: bytes | None


#: Fields of a QuicConfiguration that a front end takes as they are.
_KNOWN = {field.name for field in dataclasses.fields(QuicConfiguration)} - {"alpn_protocols", "is_client"}


def configuration_of(
    function: str,
    *,
    is_client: bool,
    configuration: QuicConfiguration | None,
    alpn: Sequence[str] | None,
    settings: Mapping[str, object],
    protocols: Sequence[ServerProtocol] = (),
) -> QuicConfiguration:
    """The configuration that ``function`` works with: the one that was given, with the settings laid over it.

    Raises:
        ConfigurationError: a setting is unknown or wrong, or the configuration is for the other side.
    """
    if configuration is not None and not isinstance(configuration, QuicConfiguration):
        raise ConfigurationError(f"configuration is a QuicConfiguration, not {configuration!r}")
    if configuration is not None and configuration.is_client != is_client:
        raise ConfigurationError(f"{function}() needs a configuration with is_client={is_client}")
    for name in settings:
        if name not in _KNOWN:
            raise ConfigurationError(_unknown(function, name))
    changes: dict[str, Any] = {"is_client": is_client, **settings}  # checked by the configuration
    if alpn is not None:
        changes["alpn_protocols"] = alpn
    result = QuicConfiguration(**changes) if configuration is None else dataclasses.replace(configuration, **changes)
    if protocols:
        result = with_protocols(result, protocols)
    if not result.alpn_protocols:
        raise ConfigurationError(f'QUIC needs an application protocol: {function}(..., alpn=["echo"])')
    return result


def _unknown(function: str, name: str) -> str:
    if name in ("alpn_protocols", "is_client"):
        instead = "alpn" if name == "alpn_protocols" else "connect() or serve()"
        return f"{function}() has no setting {name!r}: use {instead} instead"
    import difflib  # for a sentence about a mistake

    nearest = difflib.get_close_matches(name, [*_KNOWN, "alpn", "configuration"], n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "see QuicConfiguration for those there are"
    return f"{function}() has no setting {name!r}: {hint}"
