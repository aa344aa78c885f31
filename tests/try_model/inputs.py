"""What a model wants to be sent, from its own metadata."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.load.binary_sender import NUMBERS, SEED, draw, render_head
from tests.load.plan import Tensor

ONE = 1
ONLY_BINARY = frozenset({"FP16", "BF16"})
"""Datatypes that Triton does not take as JSON."""
MOST_READABLE = 10_000
"""Numbers of a request that people look at."""
DIGITS = 3
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


def render_request(tensors: Sequence[Tensor]) -> str:
    """Return a request as people send it with curl; empty where JSON cannot hold it."""
    numbers = sum(math.prod(tensor.shape) for tensor in tensors)
    if numbers > MOST_READABLE or ONLY_BINARY & {tensor.datatype for tensor in tensors}:
        return ""
    random = np.random.default_rng(SEED)
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "data": _values(tensor, random),
        }
        for tensor in tensors
    ]
    return json.dumps({"inputs": inputs}) + "\n"


def _values(tensor: Tensor, random: np.random.Generator) -> list[Any]:
    if tensor.datatype == "BYTES":
        return ["a word"] * math.prod(tensor.shape)
    raw = draw(tensor, random)
    if tensor.datatype == "BOOL":
        return list(np.frombuffer(raw, np.bool_).tolist())
    values = np.frombuffer(raw, NUMBERS[tensor.datatype])
    return list(
        (values.astype(float).round(DIGITS) if values.dtype.kind == "f" else values).tolist()
    )


def describe(tensors: Sequence[Tensor]) -> str:
    """Return the inputs as people read them."""
    return ", ".join(
        f"{tensor.name} {tensor.datatype} [{', '.join(map(str, tensor.shape))}]"
        for tensor in tensors
    )
