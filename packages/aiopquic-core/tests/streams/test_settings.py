"""Settings of connect() and serve(): the names of QuicConfiguration, checked where they are given."""

from __future__ import annotations

import dataclasses
import ssl
from typing import Any, get_type_hints

import pytest

import aiopquic
from aiopquic.streams import settings as streams_settings

from .support import Ends, echo, idle, soon

Settings = dict[str, Any]


def test_every_field_can_be_set() -> None:
    """The dictionaries' keys are the configuration's fields, with the same types, and none is left out."""
    fields = {field.name for field in dataclasses.fields(aiopquic.QuicConfiguration)}
    client = get_type_hints(streams_settings.ClientSettings)
    server = get_type_hints(streams_settings.ServerSettings)
    by_parameter = {"alpn_protocols", "is_client", "certificate_file", "private_key_file"}
    assert client.keys() | server.keys() | by_parameter == fields
    types = get_type_hints(aiopquic.QuicConfiguration)
    for name, kind in {**client, **server}.items():
        assert kind == types[name], name


async def test_settings_have_effect(ends: Ends) -> None:
    """Those of the call, those of a configuration, and the call's over the configuration's."""
    configuration = aiopquic.QuicConfiguration(
        alpn_protocols=["other", "second"], cafile=ends.certificates.good.cert, max_streams_bidi=7
    )
    accepting = aiopquic.QuicConfiguration(is_client=False, alpn_protocols=["second"])
    accepting.load_cert_chain(ends.certificates.good.cert, ends.certificates.good.key)
    async with aiopquic.serve(idle, "127.0.0.1", 0, configuration=accepting) as server:
        async with aiopquic.connect("127.0.0.1", server.port, configuration=configuration) as conn:
            assert conn.alpn == "second"
        async with aiopquic.connect(
            "127.0.0.1", server.port, alpn=["second"], configuration=configuration, server_name="localhost"
        ) as conn:
            assert conn.server_name == "localhost"
    assert configuration.alpn_protocols == ["other", "second"]
    assert configuration.server_name is None


async def test_certificate_and_key_in_one_file(ends: Ends, tmp_path: Any) -> None:
    good = ends.certificates.good
    both = tmp_path / "both.pem"
    both.write_bytes(good.cert.read_bytes() + good.key.read_bytes())
    serving = aiopquic.serve(echo, "127.0.0.1", 0, alpn=["test"], certificate=both)
    async with serving as server, ends.connect(server) as conn:
        assert await soon(conn.ping()) > 0


async def test_verification_can_be_left_out_in_so_many_words(ends: Ends) -> None:
    async with ends.serve(idle) as server:
        async with aiopquic.connect("127.0.0.1", server.port, alpn=["test"], verify_mode=ssl.CERT_NONE):
            pass
        with pytest.raises(aiopquic.CertificateVerifyError):
            await aiopquic.connect("127.0.0.1", server.port, alpn=["test"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"alpn": None}, r'QUIC needs an application protocol: connect\(..., alpn=\["echo"\]\)'),
        ({"alpn": []}, "needs an application protocol"),
        ({"alpn": "echo"}, r"alpn_protocols is a list of names: use \['echo'\]"),
        ({"idle_timout": 3}, "connect\\(\\) has no setting 'idle_timout': did you mean 'idle_timeout'\\?"),
        ({"zzzzzz": 3}, "see QuicConfiguration"),
        ({"alpn_protocols": ["x"]}, "'alpn_protocols': use alpn instead"),
        ({"is_client": True}, "'is_client': use connect\\(\\) or serve\\(\\) instead"),
        ({"configuration": 5}, "configuration is a QuicConfiguration, not 5"),
        ({"configuration": aiopquic.QuicConfiguration(is_client=False)}, "is_client=True"),
        ({"idle_timeout": -1}, "idle_timeout is 0 to"),
        ({"max_streams_bidi": 1.5}, "max_streams_bidi is 0 to"),
        ({"congestion_control_algorithm": "fastest"}, "unknown congestion control algorithm 'fastest'"),
        ({"host": ""}, "host is a name or an IP literal, not ''"),
        ({"host": None}, "not None"),
        ({"port": 0}, "a UDP port is 1 to 65535, not 0"),
        ({"port": "4433"}, "not '4433'"),
        ({"port": 65536}, "not 65536"),
    ],
)
def test_bad_settings_of_connect(settings: Settings, text: str) -> None:
    """Raised by the call itself, before it is awaited."""
    settings = {"host": "localhost", "port": 4433, "alpn": ["test"], **settings}
    with pytest.raises(aiopquic.ConfigurationError, match=text):
        aiopquic.connect(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"handler": None}, "handler is a coroutine function that takes a connection, not None"),
        ({"alpn": None}, r'serve\(..., alpn=\["echo"\]\)'),
        ({"max_connection": 3}, "did you mean 'max_connections'\\?"),
        ({"max_connections": 0}, "max_connections is 1 to"),
        ({"configuration": aiopquic.QuicConfiguration()}, "is_client=False"),
        ({"certificate": None}, "a private key is of no use without its certificate"),
        ({"certificate": 5}, "certificate_file is a path"),
        ({"incoming": 5}, "incoming is a function that takes an Incoming and returns a Decision, not 5"),
        ({"host": 5}, "host is a name, an IP literal or None, not 5"),
        ({"port": -1}, "a UDP port is 0 to 65535, not -1"),
    ],
)
def test_bad_settings_of_serve(settings: Settings, text: str) -> None:
    settings = {
        "handler": idle,
        "host": "localhost",
        "port": 0,
        "alpn": ["test"],
        "certificate": "c.pem",
        "private_key": "k.pem",
        **settings,
    }
    with pytest.raises(aiopquic.ConfigurationError, match=text):
        aiopquic.serve(**settings)


async def test_files_that_can_not_be_used(ends: Ends, tmp_path: Any) -> None:
    """Found when the server starts, before a port is bound."""
    for certificate, text in ((tmp_path / "none.pem", "can't be read"), (None, "needs a certificate")):
        key = ends.certificates.good.key if certificate is not None else None
        with pytest.raises(aiopquic.CertificateFileError, match=text):
            await aiopquic.serve(idle, "127.0.0.1", 0, alpn=["test"], certificate=certificate, private_key=key)


def test_names_of_the_package() -> None:
    """Each name is there, once, and no other."""
    assert len(aiopquic.__all__) == len(set(aiopquic.__all__))
    for name in aiopquic.__all__:
        assert getattr(aiopquic, name) is not None
    assert set(aiopquic.__all__) <= set(dir(aiopquic))
    with pytest.raises(AttributeError, match="module 'aiopquic' has no attribute 'conect'"):
        _ = aiopquic.conect  # type: ignore[attr-defined]
