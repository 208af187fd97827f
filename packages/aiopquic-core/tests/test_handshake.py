"""The handshake: who may connect, what is agreed on, what is told."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from aiopquic.asyncio import QuicConnectionProtocol, connect, serve
from aiopquic.exceptions import CertificateVerifyError, CloseKind, HandshakeError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import ConnectionTerminated, HandshakeCompleted, ProtocolNegotiated

from .certificates import LOCAL_NAMES, PASSWORD, Certificates
from .support import Echo, Endpoints, Recorder, RunningServer, client_configuration

#: Seconds in which a refusal has to be known: far from any timeout.
AT_ONCE = 8.0


async def echo(client: Recorder, payload: bytes = b"hello") -> None:
    """The connection carries bytes both ways."""
    stream_id = client.quic.get_next_available_stream_id()
    await client.quic.send_stream_data_drained(stream_id, payload, end_stream=True)
    assert await client.wait_end(stream_id) == payload


# ---- application protocols ----


@pytest.mark.parametrize(
    ("offered", "accepted", "agreed"),
    [
        (["a"], ["a"], "a"),
        (["a", "b"], ["b", "a"], "b"),
        (["x", "y", "b", "a"], ["nobody", "a", "b"], "a"),
        (["z" * 255], ["z" * 255], "z" * 255),
        ([f"p{number}" for number in range(16)], ["p15"], "p15"),
        (["p30"], [f"p{number}" for number in range(31)], "p30"),
    ],
    ids=["one", "server prefers", "partly common", "longest", "most offered", "most accepted"],
)
async def test_alpn(endpoints: Endpoints, offered: list[str], accepted: list[str], agreed: str):
    """The server's order decides among what both sides have, and both are told the same."""
    async with endpoints.pair(
        client_settings={"alpn_protocols": offered}, server_settings={"alpn_protocols": accepted}
    ) as pair:
        for side in (pair.client, pair.peer):
            completed = await side.wait_for(HandshakeCompleted)
            negotiated = await side.wait_for(ProtocolNegotiated)
            assert completed.alpn_protocol == negotiated.alpn_protocol == side.quic.alpn == agreed


async def test_what_the_handshake_tells(endpoints: Endpoints):
    """HandshakeCompleted comes first and once; addresses, ids and parameters match on both sides."""
    async with endpoints.pair(
        client_settings={"max_streams_bidi": 7, "max_data": 1 << 20},
        server_settings={"max_streams_uni": 9, "initial_stream_window": 4096, "idle_timeout": 12.5},
    ) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        await pair.peer.wait_for(ProtocolNegotiated)
        for side in (pair.client, pair.peer):
            assert [type(event) for event in side.events[:2]] == [HandshakeCompleted, ProtocolNegotiated]
            assert side.events[0] == HandshakeCompleted("test", early_data_accepted=False, session_resumed=False)
            assert side.quic.is_connected
            assert not side.quic.closed
        assert client.peer_address() == ("127.0.0.1", pair.server.port)
        local = client.local_address()
        assert local is not None
        assert peer.peer_address() is not None
        assert peer.peer_address()[1] == local[1] > 0
        assert client.connection_ids["remote"] == peer.connection_ids["local"] != b""
        assert client.connection_ids["initial"] == peer.connection_ids["initial"] != b""
        assert client.local_transport_parameters == peer.peer_transport_parameters
        assert peer.local_transport_parameters == client.peer_transport_parameters
        assert peer.peer_transport_parameters["initial_max_streams_bidi"] == 7
        assert peer.peer_transport_parameters["initial_max_data"] == 1 << 20
        assert client.peer_transport_parameters["initial_max_streams_uni"] == 9
        assert client.peer_transport_parameters["initial_max_stream_data_bidi_remote"] == 4096
        assert client.peer_transport_parameters["max_idle_timeout"] == 12500


# ---- addresses and names ----


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("localhost", "localhost"),
        ("127.0.0.1", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::", "::1"),
        ("", "::1"),
    ],
)
async def test_addresses(endpoints: Endpoints, bound: str, asked: str):
    """Both families and names work; the certificate is verified for what was asked."""
    async with endpoints.server(Echo, host=bound) as server, endpoints.connect(server, host=asked) as client:
        await echo(client)
        assert all(port == server.port for _, port in server.server.addresses)


async def test_wildcard_of_one_family(endpoints: Endpoints):
    """``ip_family`` keeps a wildcard server, and a client's name resolution, to that family."""
    async with endpoints.server(Echo, host="", ip_family=socket.AF_INET6) as server:
        assert [host for host, _ in server.server.addresses] == ["::"]
        async with endpoints.connect(server, host="::1") as client:
            await echo(client)


async def test_local_port(endpoints: Endpoints, unused_port: int):
    """``local_port`` is the port that the server sees."""
    async with endpoints.server(Echo) as server:
        configuration = client_configuration(endpoints.certificates)
        async with connect(
            "127.0.0.1",
            server.port,
            configuration=configuration,
            create_protocol=Recorder,
            local_port=unused_port,
        ) as client:
            await echo(client)
            assert (await server.peer()).quic.peer_address() == ("127.0.0.1", unused_port)


async def test_many_clients(endpoints: Endpoints):
    """Connections of one server are told apart, and each gets its own bytes."""
    async with endpoints.server(Echo) as server:

        async def one(number: int) -> None:
            async with endpoints.connect(server) as client:
                await echo(client, bytes([number]) * (10_000 + number))

        await asyncio.gather(*(one(number) for number in range(12)))
        assert len(server.peers) == 12


# ---- waiting ----


async def test_enter_before_the_handshake(endpoints: Endpoints):
    """With ``wait_connected=False`` data may be queued at once; every waiter is told of the end."""
    async with endpoints.server(Echo) as server, endpoints.connect(server, wait_connected=False) as client:
        assert not client.quic.is_connected
        impatient = asyncio.create_task(client.wait_connected())
        patient = [asyncio.create_task(client.wait_connected()) for _ in range(3)]
        await asyncio.sleep(0)
        impatient.cancel()
        await echo(client)
        await asyncio.gather(*patient)
        await client.wait_connected()
        assert impatient.cancelled()


async def test_default_protocol(endpoints: Endpoints):
    """Without ``create_protocol`` a plain QuicConnectionProtocol connects."""
    async with endpoints.server(Echo) as server, endpoints.connect(server, QuicConnectionProtocol) as client:
        await client.wait_connected()
        assert type(client) is QuicConnectionProtocol


# ---- certificates ----


def serve_with(endpoints: Endpoints, name: str):
    certificate = getattr(endpoints.certificates, name)
    return endpoints.server(
        Echo,
        certificate_file=certificate.cert,
        private_key_file=certificate.key,
        private_key_password=certificate.password,
    )


REFUSED = {
    "untrusted": ("other", "good", "127.0.0.1", "self.signed"),
    "expired": ("expired", "expired", "127.0.0.1", "expired"),
    "not yet valid": ("not_yet_valid", "not_yet_valid", "127.0.0.1", "not yet valid"),
    "wrong address": ("other_name", "other_name", "127.0.0.1", "IP address mismatch"),
    "wrong name": ("other_name", "other_name", "localhost", "hostname mismatch"),
    "wrong usage": ("client_only", "client_only", "127.0.0.1", "purpose"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_certificate_is_refused(endpoints: Endpoints, case: str):
    """robustness.md, "A certificate accepted that should not be": an error that says why, at once."""
    used, trusted, host, words = REFUSED[case]
    seen: list[Recorder] = []

    def protocol(*arguments: object, **keywords: object) -> Recorder:
        seen.append(Recorder(*arguments, **keywords))  # type: ignore[arg-type]
        return seen[0]

    async with serve_with(endpoints, used) as server:
        begin = time.monotonic()
        with pytest.raises(CertificateVerifyError, match=f"certificate was refused: .*(?i:{words})") as caught:
            async with endpoints.connect(
                server, protocol, host=host, cafile=getattr(endpoints.certificates, trusted).cert
            ):
                pytest.fail("connected")
        assert time.monotonic() - begin < AT_ONCE
        assert caught.value.close_reason.kind is CloseKind.TRANSPORT
        assert caught.value.close_reason.verify_error
        assert not caught.value.close_reason.is_remote
        assert [type(event) for event in seen[0].events] == [ConnectionTerminated]
        assert server.server.protocols == []


async def test_refusal_does_not_disturb_others(endpoints: Endpoints):
    """A client that refuses the certificate leaves the server as it was for the next one."""
    async with endpoints.server(Echo) as server, endpoints.connect(server) as first:
        with pytest.raises(CertificateVerifyError):
            async with endpoints.connect(server, cafile=endpoints.certificates.other.cert):
                pytest.fail("connected")
        await echo(first)
        async with endpoints.connect(server) as second:
            await echo(second)


@pytest.mark.parametrize("case", REFUSED)
async def test_verification_off(endpoints: Endpoints, case: str):
    """``ssl.CERT_NONE`` accepts any certificate."""
    used, _, host, _ = REFUSED[case]
    async with (
        serve_with(endpoints, used) as server,
        endpoints.connect(server, host=host, cafile=None, verify_mode=ssl.CERT_NONE) as client,
    ):
        await echo(client)


async def test_default_roots_do_not_trust_us(endpoints: Endpoints):
    """Without any trust setting only the public roots count."""
    async with endpoints.server() as server:
        with pytest.raises(CertificateVerifyError):
            async with endpoints.connect(server, cafile=None):
                pytest.fail("connected")


async def test_server_name(endpoints: Endpoints):
    """``server_name`` replaces the host as the name that the certificate must carry."""
    trusted = endpoints.certificates.other_name.cert
    async with serve_with(endpoints, "other_name") as server:
        async with endpoints.connect(server, cafile=trusted, server_name="example.org") as client:
            await echo(client)
        with pytest.raises(CertificateVerifyError, match=r"(?i)hostname mismatch"):
            async with endpoints.connect(server, cafile=trusted, server_name="example.com"):
                pytest.fail("connected")


@pytest.mark.parametrize(
    "given",
    ["capath", "cadata PEM", "cadata with words around", "cadata DER", "cafile and capath", "load_verify_locations"],
)
async def test_trust_settings(endpoints: Endpoints, certificates: Certificates, tmp_path: Path, given: str):
    """Every way to name trusted certificates works, and trusts those only."""
    shutil.copy(certificates.good.cert, tmp_path / "root.pem")
    (tmp_path / "readme.txt").write_text("not a certificate")
    pem = certificates.good.cert.read_text()
    settings = {
        "capath": {"cafile": None, "capath": tmp_path},
        "cadata PEM": {"cafile": None, "cadata": pem},
        "cadata with words around": {"cafile": None, "cadata": f"# Főtanúsítvány\n{pem}# é".encode()},
        "cadata DER": {"cafile": None, "cadata": ssl.PEM_cert_to_DER_cert(pem)},
        "cafile and capath": {"cafile": certificates.other.cert, "capath": tmp_path},
        "load_verify_locations": {},
    }[given]
    async with endpoints.server(Echo) as server, endpoints.connect(server, **settings) as client:
        await echo(client)
    async with serve_with(endpoints, "client_only") as server:
        with pytest.raises(CertificateVerifyError):
            async with endpoints.connect(server, **settings):
                pytest.fail("connected")


async def test_load_methods(endpoints: Endpoints, certificates: Certificates):
    """load_cert_chain() and load_verify_locations() do what the settings do, the key's password included."""
    listening = QuicConfiguration(is_client=False, alpn_protocols=["test"])
    listening.load_cert_chain(certificates.encrypted.cert, certificates.encrypted.key, password=PASSWORD)
    calling = QuicConfiguration(alpn_protocols=["test"])
    calling.load_verify_locations(cafile=str(certificates.encrypted.cert))
    async with await serve("127.0.0.1", 0, configuration=listening, create_protocol=Echo) as server:
        async with connect("127.0.0.1", server.port, configuration=calling, create_protocol=Recorder) as client:
            await echo(client)
        for peer in server.protocols:
            peer.close_tasks()


async def test_one_file_for_certificate_and_key(endpoints: Endpoints, certificates: Certificates, tmp_path: Path):
    """A PEM file with the key before the certificate serves as both."""
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.good.key.read_bytes() + certificates.good.cert.read_bytes())
    async with (
        endpoints.server(Echo, certificate_file=both, private_key_file=both) as server,
        endpoints.connect(server) as client,
    ):
        await echo(client)


def test_names_of_the_certificate(certificates: Certificates):
    """What the other tests rely on: the good certificate is for every local name."""
    certificate = x509.load_pem_x509_certificate(certificates.good.cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == len(LOCAL_NAMES)


# ---- congestion control, cipher suites, key log ----

CONTROLLERS = [None, "newreno", "reno", "cubic", "dcubic", "fast", "bbr", "bbr1", "prague", "c4"]


@pytest.mark.parametrize("name", CONTROLLERS)
async def test_congestion_control(endpoints: Endpoints, name: str | None):
    """Every controller that the configuration names moves data both ways."""
    async with endpoints.pair(server=Echo, congestion_control_algorithm=name) as pair:
        await echo(pair.client, bytes(range(256)) * 2048)


SUITES = [0x1301, 0x1302, 0x1303]


@pytest.mark.parametrize("served", [*SUITES, None])
@pytest.mark.parametrize("asked", SUITES)
async def test_cipher_suite(endpoints: Endpoints, tmp_path: Path, asked: int, served: int | None):
    """``cipher_suite`` allows that one only, on either side."""
    log = tmp_path / "keys.log"
    async with endpoints.server(Echo, cipher_suite=served) as server:
        if served in (asked, None):
            async with endpoints.connect(server, cipher_suite=asked, secrets_log_file=log) as client:
                await echo(client)
            # The secrets are as long as the suite's hash: SHA-384 in one suite, SHA-256 in two.
            lengths = {len(line.split()[2]) for line in log.read_text().splitlines()}
            assert lengths == ({96} if asked == 0x1302 else {64})
        else:
            with pytest.raises(HandshakeError, match="handshake_failure"):
                async with endpoints.connect(server, cipher_suite=asked):
                    pytest.fail("connected")


LABELS = {
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
}


def secrets(log: Path) -> dict[tuple[str, str], str]:
    """Label and client random to secret, for the labels of the handshake and the first application keys."""
    lines = [line.split() for line in log.read_text().splitlines() if line and not line.startswith("#")]
    assert all(len(line) == 3 for line in lines)
    return {(label, random): secret for label, random, secret in lines if label in LABELS}


async def connect_once(endpoints: Endpoints, server: RunningServer, **settings: object) -> None:
    async with endpoints.connect(server, **settings) as client:
        await echo(client)


async def test_key_log(endpoints: Endpoints, tmp_path: Path):
    """robustness.md, "key log missing for one kind of connection": both sides write the same secrets."""
    ours, theirs = tmp_path / "client.log", tmp_path / "server.log"
    async with endpoints.server(Echo, secrets_log_file=theirs) as server:
        await connect_once(endpoints, server, secrets_log_file=ours)
        await connect_once(endpoints, server, secrets_log_file=ours)
    found = secrets(ours)
    assert {label for label, _ in found} == LABELS
    assert len({random for _, random in found}) == 2, "the second connection is added to the first"
    assert secrets(theirs) == found


async def test_key_log_of_the_environment(endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SSLKEYLOGFILE is honoured, and ``secrets_log_file`` goes before it."""
    environment, own = tmp_path / "environment.log", tmp_path / "own.log"
    async with endpoints.server(Echo) as server:
        monkeypatch.setenv("SSLKEYLOGFILE", str(environment))
        await connect_once(endpoints, server)
        assert {label for label, _ in secrets(environment)} == LABELS
        before = environment.read_text()
        await connect_once(endpoints, server, secrets_log_file=own)
        assert {label for label, _ in secrets(own)} == LABELS
        assert environment.read_text() == before
