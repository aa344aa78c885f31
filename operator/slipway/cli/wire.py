"""One codec for both directions: the API's JSON → dataclasses → the JSON of ``--json``.

A field's name in camelCase is its key, its annotation its type, its default what counts where the
key is missing; `wire_field` says where a field differs. So a new field is added in one place.

Loading is tolerant, because an older or newer operator must not break this program: what is missing
or of another type is left out. It is safe too: a string loses whatever a terminal would obey.
"""

import json
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

from slipway.api.plain_text import printable
from slipway.cli.time_format import parse_time

T = TypeVar("T")
Loader = Callable[[Any], Any]
"""Returns a value of its type, or MISSING where what it is given is of another one."""
ZERO: Mapping[type, object] = {str: "", int: 0}
"""What a field without a default has where its key is missing."""


def wire_field(
    *path: str, json_key: str = "", parse: Callable[[object], object] | None = None
) -> Mapping[str, Any]:
    """Return a field's metadata.

    Args:
        path: the keys that lead to it in the API's object; default: the key of ``--json``.
        json_key: its key in ``--json``; default: its name in camelCase.
        parse: makes the value, where the type alone does not say how.

    """
    return {"path": path, "json_key": json_key, "parse": parse}


def camel_case(name: str) -> str:
    """Return the name as the API writes it."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def json_key(item: Any) -> str:
    """Return the key of a dataclass' field."""
    return item.metadata.get("json_key") or camel_case(item.name)


def dump(value: object) -> Any:
    """Return the JSON form of a dataclass: every key always there."""
    if is_dataclass(value):
        return {json_key(item): dump(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [dump(item) for item in value]
    return value


def dump_text(value: object, *, indent: int | None = 2) -> str:
    """Return the JSON text; without indent it is one line."""
    return json.dumps(dump(value), indent=indent, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class FieldLoader:
    """How one field of a dataclass is read."""

    name: str
    path: tuple[str, ...]
    load: Loader
    zero: object
    """What counts where nothing fits; MISSING: the field's default."""

    def read(self, raw: object) -> object:
        """Return the field's value out of the object that holds it."""
        found = raw
        for key in self.path:
            found = found.get(key, MISSING) if isinstance(found, dict) else MISSING
        value = MISSING if found is MISSING or found is None else self.load(found)
        return self.zero if value is MISSING else value


def load(kind: type[T], raw: object) -> T:
    """Return a dataclass, filled with what fits of a JSON value."""
    loaders = _field_loaders(cast("Hashable", kind))
    values = {loader.name: loader.read(raw) for loader in loaders}
    return kind(**{name: value for name, value in values.items() if value is not MISSING})


@cache
def _field_loaders(kind: Any) -> tuple[FieldLoader, ...]:
    """Return how each field is read; asked once for every dataclass."""
    return tuple(
        FieldLoader(
            name=item.name,
            path=item.metadata.get("path") or (json_key(item),),
            load=item.metadata.get("parse") or _loader_of(item.type),
            zero=_zero_of(item),
        )
        for item in fields(kind)
    )


def _zero_of(item: Any) -> object:
    has_default = item.default is not MISSING or item.default_factory is not MISSING
    return MISSING if has_default else ZERO[item.type]


def _loader_of(kind: Any) -> Loader:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        [kind] = [argument for argument in arguments if argument is not NoneType]
        return _loader_of(kind)
    if origin is tuple:
        return partial(_load_items, _loader_of(arguments[0]))
    if origin is dict:
        return _load_texts
    if is_dataclass(kind):
        return partial(_load_object, kind)
    return SCALARS[kind]


def _load_text(raw: object) -> object:
    return printable(str(raw)) if isinstance(raw, str | int | float) else MISSING


def _load_whole(raw: object) -> object:
    return int(raw) if isinstance(raw, int | float) and _is_finite(raw) else MISSING


def _load_number(raw: object) -> object:
    return float(raw) if isinstance(raw, int | float) and _is_finite(raw) else MISSING


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float can hold
        return False


def _load_flag(raw: object) -> object:
    return raw if isinstance(raw, bool) else MISSING


def _load_time(raw: object) -> object:
    found = parse_time(raw) if isinstance(raw, str) else None
    return MISSING if found is None else found


def _load_object(kind: Any, raw: object) -> object:
    return load(kind, raw) if isinstance(raw, dict) and raw else MISSING


def _load_items(load_item: Loader, raw: object) -> object:
    if not isinstance(raw, list):
        return MISSING
    found = (load_item(item) for item in raw)
    return tuple(item for item in found if item is not MISSING)


def _load_texts(raw: object) -> object:
    if not isinstance(raw, dict):
        return MISSING
    return {printable(key): printable(text) for key, text in raw.items() if isinstance(text, str)}


SCALARS: Mapping[type, Loader] = {
    str: _load_text,
    int: _load_whole,
    float: _load_number,
    bool: _load_flag,
    datetime: _load_time,
}
