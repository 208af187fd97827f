"""The APIs of aiopquic, in one shape for the measurements: that of ``aiopquic.connect`` and ``aiopquic.serve``."""

from __future__ import annotations

from aiopquic_bench.apis import events, low, streams, webtransport
from aiopquic_bench.apis.shape import Api
from aiopquic_bench.problems import UsageProblem

__all__ = ["APIS", "Api", "api_named"]

APIS: dict[str, Api] = {
    "streams": Api(
        connect=streams.connect, serve=streams.serve, has_datagrams=True, connect_early=streams.connect_early
    ),
    "webtransport": Api(connect=webtransport.connect, serve=webtransport.serve, has_datagrams=True),
    "low": Api(connect=low.connect, serve=low.serve, has_datagrams=False, has_workers=False, finish=low.finish),
    "asyncio": Api(connect=events.connect, serve=events.serve, has_datagrams=False, connect_early=events.connect_early),
}


def api_named(name: str) -> Api:
    """The API with that name.

    Raises:
        UsageProblem: it can't be measured.
    """
    if name not in APIS:
        raise UsageProblem(f"the API {name!r} can't be measured here: use {', '.join(APIS)}")
    return APIS[name]
