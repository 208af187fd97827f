"""The public names of the API in aioquic's shape: there, of their kind, with the fields and defaults of old."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

import pytest

from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.quic import events
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection, QuicErrorCode
from aiopquic.quic.events import QuicEvent

NONE = memoryview(b"")

MODULES = {
    "aiopquic": "__version__",
    "aiopquic.quic.configuration": "QuicConfiguration QUIC_V1 QUIC_V2 CIPHER_SUITES",
    "aiopquic.quic.connection": "QuicConnection QuicErrorCode stream_is_unidirectional",
    "aiopquic.asyncio": "QuicConnectionProtocol connect QuicServer serve",
    "aiopquic.asyncio.client": "connect",
    "aiopquic.asyncio.server": "QuicServer serve",
    "aiopquic.asyncio.protocol": "QuicConnectionProtocol",
}

EVENTS: dict[str, dict[str, Any]] = {
    "HandshakeCompleted": {"alpn_protocol": None, "early_data_accepted": False, "session_resumed": False},
    "ConnectionTerminated": {"error_code": 0, "frame_type": None, "reason_phrase": ""},
    "ProtocolNegotiated": {"alpn_protocol": None},
    "StreamDataReceived": {"stream_id": 0, "data": NONE, "end_stream": False},
    "StreamReset": {"stream_id": 0, "error_code": 0},
    "StopSendingReceived": {"stream_id": 0, "error_code": 0},
    "DatagramFrameReceived": {"data": NONE},
    "ConnectionIdIssued": {"connection_id": b""},
    "ConnectionIdRetired": {"connection_id": b""},
    "PingAcknowledged": {"uid": 0},
    "WebTransportSessionReady": {},
    "WebTransportSessionRefused": {"error_code": 0},
    "WebTransportSessionClosed": {"error_code": 0, "reason": NONE},
    "WebTransportSessionDraining": {},
    "WebTransportStreamDataReceived": {"stream_id": 0, "data": NONE, "end_stream": False},
    "WebTransportStreamReset": {"stream_id": 0, "error_code": 0},
    "WebTransportStopSending": {"stream_id": 0, "error_code": 0},
    "WebTransportDatagramReceived": {"data": NONE},
    "WebTransportNewStream": {"stream_id": 0},
}

#: Fields in their order, with the defaults that programs rely on; ``...`` where ours is another on purpose.
CONFIGURATION: dict[str, Any] = {
    "alpn_protocols": ...,
    "idle_timeout": ...,
    "keep_alive_interval": None,
    "socket_buffer_size": None,
    "is_client": True,
    "max_data": 1 << 24,
    "max_stream_data": ...,
    "max_datagram_frame_size": 65535,
    "datagram_ring_bytes": 1 << 16,
    "datagram_max_payload": 1200,
    "server_name": None,
    "certificate_file": None,
    "private_key_file": None,
    "verify_mode": None,
    "cafile": None,
    "key_exchange_groups": None,
    "secrets_log_file": None,
    "qlog_dir": None,
    "congestion_control_algorithm": ...,
    "event_ring_capacity": None,
    "stream_ring_cap": ...,
    "max_streams_uni": ...,
    "max_streams_bidi": ...,
    "tx_max_queued_bytes": ...,
    "max_connections": ...,
    "cipher_suite": None,
    "key_update_interval": None,
    "supported_versions": None,
    "session_ticket_file": None,
    "ip_family": None,
    "pmtud": ...,
}

#: The parameters of each method after self; None for a property.
CONNECTION: dict[str, str | None] = {
    "configuration": None,
    "eventfd": None,
    "bytes_sent": None,
    "bytes_received": None,
    "closed": None,
    "connect": "addr now",
    "next_event": "",
    "send_stream_data": "stream_id data end_stream",
    "send_stream_data_drained": "stream_id data end_stream soft_yield_at hard_wait_at",
    "send_datagram_frame": "data",
    "get_stream_buf_stats": "stream_id",
    "get_next_available_stream_id": "is_unidirectional",
    "reset_stream": "stream_id error_code",
    "stop_stream": "stream_id error_code",
    "close": "error_code frame_type reason_phrase",
    "stop": "",
    "peer_transport_parameters": None,
    "local_transport_parameters": None,
    "connection_ids": None,
    "peer_address": "",
    "local_address": "",
    "get_tx_data_drain_event": "stream_id",
    "tx_data_ring_used": "stream_id",
    "tx_sent_bytes": "stream_id",
    "set_tx_data_drain_pending": "stream_id",
    "clear_tx_data_drain_pending": "stream_id",
    "tx_event_ring_fill": "",
    "path_quality": "",
    "get_datagram_tx_drain_event": "",
    "datagram_ring_stats": "",
    "datagrams_acked": None,
    "datagrams_lost": None,
    "max_datagram_payload": "",
    "set_stream_priority": "stream_id priority",
    "set_default_stream_priority": "priority",
    "send_ping": "uid",
}

PROTOCOL: dict[str, str | None] = {
    "quic_event_received": "event",
    "connect": "addr",
    "close": "error_code",
    "wait_connected": "",
    "wait_closed": "",
    "wait_created": "timeout",
    "aclose": "error_code timeout",
    "ping": "",
    "transmit": "",
    "_transport": None,
    "_start": "loop",
    "_stop": "",
    "_process_events": "",
}

COROUTINES = {
    QuicConnection: {"send_stream_data_drained"},
    QuicConnectionProtocol: {"wait_connected", "wait_closed", "wait_created", "aclose", "ping", "_stop"},
}


@pytest.mark.parametrize("module", MODULES)
def test_modules(module: str):
    imported = importlib.import_module(module)
    assert [name for name in MODULES[module].split() if not hasattr(imported, name)] == []


@pytest.mark.parametrize("name", EVENTS)
def test_events(name: str):
    """Data classes whose first fields are those, in that order and with those defaults."""
    event = getattr(events, name)
    assert issubclass(event, QuicEvent)
    fields = {field.name: getattr(event(), field.name) for field in dataclasses.fields(event)}
    assert list(fields.items())[: len(EVENTS[name])] == list(EVENTS[name].items())
    assert event() == event()
    assert name in events.__all__


def test_every_event_is_in_the_table():
    ours = {"PathChanged"}  # which no existing release has
    assert set(events.__all__) == {"QuicEvent", *EVENTS, *ours}


@pytest.mark.parametrize("name", CONFIGURATION)
def test_configuration(name: str):
    assert {field.name for field in dataclasses.fields(QuicConfiguration)} >= {name}
    if CONFIGURATION[name] is not ...:
        assert getattr(QuicConfiguration(), name) == CONFIGURATION[name]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (owner, *one)
        for owner, table in ((QuicConnection, CONNECTION), (QuicConnectionProtocol, PROTOCOL))
        for one in table.items()
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", "property"),
)
def test_members(owner: type, name: str, parameters: str | None):
    member = inspect.getattr_static(owner, name)
    if parameters is None:
        assert isinstance(member, property)
        return
    assert inspect.isfunction(member)
    found = list(inspect.signature(member).parameters.values())[1:]
    for wanted in parameters.split():
        assert wanted in [parameter.name for parameter in found]
    required = [parameter.name for parameter in found if parameter.default is parameter.empty]
    assert set(required) <= set(parameters.split()), "a program that knows only these parameters can call it"
    assert inspect.iscoroutinefunction(member) == (name in COROUTINES[owner])


def test_error_codes():
    """RFC 9000 section 20.1, RFC 9001 section 4.8 and RFC 9368 section 10.2."""
    names = "NO_ERROR INTERNAL_ERROR CONNECTION_REFUSED FLOW_CONTROL_ERROR STREAM_LIMIT_ERROR STREAM_STATE_ERROR"
    assert [QuicErrorCode[name] for name in names.split()] == list(range(6))
    assert QuicErrorCode.KEY_UPDATE_ERROR == 0xE
    assert QuicErrorCode.AEAD_LIMIT_REACHED == 0xF
    assert QuicErrorCode.VERSION_NEGOTIATION_ERROR == 0x11
    assert QuicErrorCode.CRYPTO_ERROR == 0x100


async def test_a_connection_that_was_not_started(endpoints: Any):
    """Questions have an empty answer before the start; nobody waits for anything."""
    quic = QuicConnection(configuration=endpoints.client_configuration())
    assert quic.eventfd == -1
    assert quic.next_event() is None
    assert (quic.max_datagram_payload(), quic.datagrams_acked, quic.datagrams_lost) == (0, 0, 0)
    assert quic.datagram_ring_stats() == quic.connection_ids == quic.path_quality() == {}
    assert quic.tx_event_ring_fill() == 0.0
    assert quic.get_stream_buf_stats(0) is None
    quic.set_tx_data_drain_pending(0)
    quic.clear_tx_data_drain_pending(0)
    assert quic.get_tx_data_drain_event(0).is_set()
    assert quic.get_datagram_tx_drain_event().is_set()
    with pytest.raises(RuntimeError, match="not started"):
        quic.send_ping(1)
    protocol = QuicConnectionProtocol(quic)
    assert protocol._transport is None
    protocol._process_events()
