"""``python -m aiopquic_bench.server``: the server process of a measurement, started and ended by its client."""

from __future__ import annotations

import asyncio

from aiopquic_bench.peers import serve_over_pipes, tell
from aiopquic_bench.problems import problem_of

__all__ = ["main"]


def main() -> None:
    """Serve until the standard input ends."""
    try:
        asyncio.run(serve_over_pipes())
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        tell({"problem": str(problem)})


if __name__ == "__main__":
    main()
