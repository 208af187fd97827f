"""Methods that ``dataclass`` would write and compile for each class, at every import: here once for all of them."""

from __future__ import annotations

from dataclasses import Field
from typing import Any, ClassVar

__all__ = ["Record"]


class Record:
    """A base for dataclasses made with ``repr=False, eq=False`` that print, and compare, as other dataclasses do.

    With ``init=False`` and an ``__init__`` in the source, which is compiled once, it costs nothing to compile.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # as dataclass sets it

    def __repr__(self) -> str:
        shown = [name for name, field in self.__dataclass_fields__.items() if field.repr]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({values})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def _assign(self, **values: object) -> None:
        """For the ``__init__`` of those that are frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self.__dataclass_fields__])
