"""Records that are made by the hundred in every look, and copies of them with other values."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: type[Record]) -> type[Record]:
    """Make a dataclass with slots that nobody may change.

    mypy sees to that, and nothing else does: a dataclass that is frozen stores each field through
    `object.__setattr__`, and takes eight times as long to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


def replace(original: Record, /, **changes: object) -> Record:
    """Return a copy with these fields changed: `dataclasses.replace` in a third of its time.

    Every field of the dataclass is one of its constructor's, and there are two at least.

    Raises:
        KeyError: there is no such field.

    """
    kind: Any = type(original)
    read, places = _fields_of(kind)
    values = [*read(original)]
    for name, value in changes.items():
        values[places[name]] = value
    copy: Record = kind(*values)
    return copy


@cache
def _fields_of(kind: Any) -> tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]:
    names = [field.name for field in fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}
