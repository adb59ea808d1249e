"""Options that tell which of them are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

# What hands on all options at once; pydantic's own ways of dumping, comparing and iterating go through ``__dict__``.
WHOLE = frozenset({"__dict__", "model_dump", "model_dump_json"})


def noted(options: Any, note: Callable[[str], None], replaced: frozenset[str] = frozenset()) -> Any:
    """``options`` as they are, except that ``note`` is told the name of each that is read, and may raise.

    Dumping, comparing or pickling them reads them all; what ``model_copy`` replaced is no longer an option.

    Args:
        options: of any subclass of MethodOptions; the result is an instance of that class too.
        replaced: names that are not noted.
    """
    kind = type(options)
    names = frozenset(kind.model_fields) - replaced
    view = type(kind.__name__, (_Noted, kind), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    values = {name: getattr(options, name) for name in kind.model_fields}
    made = view.model_construct(set(options.model_fields_set), **values)  # type: ignore[attr-defined]
    _BEHIND[view] = _Behind(options, names, replaced, note)
    return made


@dataclass(frozen=True)
class _Behind:
    """What is behind a noted view of options."""

    options: Any
    names: frozenset[str]  # those that are noted
    replaced: frozenset[str]
    note: Callable[[str], None]

    def note_all(self) -> None:
        for name in sorted(self.names):
            self.note(name)


@contextmanager
def for_part(part: str) -> Iterator[None]:
    """Inside, options are read for a part of the recipe, by name, and for nothing else."""
    token = _PART.set(part)
    try:
        yield
    finally:
        _PART.reset(token)


def part_read_for() -> str:
    """The part of a recipe that an option is being read for; empty: something else."""
    return _PART.get()


_PART: ContextVar[str] = ContextVar("part of a recipe", default="")
_BEHIND: WeakKeyDictionary[type, _Behind] = WeakKeyDictionary()  # each view has a class of its own


class _Noted:
    """What a view of options does otherwise than they."""

    def __getattribute__(self, name: str) -> Any:
        behind = _BEHIND.get(type(self))
        if behind is not None and name in behind.names:
            behind.note(name)
        elif behind is not None and name in WHOLE:
            behind.note_all()
        return super().__getattribute__(name)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Any:
        behind = _BEHIND[type(self)]
        changed = behind.options.model_copy(update=update, deep=deep)
        return noted(changed, behind.note, behind.replaced | frozenset(update or ()))

    def __eq__(self, other: object) -> bool:
        behind = _BEHIND[type(self)]
        behind.note_all()
        return bool(behind.options == (_BEHIND[type(other)].options if type(other) in _BEHIND else other))

    def __hash__(self) -> int:
        behind = _BEHIND[type(self)]
        behind.note_all()
        return hash(behind.options)

    def __copy__(self) -> Any:
        return self  # they are frozen

    def __deepcopy__(self, memo: Any = None) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        behind = _BEHIND[type(self)]
        behind.note_all()
        return copy, (behind.options,)  # comes back as plain options

    def __repr_args__(self) -> Any:
        return _BEHIND[type(self)].options.__repr_args__()  # to show them is not to use them
