"""The page docs/api.md: every field of both kinds, in one table for each part of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from slipway.api.crd import CRD_SOURCES, CrdSource, object_schema
from slipway.api.structural_schema import Schema

INTRODUCTION = """# API reference

Generated from the types by `make generate`; do not edit.

This is `slipway.dev/v1beta1`. The older `slipway.dev/v1alpha1` is equal to it, and
[deprecated](operations.md#upgrade).

The API server refuses unknown fields and values outside the ranges given here. The patterns of
strings are in the [CRDs](../crds)."""

ROWS_IN_ONE_TABLE = 16
"""A part with more fields gets a table for each of its objects."""
OWN_TABLES = frozenset({"spec.rollout.analysis", "status.rollout.analysis"})
"""Objects further down that get a table of their own."""
NOT_SPREAD_OUT = frozenset(
    {"spec.server.pod.affinity", "spec.server.pod.topologySpreadConstraints"}
)
"""Types of Kubernetes, which its own reference explains."""
HEAD = "| field | type | meaning |\n|---|---|---|\n"


def render_api_page() -> str:
    """Return docs/api.md."""
    blocks = [INTRODUCTION]
    for source in CRD_SOURCES:
        blocks += _render_kind(source)
    return "\n\n".join(blocks) + "\n"


def _render_kind(source: CrdSource) -> Iterator[str]:
    schema = object_schema(source)
    yield f"## {source.kind}"
    yield schema["description"]
    if source.rules:
        yield _render_rules([rule["message"] for rule in source.rules])

    for name in ("spec", "status"):
        part = schema["properties"][name]
        yield f"### {source.kind} {name}"
        yield part["description"]
        yield from _Part(name, part).render()


@dataclass(slots=True)
class _Part:
    """The spec or the status of a kind."""

    name: str
    schema: Schema
    tables: dict[str, Schema] = field(default_factory=dict)
    """Objects that have a table of their own, by path."""

    def render(self) -> Iterator[str]:
        """Yield one table where the part is small, else an overview and a table per object."""
        rows = list(self._field_rows(self.name, self.schema))
        if len(rows) <= ROWS_IN_ONE_TABLE:
            yield HEAD + "\n".join(rows)
            yield from self._rules(self.name, self.schema)
            return

        self.tables = dict(_find_tables(self.name, self.schema))
        yield HEAD + "\n".join(self._overview_rows())
        for path, schema in self.tables.items():
            yield f"#### {path}{_list_mark(schema)}"
            yield from self._object(path, schema)

    def _object(self, path: str, schema: Schema) -> Iterator[str]:
        """Yield what an object is, and its table, unless another has the same fields."""
        inner = _inner(schema)
        description = schema.get("description") or inner["description"]
        for other, earlier in self.tables.items():
            if other == path:
                break
            if _inner(earlier)["properties"] == inner["properties"]:
                yield f"{description} Same fields as {_link(other)}."
                return

        yield description
        yield HEAD + "\n".join(self._field_rows(path, inner))
        yield from self._rules(path, inner)

    def _overview_rows(self) -> Iterator[str]:
        for name, child in self.schema["properties"].items():
            yield self._row(f"{self.name}.{name}", name, child, self.schema)

    def _field_rows(self, path: str, schema: Schema, prefix: str = "") -> Iterator[str]:
        """Yield a row for each field below `path`; names begin there."""
        for name, child in schema.get("properties", {}).items():
            here = f"{path}.{name}"
            yield self._row(here, f"{prefix}{name}", child, schema)
            if here not in NOT_SPREAD_OUT and here not in self.tables:
                inner = f"{prefix}{name}{_list_mark(child)}."
                yield from self._field_rows(here, _inner(child), inner)

    def _row(self, path: str, name: str, schema: Schema, parent: Schema) -> str:
        label = _link(path, name) if path in self.tables else f"`{name}`"
        meaning = schema.get("description") or _inner(schema).get("description", "")
        if self._is_spec and path.rpartition(".")[2] in parent.get("required", []):
            meaning = f"**Required.** {meaning}"
        text = f"{meaning}{_default_of(schema)}".strip().replace("|", "\\|")
        return f"| {label} | {_type_name(schema, with_limits=self._is_spec)} | {text} |"

    def _rules(self, path: str, schema: Schema) -> Iterator[str]:
        messages = dict.fromkeys(self._rule_messages(path, schema))
        if messages:
            yield _render_rules(list(messages))

    def _rule_messages(self, path: str, schema: Schema) -> Iterator[str]:
        """Yield the rules of an object and of all below it that have no table of their own."""
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        for name, child in schema.get("properties", {}).items():
            here = f"{path}.{name}"
            if here not in self.tables:
                yield from self._rule_messages(here, _inner(child))

    @property
    def _is_spec(self) -> bool:
        """Whether users write it; the limits of what they only read are of no interest."""
        return self.name == "spec"


def _find_tables(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every object that gets a table of its own, with its path."""
    for name, child in schema["properties"].items():
        here, inner = f"{path}.{name}", _inner(child)
        if "properties" not in inner:
            continue
        if "." not in path or here in OWN_TABLES:
            yield here, child
        yield from _find_tables(here, inner)


def _render_rules(messages: list[str]) -> str:
    items = "\n".join(f"* {message}" for message in messages)
    return "The API server also checks:\n\n" + items.replace("<", "\\<")


def _type_name(schema: Schema, *, with_limits: bool) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format") == "date-time":
        return "time"

    kind = str(schema.get("type", "object"))
    if kind == "array":
        items = _type_name(schema["items"], with_limits=with_limits)
        return f"list of {items}" + (f", at most {schema['maxItems']}" if with_limits else "")
    if "additionalProperties" in schema:
        return f"map to {_type_name(schema['additionalProperties'], with_limits=with_limits)}"
    return f"{kind}{_limits(schema)}" if with_limits else kind


def _limits(schema: Schema) -> str:
    """Return the range of a number, or the longest text."""
    if "maxLength" in schema:
        return f", at most {schema['maxLength']:,} characters"
    if "minimum" not in schema or "maximum" not in schema:
        return ""

    low, high = (_format_number(schema[bound]) for bound in ("minimum", "maximum"))
    if schema.get("exclusiveMinimum"):
        return f", above {low}, at most {high}"
    return f", {low} to {high}"


def _format_number(value: float) -> str:
    return f"{value:,g}".replace("e+", "e") if isinstance(value, float) else f"{value:,}"


def _default_of(schema: Schema) -> str:
    """Return the default as users write it in YAML; the fields of an object have their own."""
    value = schema.get("default")
    if isinstance(value, Mapping) or value in ("", [], None):
        return ""

    if isinstance(value, list):
        required = schema["items"].get("required", [])
        value = [{key: entry[key] for key in required} for entry in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f" Default: `{text}`."


def _inner(schema: Schema) -> Schema:
    """Return the schema of a list's items, or the schema itself."""
    inner: Schema = schema["items"] if schema.get("type") == "array" else schema
    return inner


def _list_mark(schema: Schema) -> str:
    return "[]" if schema.get("type") == "array" else ""


def _link(path: str, label: str = "") -> str:
    return f"[`{label or path}`](#{path.replace('.', '').lower()})"
