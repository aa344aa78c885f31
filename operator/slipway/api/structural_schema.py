"""Rewrites pydantic's JSON Schema into a structural schema, which a CRD requires.

A structural schema is stricter: no ``$ref``, no ``title``, no ``anyOf`` with null, and one ``type``
on every node.
"""

from typing import Any, cast

Schema = dict[str, Any]


def structural_schema(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return `node` as a structural schema; `definitions` are those of the JSON Schema."""
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}

    if "allOf" in node and len(node["allOf"]) == 1:
        inner = node["allOf"][0]
        node = {**inner, **{key: value for key, value in node.items() if key != "allOf"}}
        return structural_schema(node, definitions)

    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        [only] = [option for option in node["anyOf"] if option.get("type") != "null"]
        rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        if node.get("default") is not None:
            rest["default"] = node["default"]
        return structural_schema({**only, **rest}, definitions)

    node = _with_openapi_bounds(node)
    return {
        key: _structural_child(key, value, definitions)
        for key, value in node.items()
        if not _is_dropped(key, value)
    }


def _with_openapi_bounds(node: Schema) -> Schema:
    """Write exclusive bounds as OpenAPI 3.0 does: a number, and a flag beside it."""
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if flag in node and not isinstance(node[flag], bool):
            node = {**node, bound: node[flag], flag: True}
    return node


def _is_dropped(key: str, value: object) -> bool:
    return (
        key in {"title", "$defs"}
        or (key == "additionalProperties" and isinstance(value, bool))
        or (key == "default" and value is None)
    )


def _structural_child(key: str, value: object, definitions: dict[str, Schema]) -> object:
    if key == "properties":
        properties = cast("dict[str, Schema]", value)
        return {name: structural_schema(child, definitions) for name, child in properties.items()}
    if key in {"items", "additionalProperties"}:
        return structural_schema(cast("Schema", value), definitions)
    if key == "description":
        return " ".join(str(value).split())
    if key == "default":
        return _drop_nulls(value)
    return value


def _drop_nulls(value: object) -> object:
    """Drop absent fields from a default: the API server accepts no null for an object."""
    if isinstance(value, dict):
        return {name: _drop_nulls(child) for name, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_drop_nulls(child) for child in value]
    return value
