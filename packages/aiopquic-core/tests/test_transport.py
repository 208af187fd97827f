"""The low-level API, as the user's document shows it: TransportContext, handles, tuples."""

from __future__ import annotations

import errno
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiopquic._binding._transport import TransportContext
from aiopquic.exceptions import BindError, CertificateFileError, StreamClosedError
from aiopquic.testing.certificates import dev_certificate

from .transport_pair import APP_CLOSE, READY, Pair


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    certificate, key = dev_certificate().write(tmp_path)
    return str(certificate), str(key)


@pytest.fixture
def pair(files: tuple[str, str]) -> Iterator[Pair]:
    result = Pair(files)
    yield result
    result.stop()
    del result.client, result.server  # pytest keeps the pair itself until after the leak check


def test_the_documents_example_connects(pair: Pair) -> None:
    """start() and create_client_connection() as the document has them end in a handshake on both sides."""
    assert pair.server.started
    assert pair.server.thread_ready
    server_handle = pair.connected()
    assert pair.of(pair.client_events, READY)[0][5] == pair.handle
    assert server_handle != pair.handle


def test_a_stale_handle_is_an_error_and_not_a_crash(pair: Pair) -> None:
    """Handles are never used twice: one of a closed connection, or a made-up one, is refused (lifetime)."""
    pair.connected()
    pair.client.close_connection(pair.handle, 1)
    pair.until(lambda: bool(pair.of(pair.client_events, APP_CLOSE)))
    for handle in (pair.handle, 123_456_789, 0xDEADBEEF0000):
        with pytest.raises(StreamClosedError, match="no open connection"):
            pair.client.tx_send_stream(handle, 0, b"late")
    pair.client.close_connection(pair.handle, 1)


def test_a_second_start_is_refused(files: tuple[str, str]) -> None:
    """A transport is good for one start."""
    context = TransportContext()
    context.start(alpn="moq-00", ca_file=files[0])
    with pytest.raises(RuntimeError, match="already started"):
        context.start(alpn="moq-00", ca_file=files[0])
    context.stop()
    context.stop()
    assert not context.started


def test_a_busy_port_is_told_by_start(files: tuple[str, str]) -> None:
    """start() raises the system's error although the sockets are opened on the network thread."""
    first = TransportContext()
    first.start(cert_file=files[0], key_file=files[1], alpn="a", is_client=False)
    second = TransportContext()
    with pytest.raises(BindError) as caught:
        second.start(port=first.port, cert_file=files[0], key_file=files[1], alpn="a", is_client=False)
    assert caught.value.errno == errno.EADDRINUSE
    assert str(first.port) in str(caught.value)
    first.stop()


def test_a_host_that_is_no_literal_is_refused(pair: Pair) -> None:
    """Names are for the layers above; here they are a ValueError."""
    with pytest.raises(ValueError, match="is not an IP literal"):
        pair.client.create_client_connection("localhost", 4433)
    with pytest.raises(ValueError, match="UDP port"):
        pair.client.create_client_connection("127.0.0.1", 0)


def test_connecting_before_start_is_refused() -> None:
    """Without a network thread there is nobody to connect."""
    with pytest.raises(RuntimeError, match="start"):
        TransportContext().create_client_connection("127.0.0.1", 4433)


def test_a_server_without_a_certificate_is_refused() -> None:
    """The error says what is missing."""
    with pytest.raises(CertificateFileError, match="certificate"):
        TransportContext().start(port=0, alpn="a", is_client=False)


def test_a_context_that_is_dropped_without_stop_ends_its_thread(files: tuple[str, str]) -> None:
    """The last reference joins the network thread; the leak check of every test counts engines (lifetime)."""
    context = TransportContext()
    context.start(cert_file=files[0], key_file=files[1], alpn="a", is_client=False)
    engine = context._engine
    del context
    gc.collect()
    assert engine.is_running
    del engine
    gc.collect()


def test_counters_are_numbers(pair: Pair) -> None:
    """Counters are there for diagnosis."""
    pair.connected()
    counters = pair.client.counters
    assert counters["turns"] > 0
    assert counters["commands_pushed"] >= 1
    pair.client.wake_up()
