from collections.abc import Mapping, Sequence

from aiopquic._settings import EngineSettings

__all__ = [
    "application_protocols",
    "bind_addresses",
    "check_congestion_control_algorithm",
    "check_version",
    "refuse",
    "transport_settings",
]

def check_congestion_control_algorithm(name: str) -> None: ...
def application_protocols(alpn: str | None, alpn_list: Sequence[str] | None) -> tuple[str, ...]: ...
def refuse(options: Mapping[str, object]) -> None: ...
def groups_in_order(groups: Sequence[int] | None) -> tuple[int, ...]: ...
def check_version(version: int) -> None: ...
def bind_addresses(host: str | None, ip_family: int | None) -> tuple[str, ...]: ...
def transport_settings(
    names: tuple[str, ...],
    command_capacity: int,
    *,
    port: int,
    host: str | None,
    ip_family: int | None,
    cert_file: str | None,
    key_file: str | None,
    key_password: str | bytes | None,
    is_client: bool,
    idle_timeout_ms: int,
    keylog_filename: str | None,
    congestion_control_algorithm: str | None,
    initial_max_data: int,
    rx_data_ring_cap: int,
    initial_max_streams_uni: int,
    initial_max_streams_bidi: int,
    keep_alive_interval_ms: int,
    socket_buffer_size: int,
    qlog_dir: str | None,
    verify_peer: bool,
    ca_file: str | None,
    max_connections: int,
    cipher_suite: int,
    max_datagram_frame_size: int,
    stream_ring_cap: int,
    key_exchange_groups: Sequence[int] | None,
    retry: bool,
    key_update_interval: int,
    ticket_file: str | None,
    pmtud_policy: str | None,
    desired_version: int,
    driver: str,
) -> EngineSettings: ...
