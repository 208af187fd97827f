"""Where a server is: ``quic://host:port/path``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from aiopquic.cli.errors import UsageProblem
from aiopquic.cli.paths import check_name
from aiopquic.cli.protocol import RequestError

__all__ = ["DEFAULT_PORT", "Location"]

DEFAULT_PORT = 4433


@dataclass(frozen=True, slots=True)
class Location:
    """A server and a name on it."""

    host: str
    port: int
    name: str
    "Without slashes around it; empty for the folder that is served."
    is_folder: bool
    "True when the URL ended in a slash, or was that of the whole folder."

    @classmethod
    def parse(cls, url: str) -> Location:
        """Read a URL.

        Raises:
            UsageProblem: it is not one of ours; says why.
        """
        form = f"a URL looks like quic://host:{DEFAULT_PORT}/path, not {url!r}"
        try:
            split = urlsplit(url)
            host, port = split.hostname, split.port
        except ValueError as error:
            raise UsageProblem(f"{form}: {error}") from None
        if split.scheme != "quic" or not host or port == 0:
            raise UsageProblem(form)
        if split.query or split.fragment or split.username is not None:
            raise UsageProblem(f"{form}: write %3F for a question mark, %23 for a hash")
        name = unquote(split.path, errors="surrogateescape").removeprefix("/")
        try:
            check_name(name.removesuffix("/"))
        except RequestError as error:
            raise UsageProblem(f"the path of {url!r} can't be served: {error}") from None
        return cls(host, port or DEFAULT_PORT, name.removesuffix("/"), name == "" or name.endswith("/"))

    @property
    def basename(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    def child(self, name: str) -> str:
        """The name of something below this one."""
        return "/".join(filter(None, (self.name, name)))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"quic://{host}:{self.port}/{quote(self.name, errors='surrogateescape')}"
