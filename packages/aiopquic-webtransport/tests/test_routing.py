"""Which application has a path, which pages may ask, which headers can be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic.exceptions import ConfigurationError
from aiopquic_webtransport import Headers, Request, Router
from aiopquic_webtransport.headers import checked
from aiopquic_webtransport.origins import origin_check
from aiopquic_webtransport.server import WebTransport


async def one(request: Request) -> None: ...


async def two(request: Request) -> None: ...


def test_paths_and_patterns():
    router = Router({"/a": one, "/rooms/{name}": two, "/files/{rest:path}": one, "/rooms/main": one, "/{x}/{y}": two})
    assert router.find("/a") == (one, {})
    assert router.find("/rooms/main") == (one, {})
    assert router.find("/rooms/caf%C3%A9") == (two, {"name": "café"})
    assert router.find("/files/") == (one, {"rest": ""})
    assert router.find("/files/a/b") == (one, {"rest": "a/b"})
    assert router.find("/x/y") == (two, {"x": "x", "y": "y"})
    for path in ("/", "/b", "/a/", "/rooms/", "/rooms/a/b", "/A"):
        assert router.find(path) is None, path


def test_patterns_are_no_expressions():
    router = Router({"/a.b/{x}": one})
    assert router.find("/a.b/1") is not None
    assert router.find("/aXb/1") is None


@given(st.text(st.characters(exclude_characters="{}?#"), max_size=20).map(lambda text: "/" + text))
def test_a_path_without_patterns_is_found_and_no_other(path: str):
    router = Router({path: one})
    assert router.find(path) == (one, {})
    assert router.find(path + "x") is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("chat", "begins with a slash"),
        ("/a?b", "begins with a slash"),
        ("/{a}/{a}", "has a name twice"),
        ("/{", "a brace too many"),
        ("/a}", "a brace too many"),
        ("/{1}", "a brace too many"),
        ("/{a:int}", "a brace too many"),
    ],
)
def test_what_is_no_route(path: str, why: str):
    with pytest.raises(ConfigurationError, match=why):
        Router({path: one})


def test_a_route_leads_somewhere_once():
    router = Router({"/a": one})
    with pytest.raises(ConfigurationError, match="is there already"):
        router.add("/a", two)
    with pytest.raises(ConfigurationError, match="no coroutine function"):
        router.add("/b", None)  # type: ignore[arg-type]


def test_a_server_has_an_application_or_routes():
    for arguments in ({}, {"app": one, "routes": {"/": one}}):
        with pytest.raises(ConfigurationError, match="either an application or routes"):
            WebTransport(**arguments)
    with pytest.raises(ConfigurationError, match="coroutine function that takes a request"):
        WebTransport("app")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="protocols is a list"):
        WebTransport(one, protocols="moqt-18")
    with pytest.raises(ValueError, match="printable ASCII"):
        WebTransport(one, protocols=["é"])


def test_the_same_origin():
    is_allowed = origin_check(None)
    assert is_allowed("https://example.org", "example.org")
    assert is_allowed("https://example.org", "example.org:443")
    assert is_allowed("https://example.org:4433", "EXAMPLE.org:4433")
    assert is_allowed("https://[::1]:4433", "[::1]:4433")
    for origin in (
        "https://example.org",
        "http://example.org:4433",
        "https://example.org.evil:4433",
        "https://evil@example.org:4433",
        "null",
        "",
        "https://[",
        "https://example.org:99999",
    ):
        assert not is_allowed(origin, "example.org:4433"), origin


def test_origins_that_are_allowed():
    is_allowed = origin_check(["https://example.org", "http://localhost:8000"])
    assert is_allowed("https://example.org", "other")
    assert is_allowed("http://localhost:8000", "other")
    assert not is_allowed("http://localhost", "localhost")
    assert not is_allowed("null", "other")
    assert origin_check("*")("null", "other")


@pytest.mark.parametrize("rule", ["https://example.org", ["example.org"], ["https://example.org/path"], [None]])
def test_what_is_no_origin(rule: str):
    with pytest.raises(ConfigurationError, match=r"origins is|an origin is"):
        origin_check(rule)


def test_headers_by_name():
    headers = Headers([(b":path", b"/"), (b"a", b" 1 "), (b"B", b"2"), (b"a", b"3")])
    assert dict(headers) == {"a": "1, 3", "b": "2"}
    assert headers["A"] == "1, 3"
    assert headers.get_all("a") == ["1", "3"]
    assert "b" in headers
    assert ":path" not in headers
    assert headers.get("c") is None
    assert headers.get_all("c") == []


def test_headers_that_are_sent():
    assert checked(None) == []
    assert checked({"X-A": " b "}) == [(b"x-a", b"b")]
    assert checked([("a", "1"), ("a", "2")]) == [(b"a", b"1"), (b"a", b"2")]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"": "x"}, "is no name of a header"),
        ({":path": "x"}, "is no name of a header"),
        ({"a b": "x"}, "is no name of a header"),
        ({"a\n": "x"}, "is no name of a header"),
        ({1: "x"}, "is no name of a header"),
        ({"Connection": "close"}, "HTTP/3 has none"),
        ({"wt-protocol": '"x"'}, "use protocol="),
        ({"a": "x\r\ny: z"}, "has a control character"),
        ({"a": "x\0"}, "has a control character"),
        ({"a": "\N{SNOWMAN}"}, "Latin-1"),
        ({"a": 1}, "Latin-1"),
        ({"a": "x" * 8193}, "8192 are the most"),
    ],
)
def test_headers_that_can_not_be_sent(headers: dict[str, str], why: str):
    with pytest.raises(ValueError, match=why):
        checked(headers)
