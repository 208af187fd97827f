"""Hosts of a simulated network."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Self

from aiopquic._simulation import SimulatedPlace, current_place

__all__ = ["Host"]


class Host:
    """One host: what runs inside ``with host:`` binds its sockets there. Made by ``SimulatedNetwork.host``.

    Tasks that are started inside stay on it, as context variables do.
    """

    def __init__(self, name: str, place: SimulatedPlace) -> None:
        self.name = name
        self._place = place
        self._tokens: list[Token[SimulatedPlace | None]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its IP addresses, an IPv4 one first."""
        return self._place.addresses

    @property
    def address(self) -> str:
        """The first of them."""
        return self._place.addresses[0]

    def __enter__(self) -> Self:
        self._tokens.append(current_place.set(self._place))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current_place.reset(self._tokens.pop())

    def __repr__(self) -> str:
        return f"<Host {self.name} {' '.join(self.addresses)}>"
