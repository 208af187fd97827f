import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from aiopquic._binding._chunk import StreamChunk
from aiopquic._binding._connection import Connection
from aiopquic._binding._ring import RingBuffer
from aiopquic._binding._transport_counters import dump_all_counters, tx_data_bytes_queued
from aiopquic._binding._transport_datagrams import TransportDatagrams
from aiopquic._binding._transport_numbers import (
    DEFAULT_KEY_EXCHANGE_GROUPS,
    EVT_ALMOST_READY,
    EVT_APP_CLOSE,
    EVT_CLOSE,
    EVT_DATAGRAM,
    EVT_DATAGRAM_ACKED,
    EVT_DATAGRAM_LOST,
    EVT_DATAGRAM_TX_DRAINED,
    EVT_READY,
    EVT_STOP_SENDING,
    EVT_STREAM_DATA,
    EVT_STREAM_DESTROY,
    EVT_STREAM_FIN,
    EVT_STREAM_RESET,
    EVT_STREAM_TX_DRAINED,
    KEX_MLKEM1024,
    KEX_SECP256R1,
    KEX_SECP256R1MLKEM768,
    KEX_X25519,
    KEX_X25519MLKEM768,
    TX_CLOSE,
    TX_STOP_SENDING,
    TX_STREAM_DATA,
    TX_STREAM_FIN,
    TX_STREAM_RESET,
)
from aiopquic._binding._transport_settings import check_congestion_control_algorithm
from aiopquic._settings import EngineSettings

__all__ = [
    "DEFAULT_KEY_EXCHANGE_GROUPS",
    "EVT_ALMOST_READY",
    "EVT_APP_CLOSE",
    "EVT_CLOSE",
    "EVT_DATAGRAM",
    "EVT_DATAGRAM_ACKED",
    "EVT_DATAGRAM_LOST",
    "EVT_DATAGRAM_TX_DRAINED",
    "EVT_READY",
    "EVT_STOP_SENDING",
    "EVT_STREAM_DATA",
    "EVT_STREAM_DESTROY",
    "EVT_STREAM_FIN",
    "EVT_STREAM_RESET",
    "EVT_STREAM_TX_DRAINED",
    "KEX_MLKEM1024",
    "KEX_SECP256R1",
    "KEX_SECP256R1MLKEM768",
    "KEX_X25519",
    "KEX_X25519MLKEM768",
    "TX_CLOSE",
    "TX_STOP_SENDING",
    "TX_STREAM_DATA",
    "TX_STREAM_FIN",
    "TX_STREAM_RESET",
    "RingBuffer",
    "StreamChunk",
    "TransportContext",
    "check_congestion_control_algorithm",
    "dump_all_counters",
    "tx_data_bytes_queued",
]

_Bytes: TypeAlias = bytes | bytearray | memoryview
_Event: TypeAlias = tuple[int, int, memoryview | None, bool, int, int, int, int]

class TransportContext(TransportDatagrams):
    def __init__(
        self,
        ring_capacity: int = 0,
        tx_ring_cap: int = 0,
        rx_data_ring_cap: int = 0,
        tx_event_ring_low_water_pct: int = 0,
    ) -> None: ...
    settings: EngineSettings | None
    def start(
        self,
        port: int = 0,
        cert_file: str | None = None,
        key_file: str | None = None,
        alpn: str | None = None,
        is_client: bool = True,
        idle_timeout_ms: int = 30000,
        max_datagram_frame_size: int = 0,
        wt_path: str | None = None,
        debug_log: str | None = None,
        keylog_filename: str | None = None,
        congestion_control_algorithm: str | None = None,
        *,
        alpn_list: Sequence[str] | None = None,
        host: str | None = None,
        ip_family: int | None = -1,
        initial_max_data: int = 0,
        rx_data_ring_cap: int = 0,
        rx_ring_cap: int = 0,
        initial_max_streams_uni: int = 0,
        initial_max_streams_bidi: int = 0,
        keep_alive_interval_ms: int = 0,
        socket_buffer_size: int = 0,
        qlog_dir: str | None = None,
        verify_peer: bool = True,
        ca_file: str | None = None,
        max_connections: int = 256,
        cipher_suite: int = 0,
        key_exchange_groups: Sequence[int] | None = None,
        stream_ring_cap: int = ...,
        key_password: str | bytes | None = None,
        retry: bool = False,
        key_update_interval: int = 0,
        ticket_file: str | None = None,
        pmtud_policy: str | None = None,
        wt_supported_protocols: str | None = None,
        web_folder: str | None = None,
        dual: bool = False,
        desired_version: int = 0,
        driver: str = "thread",
    ) -> None: ...
    def stop(self, drain_timeout: float = 0.05) -> None: ...
    @property
    def started(self) -> bool: ...
    @property
    def thread_ready(self) -> bool: ...
    @property
    def eventfd(self) -> int: ...
    def wake_up(self) -> None: ...
    def drain_rx(self, max_events: int = 256) -> list[_Event]: ...
    def drain_rx_callback(self, handler: Callable[[_Event], object], max_events: int = 256) -> int: ...
    def release_batch(self) -> None: ...
    def create_client_connection(
        self, host: str, port: int, sni: str | None = None, alpn: str | None = None, desired_version: int = 0
    ) -> int: ...
    def close_connection(self, cnx_ptr: int, error_code: int = 0, reason: bytes = b"") -> None: ...
    def tx_send_stream(
        self, cnx_ptr: int, stream_id: int, data: _Bytes, end_stream: bool = False, stream_ring_cap: int = 0
    ) -> int: ...
    def tx_send_atomic(
        self, stream_id: int, data: _Bytes, end_stream: bool, cnx_ptr: int, sc: int = 0, ring_cap: int = 0
    ) -> int: ...
    def push_tx_event(
        self,
        event_type: int,
        stream_id: int,
        data: _Bytes | None = None,
        error_code: int = 0,
        cnx_ptr: int = 0,
        stream_ctx: int = 0,
        is_fin: int = 0,
    ) -> None: ...
    def push_tx(
        self,
        event_type: int,
        stream_id: int,
        data: _Bytes | None = None,
        error_code: int = 0,
        cnx_ptr: int = 0,
        stream_ctx: int = 0,
        is_fin: int = 0,
    ) -> None: ...
    def set_stream_priority(self, cnx_ptr: int, stream_id: int, priority: int) -> int: ...
    def set_default_stream_priority(self, priority: int) -> None: ...
    def set_tx_data_drain_pending(self, sc_ptr: int) -> None: ...
    def clear_tx_data_drain_pending(self, sc_ptr: int) -> None: ...
    @property
    def tx_event_ring_capacity(self) -> int: ...
    @property
    def tx_event_ring_drain_event(self) -> asyncio.Event: ...
    def arm_tx_event_ring_drain_pending(self) -> bool: ...
    def clear_tx_event_ring_drain_pending(self) -> None: ...
    def engine_ready(self, port: int) -> None: ...
    def engine_stopped(self, error: int) -> None: ...
    def connection_accepted(self, connection: Connection) -> None: ...
    def handler_failed(self, error: Exception, connection: Connection | None) -> None: ...
