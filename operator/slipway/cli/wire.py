"""What ``--json`` prints: the objects with names in camelCase, every key always there."""

import json
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any


def wire(value: object) -> Any:
    """Return the JSON form of an object of this program."""
    if is_dataclass(value):
        return {camel(item.name): wire(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [wire(item) for item in value]
    return value


def camel(name: str) -> str:
    """Return the name on the wire."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.title() for word in rest)


def dump(value: object, *, indent: int | None = 2) -> str:
    """Return JSON text; without indent it is one line."""
    return json.dumps(wire(value), indent=indent, ensure_ascii=False)
