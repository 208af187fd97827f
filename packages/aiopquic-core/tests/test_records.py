"""Classes of fields whose methods are shared: they are dataclasses all the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from aiopquic import CloseKind, CloseReason, EchKey, QuicConfiguration, QuicLbSettings
from aiopquic._settings import EngineSettings
from aiopquic.quic import events

RECORDS: list[Any] = [
    CloseReason(CloseKind.IDLE_TIMEOUT, error_code=3, reason="idle"),
    EchKey(b"config", b"key"),
    QuicConfiguration(alpn_protocols=["echo"], idle_timeout=3.0),
    QuicLbSettings(server_id=b"one", nonce_length=5),
    events.HandshakeCompleted("echo", session_resumed=True),
    events.ConnectionTerminated(7, None, "over"),
    events.StreamReset(4, 9),
    events.ConnectionIdIssued(b"1234"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_they_are_dataclasses(record: Any):
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    assert dataclasses.replace(record) == record
    assert type(record)(**values) == record
    assert copy.copy(record) == record
    assert pickle.loads(pickle.dumps(record)) == record
    assert dataclasses.asdict(record) == values
    with pytest.raises(TypeError):
        type(record)(**values, nothing=1)
    with pytest.raises(TypeError):
        dataclasses.replace(record, nothing=1)


def test_they_are_equal_by_value_and_kind():
    assert events.StreamReset(4, 9) != events.StreamReset(4, 8)
    assert events.StreamReset(4, 9) != events.StopSendingReceived(4, 9)
    assert events.StreamReset(4, 9) != (4, 9)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_the_frozen_ones_are_hashed_by_value(record: Any):
    if not type(record).__dataclass_params__.frozen:
        with pytest.raises(TypeError, match="unhashable"):
            hash(record)
        return
    assert hash(dataclasses.replace(record)) == hash(record)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, dataclasses.fields(record)[0].name, None)


def test_they_are_shown_with_their_fields_but_no_secrets():
    assert repr(events.StreamReset(4, 9)) == "StreamReset(stream_id=4, error_code=9)"
    assert repr(EchKey(b"config", b"key")) == "EchKey(config=b'config')"
    assert "key" not in repr(QuicLbSettings(server_id=b"one", key=bytes(16)))


def test_engines_are_shared_by_those_with_equal_settings():
    settings = EngineSettings(is_client=True, alpn=("echo",))
    other = EngineSettings(is_client=True, alpn=("hq-interop",), session_tickets=b"some", local_port=0)
    assert settings.sharing_key() == other.sharing_key()
    assert hash(settings.sharing_key()) == hash(other.sharing_key())
    assert settings.replaced(worker=2).sharing_key() != settings.sharing_key()


def test_engine_settings_have_names():
    assert EngineSettings(is_client=True, alpn=("echo",)).replaced(worker=2).alpn == ("echo",)
    with pytest.raises(TypeError, match="wrong"):
        EngineSettings(is_client=True, wrong=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="is_client"):
        EngineSettings()  # type: ignore[call-arg]
