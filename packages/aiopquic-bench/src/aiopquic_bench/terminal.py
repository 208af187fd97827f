"""Where tables go."""

from __future__ import annotations

from rich.console import Console

__all__ = ["table_console"]

#: Columns of a table that goes to a file or a pipe, where nothing tells how many fit.
WIDTH = 150


def table_console() -> Console:
    """The terminal as wide as it is, anything else wide enough."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
