"""What a model wants to be sent, from its own metadata."""

from collections.abc import Mapping
from typing import Any

from tests.load.binary_sender import render_head
from tests.load.plan import Tensor

ONE = 1
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code} {error.read().decode()}")
except OSError as error:
    sys.exit(str(error))
"""
"""Prints what an address answers, from inside a pod."""


class UnknownInputs(Exception):
    """No request can be made for this model; says why."""


def tensors_of(metadata: Mapping[str, Any]) -> list[Tensor]:
    """Return the inputs in `GET /v2/models/NAME`; dimensions that vary are 1.

    Raises:
        UnknownInputs: it has none, or one of a datatype that is not known here.

    """
    inputs = metadata.get("inputs") or []
    if not inputs:
        raise UnknownInputs(f"model {metadata.get('name')} names no inputs: no request can be made")
    tensors = [
        Tensor(entry["name"], entry["datatype"], [size_of(size) for size in entry["shape"]])
        for entry in inputs
    ]

    try:
        render_head(tensors)
    except ValueError as error:
        raise UnknownInputs(f"no request can be made: {error}") from error
    return tensors


def size_of(dimension: int) -> int:
    """Return how long a dimension is made."""
    return dimension if dimension > 0 else ONE


def describe(tensors: list[Tensor]) -> str:
    """Return the inputs as people read them."""
    return ", ".join(
        f"{tensor.name} {tensor.datatype} [{', '.join(map(str, tensor.shape))}]"
        for tensor in tensors
    )
