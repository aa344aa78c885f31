"""The base of every wire type, and the building blocks of their schemas."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from slipway import field_docs

ModelT = TypeVar("ModelT", bound=BaseModel)
Manifest = dict[str, Any]
"""A Kubernetes object as JSON. Only render and adapters touch its inside."""


class ApiModel(BaseModel):
    """A value that crosses a process border: camelCase on the wire, snake_case in code, immutable.

    Unknown fields are ignored on read, so that an older process tolerates the fields of a newer
    one; the API server prunes or refuses them on write.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=field_docs.KEPT,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
    )

    def wire(self) -> Manifest:
        """Return the JSON form in camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_FIELD_SETS: dict[tuple[str, ...], set[str]] = {}
_PLAIN = frozenset({str, int, float, bool, type(None)})
"""What most fields hold; whether something is a model is asked ten times as slowly."""


def share_field_sets(model: ModelT) -> ModelT:
    """Return the same model after making it share its sets of given fields with its equals.

    These sets would take half of the memory of a cache of thousands of objects. Sharing is safe:
    the models are frozen, and a changed copy gets a set of its own.
    """
    given = model.__pydantic_fields_set__
    shared = _FIELD_SETS.setdefault(tuple(sorted(given)), given)
    object.__setattr__(model, "__pydantic_fields_set__", shared)

    for value in model.__dict__.values():
        if type(value) in _PLAIN:
            continue
        for item in value if isinstance(value, list | tuple) else (value,):
            if type(item) not in _PLAIN and isinstance(item, BaseModel):
                share_field_sets(item)
    return model


def cel_rule(rule: str, message: str, path: str | None = None) -> dict[str, Any]:
    """Return an ``x-kubernetes-validations`` entry; `path` is the field that the error names."""
    entry = {"rule": rule, "message": message}
    if path is not None:
        entry["fieldPath"] = path
    return entry


def list_map(key: str) -> dict[str, Any]:
    """Return the schema extension of a list whose items are identified by `key`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$", max_length=8)]
"""First 8 hex digits of the revision's identity."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
"""A sha256 digest as registries write it."""

Percent = Annotated[int, Field(ge=0, le=100)]
Text = Annotated[str, Field(max_length=1024)]
Name = Annotated[str, Field(max_length=253)]
Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""A moment in UTC as RFC 3339, with seconds or milliseconds."""
ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
