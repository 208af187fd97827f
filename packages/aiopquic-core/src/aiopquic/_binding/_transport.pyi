from collections.abc import Sequence
from typing import TypeAlias

from aiopquic._binding._connection import Connection

__all__ = ["TransportContext"]

_Event: TypeAlias = tuple[int, int, memoryview | None, bool, int, int, int, int]

EVT_STREAM_DATA: int
EVT_STREAM_FIN: int
EVT_STREAM_RESET: int
EVT_STOP_SENDING: int
EVT_CLOSE: int
EVT_APP_CLOSE: int
EVT_READY: int
EVT_ALMOST_READY: int
EVT_DATAGRAM: int
EVT_STREAM_TX_DRAINED: int
EVT_STREAM_DESTROY: int
TX_CLOSE: int
TX_STREAM_RESET: int
TX_STOP_SENDING: int
TX_STREAM_DATA: int
TX_STREAM_FIN: int

class TransportContext:
    def __init__(
        self,
        ring_capacity: int = 0,
        tx_ring_cap: int = 0,
        rx_data_ring_cap: int = 0,
        tx_event_ring_low_water_pct: int = 0,
    ) -> None: ...
    def start(
        self,
        port: int = 0,
        cert_file: str | None = None,
        key_file: str | None = None,
        alpn: str | None = None,
        is_client: bool = True,
        idle_timeout_ms: int = 30000,
        max_datagram_frame_size: int = 0,
        keylog_filename: str | None = None,
        congestion_control_algorithm: str | None = None,
        *,
        alpn_list: Sequence[str] | None = None,
        host: str | None = None,
        initial_max_data: int = 0,
        rx_data_ring_cap: int = 0,
        initial_max_streams_uni: int = 0,
        initial_max_streams_bidi: int = 0,
        keep_alive_interval_ms: int = 0,
        socket_buffer_size: int = 0,
        qlog_dir: str | None = None,
        verify_peer: bool = True,
        ca_file: str | None = None,
        max_connections: int = 256,
        cipher_suite: int = 0,
        stream_ring_cap: int = ...,
        key_password: str | bytes | None = None,
    ) -> None: ...
    def stop(self, drain_timeout: float = 0.05) -> None: ...
    @property
    def started(self) -> bool: ...
    @property
    def thread_ready(self) -> bool: ...
    @property
    def eventfd(self) -> int: ...
    @property
    def port(self) -> int: ...
    def wake_up(self) -> None: ...
    def drain_rx(self, max_events: int = 256) -> list[_Event]: ...
    @property
    def rx_event_ring_count(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...
    def create_client_connection(
        self, host: str, port: int, sni: str | None = None, alpn: str | None = None, *, desired_version: int = 0
    ) -> int: ...
    def tx_send_stream(
        self, cnx_ptr: int, stream_id: int, data: bytes | bytearray | memoryview, end_stream: bool = False
    ) -> None: ...
    def push_tx_event(
        self,
        event_type: int,
        stream_id: int,
        data: bytes | bytearray | memoryview | None = None,
        error_code: int = 0,
        cnx_ptr: int = 0,
        stream_ctx: int = 0,
        is_fin: int = 0,
    ) -> None: ...
    def push_tx(
        self,
        event_type: int,
        stream_id: int,
        data: bytes | bytearray | memoryview | None = None,
        error_code: int = 0,
        cnx_ptr: int = 0,
        stream_ctx: int = 0,
        is_fin: int = 0,
    ) -> None: ...
    def close_connection(self, cnx_ptr: int, error_code: int = 0, reason: bytes = b"") -> None: ...
    def engine_ready(self, port: int) -> None: ...
    def engine_stopped(self, error: int) -> None: ...
    def connection_accepted(self, connection: Connection) -> None: ...
    def handler_failed(self, error: Exception, connection: Connection | None) -> None: ...
