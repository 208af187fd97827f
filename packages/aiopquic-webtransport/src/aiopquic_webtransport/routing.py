"""Which application has which path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aiopquic.exceptions import ConfigurationError

if TYPE_CHECKING:
    from aiopquic_webtransport.request import Request

__all__ = ["App", "Router"]

#: A coroutine function that is called with each request, in a task of its own.
App = Callable[["Request"], Awaitable[object]]

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}")


class Router:
    """Applications by path: ``Router({"/chat": chat, "/rooms/{name}": room, "/files/{rest:path}": files})``.

    ``{name}`` stands for one part of a path, ``{name:path}`` for any number of them; what is there comes as
    ``request.path_params["name"]``, percent-decoded. A path that is spelled out goes before patterns, and those are
    tried in the order in which they were given.
    """

    def __init__(self, routes: Mapping[str, App]) -> None:
        self._exact: dict[str, App] = {}
        self._patterns: list[tuple[re.Pattern[str], App]] = []
        for path, app in routes.items():
            self.add(path, app)

    def add(self, path: str, app: App) -> None:
        """One more path.

        Raises:
            ConfigurationError: it is no path or no pattern, or is there already; or ``app`` can't be called.
        """
        if not isinstance(path, str) or not path.startswith("/") or "?" in path or "#" in path:
            raise ConfigurationError(f'a route is a path that begins with a slash, such as "/chat", not {path!r}')
        if not callable(app):
            raise ConfigurationError(f"the route {path} leads to {app!r}, which is no coroutine function")
        if "{" not in path and "}" not in path:
            if path in self._exact:
                raise ConfigurationError(f"the route {path} is there already")
            self._exact[path] = app
            return
        self._patterns.append((_pattern(path), app))

    def find(self, path: str) -> tuple[App, dict[str, str]] | None:
        """The application of a path, and what its pattern has found; None when there is none."""
        app = self._exact.get(path)
        if app is not None:
            return app, {}
        for pattern, candidate in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                return candidate, {name: unquote(value) for name, value in found.groupdict().items()}
        return None


def _pattern(path: str) -> re.Pattern[str]:
    names = [name for name, _ in _PLACE.findall(path)]
    if len(set(names)) != len(names):
        raise ConfigurationError(f"the route {path} has a name twice")
    text = ""
    position = 0
    for place in _PLACE.finditer(path):
        text += re.escape(path[position : place.start()])
        text += f"(?P<{place[1]}>{'.*' if place[2] else '[^/]+'})"
        position = place.end()
    rest = path[position:]
    if any(brace in _PLACE.sub("", path) for brace in "{}"):
        raise ConfigurationError(f"the route {path} has a brace too many: a place is {{name}} or {{name:path}}")
    return re.compile(text + re.escape(rest), re.DOTALL)
