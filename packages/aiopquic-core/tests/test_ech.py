"""Encrypted Client Hello (RFC 9849): who sees the name that a client asks for."""

from __future__ import annotations

import base64
from typing import Any

import pytest

import aiopquic
from aiopquic.exceptions import CertificateVerifyError, ConfigurationError
from aiopquic.quic.ech import read_ech_config
from aiopquic.quic.events import HandshakeCompleted
from aiopquic.testing import DevCertificate, dev_authority

from .support import Echo, Endpoints

PUBLIC, SECRET = "public.example", "secret.example"
ALPN = ["ech"]


@pytest.fixture(scope="module")
def authority() -> Any:
    return dev_authority()


@pytest.fixture(scope="module")
def certificate(authority: Any) -> DevCertificate:
    """Good for both names, the one that everybody sees and the other."""
    return authority.issue([PUBLIC, SECRET])


@pytest.fixture(scope="module")
def key() -> aiopquic.EchKey:
    return aiopquic.EchKey.generate(PUBLIC, config_id=7)


class Party:
    """Servers and clients of the names above; ``seen`` are the names that the wire showed."""

    def __init__(self, certificate: DevCertificate, authority: Any) -> None:
        self._own = {"certificate": certificate.certificate_pem, "private_key": certificate.private_key_pem}
        self._trust = {"cadata": authority.certificate_pem}
        self.seen: list[str | None] = []
        self.asked: list[str | None] = []

    def serve(self, **settings: Any) -> Any:
        def decide(incoming: aiopquic.Incoming) -> aiopquic.Decision:
            self.seen.append(incoming.server_name)
            is_proven = incoming.is_address_validated
            return aiopquic.Decision.ACCEPT if is_proven else aiopquic.Decision.RETRY

        async def handle(connection: aiopquic.Connection) -> None:
            self.asked.append(connection.server_name)
            await connection.wait_closed()

        return aiopquic.serve(handle, "127.0.0.1", 0, alpn=ALPN, incoming=decide, **self._own, **settings)

    def connect(self, server: aiopquic.Server, **settings: Any) -> Any:
        settings = {"server_name": SECRET, **self._trust, **settings}
        return aiopquic.connect("127.0.0.1", server.port, alpn=ALPN, shared=False, **settings)


@pytest.fixture
def party(certificate: DevCertificate, authority: Any) -> Party:
    return Party(certificate, authority)


@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "base64"])
async def test_only_the_server_sees_the_name(party: Party, key: aiopquic.EchKey, as_text: bool):
    """Neither the first ClientHello shows it nor the one behind a Retry; the connection is as any other."""
    config = base64.b64encode(key.config).decode() if as_text else key.config
    async with party.serve(ech_keys=[key]) as server, party.connect(server, ech_config=config) as client:
        assert client.ech_accepted
        assert client.server_name == SECRET
        await client.ping()
        assert party.seen == [PUBLIC, PUBLIC]
        assert party.asked == [SECRET]


async def test_without_it_everybody_sees_the_name(party: Party, key: aiopquic.EchKey):
    async with party.serve(ech_keys=[key]) as server, party.connect(server) as client:
        assert not client.ech_accepted
        assert party.seen == [SECRET, SECRET]


async def test_with_events(endpoints: Endpoints, key: aiopquic.EchKey):
    """The API with protocols tells of it on both sides."""
    async with (
        endpoints.server(Echo, ech_keys=[key]) as server,
        endpoints.connect(server, server_name="localhost", ech_config=key.config) as client,
    ):
        assert client.seen(HandshakeCompleted, ech_accepted=True)
        assert (await server.peer()).seen(HandshakeCompleted, ech_accepted=True)


async def test_several_keys(party: Party, key: aiopquic.EchKey):
    """A server goes over to a new key and opens what is sealed for the one before."""
    newer = aiopquic.EchKey.generate(PUBLIC, config_id=8)
    async with party.serve(ech_keys=[newer, key]) as server:
        for one in (key, newer):
            async with party.connect(server, ech_config=one.config) as client:
                assert client.ech_accepted


async def test_rejected_with_another_config(party: Party, key: aiopquic.EchKey):
    """A server with other keys gives those, as who it publicly is; with them the next try succeeds."""
    gone = aiopquic.EchKey.generate(PUBLIC, config_id=8)
    async with party.serve(ech_keys=[key]) as server:
        with pytest.raises(aiopquic.EchRejectedError, match=r"the TLS alert ech_required \(121\)") as caught:
            await party.connect(server, ech_config=gone.config)
        assert caught.value.retry_configs == key.config
        async with party.connect(server, ech_config=caught.value.retry_configs) as client:
            assert client.ech_accepted
        assert SECRET not in party.seen


async def test_same_id_another_key(party: Party, key: aiopquic.EchKey):
    """What can't be opened with the key of that id is not for this server."""
    gone = aiopquic.EchKey.generate(PUBLIC, config_id=7)
    async with party.serve(ech_keys=[key]) as server:
        with pytest.raises(aiopquic.EchRejectedError):
            await party.connect(server, ech_config=gone.config)


async def test_rejected_by_a_server_without(party: Party, key: aiopquic.EchKey):
    async with party.serve() as server:
        with pytest.raises(aiopquic.EchRejectedError) as caught:
            await party.connect(server, ech_config=key.config)
        assert caught.value.retry_configs == b""


async def test_rejected_by_a_stranger(party: Party, key: aiopquic.EchKey):
    """Who has no certificate of the public name can't talk a client into another configuration."""
    gone = aiopquic.EchKey.generate("another.example", config_id=8)
    async with party.serve(ech_keys=[key]) as server:
        with pytest.raises(CertificateVerifyError, match="hostname mismatch"):
            await party.connect(server, ech_config=gone.config)
        assert SECRET not in party.seen


async def test_grease(party: Party, key: aiopquic.EchKey):
    """Looks encrypted, is not, and connects to servers with keys and without."""
    for keys in ([key], None):
        async with party.serve(ech_keys=keys) as server, party.connect(server, ech_grease=True) as client:
            assert not client.ech_accepted
            await client.ping()


async def test_no_session_is_resumed(party: Party, key: aiopquic.EchKey):
    store = aiopquic.SessionStore()
    async with party.serve(ech_keys=[key]) as server:
        for _ in range(2):
            async with party.connect(server, ech_config=key.config, session_store=store) as client:
                await client.ping()
                assert client.ech_accepted
                assert not client.session_resumed


async def test_an_address_is_no_name(party: Party, key: aiopquic.EchKey):
    async with party.serve(ech_keys=[key]) as server:
        with pytest.raises(ConfigurationError, match=r"'127.0.0.1' is an address: set server_name"):
            await party.connect(server, ech_config=key.config, server_name=None)


def test_pem(key: aiopquic.EchKey):
    text = key.to_pem()
    assert b"-----BEGIN ECHCONFIG-----" in text
    assert aiopquic.EchKey.from_pem(b"words around it\n" + text) == key
    assert "private_key" not in repr(key)
    for wrong in (b"", text[:100], text.replace(b"ECHCONFIG", b"X")):
        with pytest.raises(ConfigurationError, match="PRIVATE KEY and an ECHCONFIG"):
            aiopquic.EchKey.from_pem(wrong)


@pytest.mark.parametrize("name", ["", "127.0.0.1", "x" * 300, 5])
def test_public_name(name: Any):
    with pytest.raises(ConfigurationError, match="public_name is the name of a host"):
        aiopquic.EchKey.generate(name)


@pytest.mark.parametrize("wrong", [b"", b"\0\0", b"abc", "no base64!", 5, "AAA="], ids=repr)
def test_unreadable_config(wrong: Any):
    with pytest.raises(ConfigurationError, match="ech_config is an ECHConfigList"):
        aiopquic.QuicConfiguration(ech_config=wrong)


def test_truncated_config(key: aiopquic.EchKey):
    for length in range(len(key.config)):
        with pytest.raises(ConfigurationError):
            read_ech_config(key.config[:length])


def changed(key: aiopquic.EchKey, at: int, value: int) -> bytes:
    return key.config[:at] + bytes([value]) + key.config[at + 1 :]


def test_unusable_config(key: aiopquic.EchKey):
    """A version or a KEM that is not known here: a client that went on would show the name."""
    for unusable in (changed(key, 3, 0x0C), changed(key, 8, 0x77)):
        with pytest.raises(ConfigurationError, match="no configuration that can be used here"):
            read_ech_config(unusable)


def test_settings(key: aiopquic.EchKey):
    def server(keys: Any) -> aiopquic.QuicConfiguration:
        return aiopquic.QuicConfiguration(is_client=False, ech_keys=keys)

    for wrong in ([], key, [key.config], "key", 5):
        with pytest.raises(ConfigurationError, match=r"ech_keys is a list of aiopquic.EchKey"):
            server(wrong)
    with pytest.raises(ConfigurationError, match="different config_ids"):
        server([key, aiopquic.EchKey.generate(PUBLIC, config_id=7)])
    with pytest.raises(ConfigurationError, match="ech_keys are for servers"):
        aiopquic.QuicConfiguration(ech_keys=[key])
    with pytest.raises(ConfigurationError, match="are for clients: a server has ech_keys"):
        aiopquic.QuicConfiguration(is_client=False, ech_grease=True)
    with pytest.raises(ConfigurationError, match="give one of them"):
        aiopquic.QuicConfiguration(ech_config=key.config, ech_grease=True)
    with pytest.raises(ConfigurationError, match="ech_grease is True or False"):
        aiopquic.QuicConfiguration(ech_grease=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("private_key", [b"", b"0123", "other"], ids=["empty", "none", "of another"])
async def test_key_that_does_not_belong(party: Party, key: aiopquic.EchKey, private_key: Any):
    other = aiopquic.EchKey.generate(PUBLIC).private_key if private_key == "other" else private_key
    with pytest.raises(ConfigurationError, match="its private key is not the one that belongs to it"):
        await party.serve(ech_keys=[aiopquic.EchKey(key.config, other)])
