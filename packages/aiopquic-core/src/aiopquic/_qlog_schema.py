"""The events of picoquic's qlog in the terms of qlog's present drafts.

picoquic writes the first drafts' form: arrays, microseconds, its own names. The drafts of today
(draft-ietf-quic-qlog-main-schema, draft-ietf-quic-qlog-quic-events) have objects, milliseconds and a schema for each
event. What they have no word for keeps picoquic's name as a further field, which the drafts allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["EventTerms", "header_terms"]

Fields = dict[str, Any]

#: draft-ietf-quic-qlog-quic-events-12 and draft-ietf-quic-qlog-main-schema-13: what the readers of today know.
SCHEMAS = ["urn:ietf:params:qlog:events:quic-12", "urn:ietf:params:qlog:events:loglevel-13"]

#: picoquic counts a packet that is sent or lost without the tag of its AEAD (RFC 9001 section 5.3).
_TAG = 16

_DEFAULT_ACK_DELAY_EXPONENT = 3  # RFC 9000 section 18.2

_PACKET_TYPES = {"initial", "handshake", "0RTT", "1RTT", "retry", "version_negotiation"}

_PARAMETERS = {
    "idle_timeout": "max_idle_timeout",
    "max_packet_size": "max_udp_payload_size",
    "original_connection_id": "original_destination_connection_id",
    "handshake_connection_id": "initial_source_connection_id",
    "retry_connection_id": "retry_source_connection_id",
    "server_preferred_address": "preferred_address",
}
#: Parameters that are flags: present or not.
_FLAGS = {
    "disable_migration": "disable_active_migration",
    "grease_quic_bit": "grease_quic_bit",
    "reset_stream_at": "reset_stream_at",
    "enable_time_stamp": "enable_time_stamp",
    "scone_supported": "scone_supported",
}

_METRICS = {"cwnd": "congestion_window"}
_METRICS_IN_MICROSECONDS = ("min_rtt", "smoothed_rtt", "latest_rtt")

_LOST = {"repeat": "reordering_threshold", "timer": "pto_expired"}

#: By their codes, from 0 on.
_TRANSPORT_ERRORS = (
    "no_error",
    "internal_error",
    "connection_refused",
    "flow_control_error",
    "stream_limit_error",
    "stream_state_error",
    "final_size_error",
    "frame_encoding_error",
    "transport_parameter_error",
    "connection_id_limit_error",
    "protocol_violation",
    "invalid_token",
    "application_error",
    "crypto_buffer_exceeded",
    "key_update_error",
    "aead_limit_reached",
    "no_viable_path",
)

#: Frames that the schema knows, with the fields (in picoquic's names) that it can't be without.
_FRAMES: dict[str, tuple[str, ...]] = {
    "padding": (),
    "ping": (),
    "ack": (),
    "reset_stream": ("stream_id", "error_code", "final_size"),
    "stop_sending": ("stream_id", "error_code"),
    "crypto": ("offset", "length"),
    "new_token": ("new_token",),
    "stream": ("id",),
    "max_data": ("maximum",),
    "max_stream_data": ("stream_id", "maximum"),
    "max_streams": ("stream_type", "maximum"),
    "data_blocked": ("limit",),
    "stream_data_blocked": ("stream_id", "limit"),
    "streams_blocked": ("stream_type", "limit"),
    "new_connection_id": ("sequence_number", "retire_before", "connection_id"),
    "retire_connection_id": ("sequence_number",),
    "path_challenge": (),
    "path_response": (),
    "connection_close": (),
    "handshake_done": (),
    "datagram": (),
}
_FRAME_FIELDS = {
    "id": "stream_id",
    "retire_before": "retire_prior_to",
    "reset_token": "stateless_reset_token",
    "path_challenge": "data",
    "path_response": "data",
}
#: The numbers of frames by name: for those that the schema doesn't know, and for the frame that closed a connection.
_FRAME_TYPES = {
    "padding": 0x00,
    "ping": 0x01,
    "ack": 0x02,
    "reset_stream": 0x04,
    "stop_sending": 0x05,
    "crypto": 0x06,
    "new_token": 0x07,
    "stream": 0x08,
    "max_data": 0x10,
    "max_stream_data": 0x11,
    "max_streams": 0x12,
    "data_blocked": 0x14,
    "stream_data_blocked": 0x15,
    "streams_blocked": 0x16,
    "new_connection_id": 0x18,
    "retire_connection_id": 0x19,
    "path_challenge": 0x1A,
    "path_response": 0x1B,
    "connection_close": 0x1C,
    "handshake_done": 0x1E,
    "immediate_ack": 0x1F,
    "reset_stream_at": 0x24,
    "datagram": 0x30,
    "path_ack": 0x3E,
    "ack_frequency": 0xAF,
    "time_stamp": 0x2F5,
    "path_abandon": 0x3E75,
    "path_backup": 0x3E76,
    "path_available": 0x3E77,
    "path_new_connection_id": 0x3E78,
    "path_retire_connection_id": 0x3E79,
    "max_path_id": 0x3E7A,
    "paths_blocked": 0x3E7B,
    "path_cid_blocked": 0x3E7C,
    "bdp": 0xEBD9,
    "observed_address_v4": 0x9F81A6,
    "observed_address_v6": 0x9F81A7,
}


def header_terms(trace: Fields) -> Fields:
    """The first record of a sequence, from picoquic's trace without its events."""
    connection_id = str(trace.get("description", ""))
    started = str(trace.get("common_fields", {}).get("reference_time"))
    # The engine's clock has no date; what it said at the start puts two files of one host side by side.
    start = {"clock_at_start_us": int(started)} if started.isdecimal() else {}
    return {
        "file_schema": "urn:ietf:params:qlog:file:sequential",
        "serialization_format": "application/qlog+json-seq",
        "title": "aiopquic",
        "trace": {
            "title": connection_id,
            "common_fields": {
                "group_id": connection_id,
                "protocol_types": ["QUIC"],
                "time_format": "relative_to_epoch",
                "reference_time": {"clock_type": "monotonic", "epoch": "unknown"},
                **start,
            },
            "vantage_point": {"type": trace.get("vantage_point", {}).get("type", "unknown")},
            "event_schemas": SCHEMAS,
        },
    }


class EventTerms:
    """The events of one trace, in their order: some are to be understood by those before them."""

    def __init__(self) -> None:
        self._exponents = {"local": _DEFAULT_ACK_DELAY_EXPONENT, "remote": _DEFAULT_ACK_DELAY_EXPONENT}
        self._endpoints: dict[str, Fields] = {}
        self._tuples = 0

    def terms(self, kind: str, data: Fields) -> Iterator[tuple[str, Fields]]:
        """Name and data of what stands for an event of picoquic: one event, or some."""
        match kind:
            case "packet_sent":
                yield "quic:packet_sent", self._packet(data, "local", _TAG)
            case "packet_received":
                yield "quic:packet_received", self._packet(data, "remote", 0)
            case "datagram_sent" | "datagram_received":
                yield from self._addresses(data, sent=kind == "datagram_sent")
                ecn = {"ecn": [data["ecn"]]} if "ecn" in data else {}
                raw = [{"length": data["byte_length"]}]
                yield f"quic:udp_{kind.replace('_', 's_')}", {"count": 1, "raw": raw} | ecn
            case "packet_lost" | "packet_dropped" | "packet_buffered":
                yield f"quic:{kind}", _packet_alone(kind, data)
            case "parameters_set":
                yield from self._parameters(dict(data))
            case "metrics_updated":
                yield "quic:recovery_metrics_updated", _metrics(data)
            case "congestion_state_updated" | "spin_bit_updated":
                yield f"quic:{kind}", data
            case "message":
                yield "loglevel:info", {"message": _text(data["message"])}
            case _:
                yield "loglevel:verbose", {"message": kind, "data": data}

    def _packet(self, data: Fields, sender: str, tag: int) -> Fields:
        header = dict(data["header"])
        raw = {"length": header.pop("packet_size") + tag}
        if "payload_length" in header:
            raw["payload_length"] = header.pop("payload_length")
        header["packet_type"] = _packet_type(data["packet_type"])
        if "key_phase" in header:
            header["key_phase_bit"] = bool(header.pop("key_phase"))
        if "token" in header:
            header["token"] = {"raw": _raw_of(header["token"])}
        for name in ("scid", "dcid"):
            if name in header:
                header[f"{name[0]}cil"] = len(header[name]) // 2
        frames = [_frame(dict(frame), self._exponents[sender]) for frame in data.get("frames", ())]
        return {"header": header, "raw": raw, "frames": frames}

    def _addresses(self, data: Fields, *, sent: bool) -> Iterator[tuple[str, Fields]]:
        """Picoquic tells an address when it's another one than before."""
        news = {"addr_from": "local" if sent else "remote", "addr_to": "remote" if sent else "local"}
        changes = {side: _endpoint(data[name]) for name, side in news.items() if name in data}
        if not changes:
            return
        begun = len(self._endpoints) == 2
        self._endpoints |= changes
        if len(self._endpoints) < 2:
            return
        local, remote = self._endpoints["local"], self._endpoints["remote"]
        if begun:
            self._tuples += 1
            tuple_id = str(self._tuples)
            yield "quic:tuple_assigned", {"tuple_id": tuple_id, "tuple_remote": remote, "tuple_local": local}
        else:
            yield "quic:connection_started", {"local": local, "remote": remote}

    def _parameters(self, data: Fields) -> Iterator[tuple[str, Fields]]:
        owner = data.pop("owner")
        if {"alpn", "proposed_alpn", "sni"} & data.keys():
            yield "quic:alpn_information", _alpn(data)
            return
        parameters: Fields = {"initiator": owner, "unknown_parameters": []}
        for name, value in data.items():
            if name in _FLAGS:
                parameters[_FLAGS[name]] = True
            elif re.fullmatch("[0-9a-f]+", name):
                parameters["unknown_parameters"].append({"id": int(name, 16), "value": value})
            elif value == "invalid":
                parameters[f"{name}_is_invalid"] = True
            else:
                parameters[_PARAMETERS.get(name, name)] = value
        self._exponents[owner] = parameters.get("ack_delay_exponent", self._exponents[owner])
        yield "quic:parameters_set", parameters


def _packet_alone(kind: str, data: Fields) -> Fields:
    """A packet of which picoquic tells type, number and size, and what has become of it."""
    header = {"packet_type": _packet_type(data.get("packet_type", data.get("type")))}
    if "packet_number" in data:
        header["packet_number"] = data["packet_number"]
    terms: Fields = {"header": header}
    if kind == "packet_lost":
        terms["raw"] = {"length": data["header"]["packet_size"] + _TAG}
        if data.get("trigger") in _LOST:
            terms["trigger"] = _LOST[data["trigger"]]
    elif kind == "packet_dropped":
        terms |= {"raw": {"length": data["packet_size"]}, "trigger": "general", "error": data["trigger"]}
    else:
        terms["trigger"] = data["trigger"]
    return terms


def _packet_type(name: Any) -> str:
    return name if name in _PACKET_TYPES else "unknown"


def _metrics(data: Fields) -> Fields:
    return {
        _METRICS.get(name, name): value / 1000 if name in _METRICS_IN_MICROSECONDS else value
        for name, value in data.items()
    }


def _alpn(data: Fields) -> Fields:
    terms: Fields = {}
    if "proposed_alpn" in data:
        terms["client_alpns"] = [{"string_value": _text(name)} for name in data["proposed_alpn"]]
    if "alpn" in data:
        terms["chosen_alpn"] = {"string_value": _text(data["alpn"])}
    if "sni" in data:
        terms["server_name"] = _text(data["sni"])
    return terms


def _endpoint(address: Fields) -> Fields:
    """Picoquic writes a port as it lies in the socket's address: its bytes the other way round."""
    return {
        name: int.from_bytes(value.to_bytes(2, "little"), "big") if name.startswith("port") else value
        for name, value in address.items()
    }


def _frame(frame: Fields, ack_delay_exponent: int) -> Fields:
    kind = frame.pop("frame_type")
    if "ack_delay" in frame:
        frame["ack_delay"] = (frame["ack_delay"] << ack_delay_exponent) / 1000
        ranges = [sorted(set(numbers)) for numbers in frame["acked_ranges"]]
        frame["acked_ranges"] = [numbers for numbers in ranges if numbers[0] >= 0]
    needed = _FRAMES.get(kind)
    if needed is None or not frame.keys() >= set(needed):
        number = frame.pop("unknown_frame_type", None)
        number = _FRAME_TYPES.get(kind, 0) if number is None else number
        return {"frame_type": "unknown", "frame_type_bytes": number, "name": kind} | frame
    if "length" in frame:
        # The drafts want the frame's own length field as raw.length; payload_length says what it is.
        frame["raw"] = {"length": frame["length"], "payload_length": frame.pop("length")}
    if kind == "new_token":
        frame = {"token": {"type": "resumption", "raw": _raw_of(frame["new_token"])}}
    elif kind == "connection_close":
        _close(frame)
    elif "error_code" in frame:
        frame["error"] = "unknown"  # the schema's names are those of HTTP/3
    return {"frame_type": kind} | {_FRAME_FIELDS.get(name, name): value for name, value in frame.items()}


def _close(frame: Fields) -> None:
    code = frame.get("error_code")
    if frame.get("error_space") == "transport" and code is not None and code < len(_TRANSPORT_ERRORS):
        frame["error"] = _TRANSPORT_ERRORS[code]
    if "reason" in frame:
        frame["reason"] = _text(frame["reason"])
    trigger = frame.pop("trigger_frame_type", None)
    if trigger is not None:
        frame["trigger_frame_type"] = _FRAME_TYPES[trigger] if trigger in _FRAME_TYPES else int(trigger, 16)


def _raw_of(digits: str) -> Fields:
    return {"length": len(digits) // 2, "data": digits}


def _text(characters: str) -> str:
    """Picoquic writes each byte of UTF-8 as a character; bytes that are no UTF-8 stay so."""
    try:
        return characters.encode("latin-1").decode()
    except UnicodeError:
        return characters
