"""A quantity of a resource, as in a pod."""

from typing import Annotated

from pydantic import WithJsonSchema

Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maximum": 1_000_000_000_000_000,
            "maxLength": 32,
            "pattern": r"^[0-9]{1,18}(\.[0-9]{1,9})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$",
        }
    ),
]
