"""The settings of a QuicConfiguration that are numbers, and what they may be."""

from __future__ import annotations

from aiopquic.exceptions import ConfigurationError

__all__ = ["validate_numbers"]

_MAX_VARINT = (1 << 62) - 1

#: AES-GCM keys may protect 2**23 packets (RFC 9001 section 6.6); half of that leaves time for the change.
_MAX_KEY_UPDATE_INTERVAL = 1 << 22

#: At least, at most, and of what. Seconds may be fractions.
_NUMBERS: tuple[tuple[str, float, float, str], ...] = (
    ("idle_timeout", 0, 10**6, "seconds, 0 for none"),
    ("handshake_timeout", 0.001, 10**6, "seconds"),
    ("connection_attempt_delay", 0.01, 60, "seconds"),
    ("keep_alive_interval", 0.001, 10**6, "seconds, or None"),
    ("spin_time", 0, 0.01, "seconds"),
    ("max_data", 1, _MAX_VARINT, "bytes"),
    ("max_stream_data", 1, _MAX_VARINT, "bytes"),
    ("initial_stream_window", 1, _MAX_VARINT, "bytes"),
    ("max_streams_uni", 0, 1 << 60, "streams"),
    ("max_streams_bidi", 0, 1 << 60, "streams"),
    ("stream_ring_cap", 1, 1 << 40, "bytes"),
    ("max_paths", 1, 8, "paths"),
    ("connection_id_length", 4, 20, "bytes"),
    ("max_connections", 1, 1 << 24, "connections"),
    ("half_open_limit", 1, 1 << 24, "handshakes"),
    ("datagram_ring_bytes", 4096, 1 << 40, "bytes"),
    ("datagram_priority", 0, 255, "(0 is sent first)"),
    ("max_congestion_window", 15360, 1 << 40, "bytes, or None"),
    ("tx_max_queued_bytes", 0, 1 << 50, "bytes, or None"),
    ("socket_buffer_size", 1, 1 << 30, "bytes, or None"),
    ("event_ring_capacity", 1, 1 << 31, "commands, or None"),
    ("key_update_interval", 1, _MAX_KEY_UPDATE_INTERVAL, "packets, or None"),
    ("max_datagram_frame_size", 0, (1 << 32) - 1, "bytes, or None"),
    ("datagram_max_payload", 1, 65535, "bytes, or None"),
)


def validate_numbers(configuration: object) -> None:
    """Raise ConfigurationError for the first that can't be."""
    values = vars(configuration)
    for name, low, high, unit in _NUMBERS:
        value = values[name]
        if type(value) is int and low <= value <= high:
            continue
        if value is None and unit.endswith("or None"):
            continue
        is_number = isinstance(value, int | float if unit.startswith("seconds") else int)
        if not is_number or isinstance(value, bool) or not low <= value <= high:
            raise ConfigurationError(f"{name} is {low} to {high} {unit}, not {value!r}")
