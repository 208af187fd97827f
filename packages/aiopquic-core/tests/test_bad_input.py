"""Wrong settings, files, addresses and calls: each is refused with a sentence that helps, and nothing hangs."""

from __future__ import annotations

import asyncio
import errno
import json
import math
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from aiopquic import close_idle_engines
from aiopquic.asyncio import connect, serve
from aiopquic.exceptions import (
    AiopquicError,
    AlpnError,
    BindError,
    CertificateFileError,
    CloseKind,
    ConfigurationError,
    HandshakeTimeoutError,
)
from aiopquic.quic.configuration import QuicConfiguration

from .certificates import PASSWORD, Certificates
from .support import ALPN, Echo, Endpoints, Recorder, client_configuration, server_configuration

#: Seconds in which a refusal has to be known: far from any timeout.
AT_ONCE = 8.0

# ---- settings ----

WRONG_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"alpn_protocols": "echo"}, r"alpn_protocols is a list of names: use \['echo'\]"),
    ({"alpn_protocols": b"echo"}, "alpn_protocols is a list of names"),
    ({"alpn_protocols": 5}, "alpn_protocols is a list of names"),
    ({"alpn_protocols": [b"echo"]}, "an ALPN protocol is a text of 1 to 255 bytes"),
    ({"alpn_protocols": [""]}, "an ALPN protocol is a text of 1 to 255 bytes"),
    ({"alpn_protocols": ["x" * 256]}, "an ALPN protocol is a text of 1 to 255 bytes"),
    ({"alpn_protocols": ["ä" * 128]}, "an ALPN protocol is a text of 1 to 255 bytes"),
    ({"alpn_protocols": ["a\0b"]}, "without NUL"),
    ({"alpn_protocols": ["a"] * 17}, "at most 16 ALPN protocols, not 17"),
    ({"alpn_protocols": ["a"] * 32, "is_client": False}, "at most 31 ALPN protocols, not 32"),
    ({"congestion_control_algorithm": "turbo"}, "unknown congestion control algorithm 'turbo': use newreno"),
    ({"congestion_control_algorithm": ""}, "unknown congestion control algorithm ''"),
    ({"congestion_control_algorithm": 1}, "unknown congestion control algorithm 1"),
    ({"cipher_suite": 0x1304}, "cipher_suite is one of 0x1301, 0x1302, 0x1303"),
    ({"cipher_suite": "TLS_AES_128_GCM_SHA256"}, "cipher_suite is one of"),
    ({"verify_mode": "required"}, "verify_mode is None or a VerifyMode of ssl, not 'required'"),
    ({"verify_mode": 7}, "verify_mode is None or a VerifyMode of ssl, not 7"),
    ({"ip_family": 4}, "ip_family is socket.AF_INET, socket.AF_INET6 or None, not 4"),
    ({"idle_timeout": -1}, "idle_timeout is 0 to"),
    ({"idle_timeout": "30"}, "idle_timeout is 0 to .* seconds, 0 for none, not '30'"),
    ({"idle_timeout": None}, "idle_timeout is 0 to"),
    ({"idle_timeout": math.nan}, "idle_timeout is 0 to"),
    ({"idle_timeout": math.inf}, "idle_timeout is 0 to"),
    ({"handshake_timeout": 0}, "handshake_timeout is"),
    ({"keep_alive_interval": 0}, "keep_alive_interval is .* or None, not 0"),
    ({"max_data": 0}, "max_data is 1 to .* bytes, not 0"),
    ({"max_data": 1 << 62}, "max_data is"),
    ({"max_data": True}, "max_data is .* not True"),
    ({"max_data": 1.5}, "max_data is .* not 1.5"),
    ({"max_stream_data": "16M"}, "max_stream_data is"),
    ({"initial_stream_window": 0}, "initial_stream_window is"),
    ({"max_streams_bidi": -1}, "max_streams_bidi is 0 to"),
    ({"max_streams_uni": 1.0}, "max_streams_uni is"),
    ({"max_datagram_frame_size": -1}, "max_datagram_frame_size is 0 to 4294967295"),
    ({"datagram_ring_bytes": 4095}, "datagram_ring_bytes is 4096 to"),
    ({"datagram_max_payload": 0}, "datagram_max_payload is 1 to 65535 bytes, or None"),
    ({"stream_ring_cap": 0}, "stream_ring_cap is 1 to"),
    ({"stream_ring_cap": 1e6}, "stream_ring_cap is 1 to"),
    ({"tx_max_queued_bytes": -1}, "tx_max_queued_bytes is"),
    ({"max_connections": 0}, "max_connections is 1 to"),
    ({"socket_buffer_size": 0}, "socket_buffer_size is"),
    ({"event_ring_capacity": 0}, "event_ring_capacity is 1 to"),
    ({"qlog_dir": "/nowhere/at/all"}, "qlog_dir '/nowhere/at/all' is not an existing folder"),
    ({"qlog_dir": 5}, "qlog_dir is a path"),
    ({"certificate_file": 5}, "certificate_file is a path, the content as bytes, or None, not 5"),
    ({"private_key_file": ["key.pem"]}, "private_key_file is a path"),
    ({"cafile": ["ca.pem"]}, "cafile is a path"),
    ({"capath": 1.5}, "capath is a path"),
    ({"secrets_log_file": 3}, "secrets_log_file is a path"),
    ({"cadata": 5}, "cadata is PEM text or DER bytes"),
    ({"private_key_password": 1234}, "private_key_password is a text"),
    ({"private_key_password": "a\0b"}, "private_key_password is a text .*without NUL"),
    ({"key_exchange_groups": [0x1D, 5]}, "key_exchange_groups is a list of some of 0x001d, .*, or None, not"),
    ({"key_exchange_groups": []}, "key_exchange_groups is a list"),
    ({"key_exchange_groups": [0x1D, 0x1D]}, "key_exchange_groups is a list"),
    ({"key_exchange_groups": 0x1D}, "key_exchange_groups is a list"),
    ({"key_update_interval": 0}, "key_update_interval is 1 to 4194304 packets, or None"),
    ({"supported_versions": [2]}, "supported_versions is a list of QUIC_V1 and QUIC_V2, or None"),
    ({"supported_versions": []}, "supported_versions is a list"),
    ({"supported_versions": 1}, "supported_versions is a list"),
    ({"session_ticket_file": 5}, "session_ticket_file is a path"),
    ({"early_data": True}, "early_data is for servers"),
    ({"pmtud": "always"}, 'pmtud is "basic", "delayed" or "blocked", not'),
    ({"server_name": 5}, "server_name is a text"),
    ({"server_name": "x" * 256}, "server_name is a text of 1 to 255 bytes"),
    ({"server_name": "a\0b"}, "server_name is a text .*without NUL"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG_SETTINGS, ids=lambda value: str(value)[:50])
async def test_wrong_setting(endpoints: Endpoints, settings: dict[str, Any], words: str):
    """A wrong setting raises ConfigurationError when it is given, and when a connection is made with it."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        QuicConfiguration(**settings)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, AiopquicError)
    changed = client_configuration(endpoints.certificates)
    for name, value in settings.items():
        if name != "is_client":
            setattr(changed, name, value)
    if "is_client" in settings:
        return
    with pytest.raises(ConfigurationError, match=words):
        async with connect("127.0.0.1", 1, configuration=changed):
            pytest.fail("connected")


@pytest.mark.parametrize("name", ["initial_rtt", "verfy_mode", "congestion_control"])
def test_unknown_option(name: str):
    """robustness.md, "an unknown option accepted": neither as an argument nor as an attribute."""
    with pytest.raises(TypeError, match=name):
        QuicConfiguration(**{name: None})
    configuration = QuicConfiguration()
    with pytest.raises(ConfigurationError, match=f"QuicConfiguration has no setting '{name}'"):
        setattr(configuration, name, None)


@pytest.mark.parametrize("protocols", [None, [], ()])
async def test_no_application_protocol(endpoints: Endpoints, protocols: Any):
    """Without ALPN there is no QUIC: connect() and serve() say so before anything is sent."""
    words = "needs an application protocol: set alpn_protocols"
    configuration = client_configuration(endpoints.certificates, alpn_protocols=protocols)
    with pytest.raises(ConfigurationError, match=words):
        async with connect("127.0.0.1", 1, configuration=configuration):
            pytest.fail("connected")
    configuration = server_configuration(endpoints.certificates, alpn_protocols=protocols)
    with pytest.raises(ConfigurationError, match=words):
        await serve("127.0.0.1", 0, configuration=configuration)


async def test_no_configuration():
    """connect() without a configuration lacks the application protocol, and says so."""
    with pytest.raises(ConfigurationError, match="application protocol"):
        async with connect("127.0.0.1", 1):
            pytest.fail("connected")


async def test_the_other_sides_configuration(endpoints: Endpoints):
    """A server's configuration can't connect and a client's can't serve."""
    with pytest.raises(ConfigurationError, match=r"connect\(\) needs a configuration with is_client=True"):
        async with connect("127.0.0.1", 1, configuration=server_configuration(endpoints.certificates)):
            pytest.fail("connected")
    with pytest.raises(ConfigurationError, match=r"serve\(\) needs a configuration with is_client=False"):
        await serve("127.0.0.1", 0, configuration=client_configuration(endpoints.certificates))


async def test_tiny_idle_timeout(endpoints: Endpoints):
    """Less than a millisecond is a millisecond, and not "none"."""
    async with endpoints.server(idle_timeout=0) as server:
        configuration = client_configuration(endpoints.certificates, idle_timeout=0.0001)
        async with connect(
            "127.0.0.1", server.port, configuration=configuration, create_protocol=Recorder, wait_connected=False
        ) as client:
            async with asyncio.timeout(AT_ONCE):
                await client.wait_closed()
            assert client.quic.close_reason is not None
            assert client.quic.close_reason.kind in (CloseKind.IDLE_TIMEOUT, CloseKind.HANDSHAKE_TIMEOUT)


# ---- certificates, keys and trust ----


def bad_files(certificates: Certificates, folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Settings of a server and what is said about them."""
    missing, empty, garbage = folder / "missing.pem", folder / "empty.pem", folder / "garbage.pem"
    broken_certificate, broken_key = folder / "broken_certificate.pem", folder / "broken_key.pem"
    empty.write_bytes(b"")
    garbage.write_bytes(b"\xff\xfegarbage")
    broken_certificate.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    broken_key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    encrypted = {"certificate_file": certificates.encrypted.cert, "private_key_file": certificates.encrypted.key}
    return {
        "no certificate": ({"certificate_file": None}, "a server needs a certificate: set certificate_file"),
        "no key": ({"private_key_file": None}, "a server needs a private key: set private_key_file"),
        "missing certificate": ({"certificate_file": missing}, "missing.pem' can't be read: No such file"),
        "missing key": ({"private_key_file": missing}, "missing.pem' can't be read: No such file"),
        "unreadable certificate": ({"certificate_file": folder}, "can't be read: Is a directory"),
        "unreadable key": ({"private_key_file": folder}, "can't be read: Is a directory"),
        "empty certificate": ({"certificate_file": empty}, "empty.pem' contains no PEM certificate"),
        "empty key": ({"private_key_file": empty}, "empty.pem' contains no PEM private key"),
        "garbage certificate": ({"certificate_file": garbage}, "garbage.pem' contains no PEM certificate"),
        "garbage key": ({"private_key_file": garbage}, "garbage.pem' contains no PEM private key"),
        "broken certificate": ({"certificate_file": broken_certificate}, "certificate .*broken_certificate.pem"),
        "broken key": ({"private_key_file": broken_key}, "key .*could not be read .*broken_key.pem"),
        "certificate as key": ({"private_key_file": certificates.good.cert}, "contains no PEM private key"),
        "key of another": ({"private_key_file": certificates.other.key}, "key does not .*certificate"),
        "password missing": (encrypted, "is encrypted, and no password was given .*encrypted/key.pem"),
        "password wrong": (
            encrypted | {"private_key_password": "wrong"},
            "is encrypted with another password .*encrypted/key.pem",
        ),
        "password empty": (encrypted | {"private_key_password": ""}, "is encrypted, and no password was given"),
    }


CASES_OF_FILES = [
    "no certificate", "no key", "missing certificate", "missing key", "unreadable certificate", "unreadable key",
    "empty certificate", "empty key", "garbage certificate", "garbage key", "broken certificate", "broken key",
    "certificate as key", "key of another", "password missing", "password wrong", "password empty",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES_OF_FILES)
async def test_bad_files_of_a_server(certificates: Certificates, tmp_path: Path, case: str):
    """robustness.md, "a missing or unreadable file that shows only at the first connection": serve() refuses."""
    cases = bad_files(certificates, tmp_path)
    assert set(cases) == set(CASES_OF_FILES)
    settings, words = cases[case]
    with pytest.raises(CertificateFileError, match=words) as caught:
        await serve("127.0.0.1", 0, configuration=server_configuration(certificates, **settings))
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ConfigurationError)


async def test_key_password_as_bytes(endpoints: Endpoints, certificates: Certificates):
    """The right password opens the key, as text and as bytes."""
    for password in (PASSWORD, PASSWORD.encode()):
        async with (
            endpoints.server(
                Echo,
                certificate_file=certificates.encrypted.cert,
                private_key_file=certificates.encrypted.key,
                private_key_password=password,
            ) as server,
            endpoints.connect(server, cafile=certificates.encrypted.cert) as client,
        ):
            client.quic.send_stream_data(0, b"x", end_stream=True)
            assert await client.wait_end(0) == b"x"


def bad_trust(certificates: Certificates, folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    empty, garbage, nothing = folder / "empty.pem", folder / "garbage.pem", folder / "nothing"
    empty.write_bytes(b"")
    garbage.write_bytes(b"\xff\xfegarbage")
    nothing.mkdir()
    good = certificates.good.cert.read_text()
    return {
        "cafile missing": ({"cafile": folder / "missing.pem"}, "missing.pem' can't be read: No such file"),
        "cafile is a folder": ({"cafile": folder}, "can't be read: Is a directory"),
        "cafile empty": ({"cafile": empty}, "empty.pem' contains no certificate"),
        "cafile garbage": ({"cafile": garbage}, "garbage.pem' contains no certificate"),
        "cafile is a key": ({"cafile": certificates.good.key}, "contains no certificate"),
        "capath missing": ({"cafile": None, "capath": folder / "missing"}, "missing' is not a folder"),
        "capath is a file": ({"cafile": None, "capath": empty}, "empty.pem' is not a folder"),
        "capath empty": ({"cafile": None, "capath": nothing}, "nothing' contains no certificate"),
        "cadata empty text": ({"cafile": None, "cadata": ""}, "cadata contains no certificate"),
        "cadata empty bytes": ({"cafile": None, "cadata": b""}, "cadata contains no certificate"),
        "cadata garbage": ({"cafile": None, "cadata": "garbage"}, "cadata contains no certificate"),
        "cadata garbage bytes": ({"cafile": None, "cadata": b"\x30\x82garbage"}, "cadata contains no certificate"),
        "cadata broken": ({"cafile": None, "cadata": good.replace("A", "B")}, "cadata contains no certificate"),
        "second of two": ({"cafile": certificates.good.cert, "cadata": ""}, "cadata contains no certificate"),
    }


CASES_OF_TRUST = [
    "cafile missing", "cafile is a folder", "cafile empty", "cafile garbage", "cafile is a key", "capath missing",
    "capath is a file", "capath empty", "cadata empty text", "cadata empty bytes", "cadata garbage",
    "cadata garbage bytes", "cadata broken", "second of two",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES_OF_TRUST)
async def test_bad_trust_store(certificates: Certificates, tmp_path: Path, case: str):
    """A trust store that trusts nothing is refused; it never means "trust everything"."""
    cases = bad_trust(certificates, tmp_path)
    assert set(cases) == set(CASES_OF_TRUST)
    settings, words = cases[case]
    with pytest.raises(CertificateFileError, match=words):
        async with connect("127.0.0.1", 1, configuration=client_configuration(certificates, **settings)):
            pytest.fail("connected")


def test_load_verify_locations_of_nothing():
    """load_verify_locations() without arguments is a mistake, and not a return to the default."""
    with pytest.raises(ConfigurationError, match="needs cafile, capath or cadata"):
        QuicConfiguration().load_verify_locations()


# ---- addresses and ports ----


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", ""])
async def test_busy_port(endpoints: Endpoints, host: str):
    """A port that another server has is a BindError with EADDRINUSE, and the other server goes on."""
    async with endpoints.server(Echo, host=host) as server:
        with pytest.raises(
            BindError, match=f"UDP port {server.port} of .* can't be bound: Address already in use"
        ) as caught:
            await serve(host, server.port, configuration=server_configuration(endpoints.certificates))
        assert isinstance(caught.value, OSError)
        assert caught.value.errno == errno.EADDRINUSE
        async with endpoints.connect(server, host="::1" if host == "::1" else "127.0.0.1") as client:
            client.quic.send_stream_data(0, b"x", end_stream=True)
            assert await client.wait_end(0) == b"x"


async def test_busy_local_port(endpoints: Endpoints):
    """The same for a client's own port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        with pytest.raises(BindError) as caught:
            async with connect(
                "127.0.0.1", 1, configuration=client_configuration(endpoints.certificates), local_port=port
            ):
                pytest.fail("connected")
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
async def test_address_of_another_host(endpoints: Endpoints, host: str):
    """An address that this host does not have can't be bound."""
    with pytest.raises(BindError, match=f"of {host} can't be bound: ") as caught:
        await serve(host, 0, configuration=server_configuration(endpoints.certificates))
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_name_that_does_not_resolve(endpoints: Endpoints):
    """socket.gaierror, for a client as for a server."""
    with pytest.raises(socket.gaierror):
        async with connect("nobody.invalid", 4433, configuration=client_configuration(endpoints.certificates)):
            pytest.fail("connected")
    with pytest.raises(socket.gaierror):
        await serve("nobody.invalid", 0, configuration=server_configuration(endpoints.certificates))


@pytest.mark.parametrize("port", [0, -1, 65536, "4433", None, 4433.0], ids=repr)
async def test_wrong_port(endpoints: Endpoints, port: Any):
    """A client's port is 1 to 65535, a server's may be 0, and both are integers."""
    with pytest.raises(ConfigurationError, match="a UDP port is 1 to 65535, not"):
        async with connect("127.0.0.1", port, configuration=client_configuration(endpoints.certificates)):
            pytest.fail("connected")
    if port != 0:
        with pytest.raises(ConfigurationError, match="a UDP port is 0 to 65535, not"):
            await serve("127.0.0.1", port, configuration=server_configuration(endpoints.certificates))
        with pytest.raises(ConfigurationError, match="a UDP port is 0 to 65535, not"):
            async with connect(
                "127.0.0.1", 1, configuration=client_configuration(endpoints.certificates), local_port=port
            ):
                pytest.fail("connected")


@pytest.mark.parametrize("host", ["", None, 5, b"localhost"], ids=repr)
async def test_wrong_host(endpoints: Endpoints, host: Any):
    """A client needs a name or an IP literal."""
    with pytest.raises(ConfigurationError, match="host is a name or an IP literal, not"):
        async with connect(host, 4433, configuration=client_configuration(endpoints.certificates)):
            pytest.fail("connected")


# ---- peers that do not answer, or refuse ----


@pytest.mark.parametrize("timeout", [0.2, 0.6])
async def test_dead_port(endpoints: Endpoints, unused_port: int, timeout: float):
    """robustness.md, "no connect deadline": nobody there is an error after ``handshake_timeout``."""
    configuration = client_configuration(endpoints.certificates, handshake_timeout=timeout)
    begin = time.monotonic()
    with pytest.raises(HandshakeTimeoutError, match="nobody answered in time: check the address") as caught:
        async with connect("127.0.0.1", unused_port, configuration=configuration):
            pytest.fail("connected")
    assert timeout * 0.9 < time.monotonic() - begin < timeout + AT_ONCE
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.close_reason.kind is CloseKind.HANDSHAKE_TIMEOUT


async def test_silent_peer(endpoints: Endpoints):
    """The same for a socket that takes the packets and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        configuration = client_configuration(endpoints.certificates, handshake_timeout=0.3)
        with pytest.raises(HandshakeTimeoutError):
            async with connect("127.0.0.1", silent.getsockname()[1], configuration=configuration):
                pytest.fail("connected")


async def test_no_common_protocol(endpoints: Endpoints):
    """robustness.md, "no common ALPN waiting for the idle timeout": AlpnError at once, and the server goes on."""
    async with endpoints.server(Echo, alpn_protocols=["a", "b"]) as server:
        begin = time.monotonic()
        with pytest.raises(AlpnError, match="no_application_protocol") as caught:
            async with endpoints.connect(server, alpn_protocols=["c", "A"]):
                pytest.fail("connected")
        assert time.monotonic() - begin < AT_ONCE
        assert caught.value.close_reason.tls_alert == 120
        assert caught.value.close_reason.is_remote
        assert server.peers == []
        async with endpoints.connect(server, alpn_protocols=["b"]) as client:
            assert client.quic.alpn == "b"


async def test_too_many_connections(endpoints: Endpoints):
    """``max_connections`` refuses the next one, soon, and a place that gets free can be taken."""
    async with endpoints.server(Echo, max_connections=2) as server, endpoints.connect(server) as first:
        async with endpoints.connect(server):
            with pytest.raises(ConnectionError):
                async with endpoints.connect(server, handshake_timeout=1):
                    pytest.fail("connected")
        first.quic.send_stream_data(0, b"x", end_stream=True)
        assert await first.wait_end(0) == b"x"


# ---- logs ----


@pytest.mark.parametrize("how", ["setting", "environment"])
async def test_key_log_that_cant_be_written(
    endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
):
    """A key log that can't be written is said before a packet is sent, on both sides."""
    for path, words in ((tmp_path / "missing" / "keys.log", "No such file"), (tmp_path, "Is a directory")):
        settings = {"secrets_log_file": path} if how == "setting" else {}
        if how == "environment":
            monkeypatch.setenv("SSLKEYLOGFILE", str(path))
        with pytest.raises(ConfigurationError, match=f"the key log file .* can't be written: {words}"):
            async with connect("127.0.0.1", 1, configuration=client_configuration(endpoints.certificates, **settings)):
                pytest.fail("connected")
        with pytest.raises(ConfigurationError, match=f"the key log file .* can't be written: {words}"):
            await serve("127.0.0.1", 0, configuration=server_configuration(endpoints.certificates, **settings))


async def test_qlog(endpoints: Endpoints, tmp_path: Path):
    """``qlog_dir`` gets one qlog file of each connection, from either side."""
    ours, theirs = tmp_path / "client", tmp_path / "server"
    ours.mkdir()
    theirs.mkdir()
    async with endpoints.server(Echo, qlog_dir=theirs) as server:
        for _ in range(2):
            async with endpoints.connect(server, qlog_dir=ours) as client:
                client.quic.send_stream_data(0, b"x" * 5000, end_stream=True)
                await client.wait_end(0)
    await close_idle_engines()  # a file is complete when its connection has drained, or with its engine
    for folder in (ours, theirs):
        files = sorted(folder.glob("*.qlog"))
        assert len(files) == 2
        for file in files:
            trace = json.loads(file.read_text())
            assert trace["qlog_version"]
            assert "stream" in file.read_text()


async def test_errors_leave_a_configuration_usable(endpoints: Endpoints, certificates: Certificates):
    """After a refusal the same configuration connects once it is put right."""
    configuration = client_configuration(certificates, cafile=certificates.other.cert)
    async with endpoints.server(Echo) as server:
        with pytest.raises(ConnectionError):
            async with connect("127.0.0.1", server.port, configuration=configuration):
                pytest.fail("connected")
        configuration.cafile = certificates.good.cert
        async with connect("127.0.0.1", server.port, configuration=configuration) as client:
            assert client._quic.alpn == ALPN
        configuration.verify_mode = ssl.CERT_REQUIRED
        async with connect("127.0.0.1", server.port, configuration=configuration):
            pass
