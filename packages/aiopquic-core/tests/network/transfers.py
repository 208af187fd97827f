"""What the tests move, and how they compare it."""

from __future__ import annotations

import asyncio
from typing import Any

from ..peers.exchange import digest
from .hosts import Remote

#: Seconds that a case may take.
LIMIT = 20


async def transfer(client: Remote, there: int = 0, back: int = 0) -> float:
    """Bytes to the server and back, compared by SHA-256; how many seconds it took."""
    result: dict[str, Any] = await client.call("transfer", there=there, back=back)
    assert result["length"] == back
    assert result["there"] == digest("client", there)
    assert result["back"] == digest("server", back)
    return float(result["seconds"])


def begin(client: Remote, there: int = 0, back: int = 0) -> asyncio.Task[float]:
    return asyncio.create_task(transfer(client, there, back))
