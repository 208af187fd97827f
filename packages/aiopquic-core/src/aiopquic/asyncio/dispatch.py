"""Raw QUIC and WebTransport on one port: ``serve_dispatch``, from the package ``aiopquic-webtransport``.

``aiopquic.serve(..., protocols=[aiopquic_webtransport.WebTransport(app)])`` is what new programs use.
"""

from __future__ import annotations

from typing import Any

from aiopquic.asyncio import webtransport as _webtransport

_NAMES = ("DualStackServer", "serve_dispatch")


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'aiopquic.asyncio.dispatch' has no attribute {name!r}")
    return getattr(_webtransport, name)
