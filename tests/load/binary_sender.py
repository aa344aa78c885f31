"""Requests for a model of which nothing is known but its inputs."""

import json
import math
from collections.abc import Sequence

import numpy as np

from tests.load.patient_senders import BINARY
from tests.load.plan import LoadPlan, Tensor
from tests.load.senders import HttpSender

SEED = 1
MOST_REQUESTS = 16
MOST_BYTES = 32 * 2**20
"""Of all bodies, which are made beforehand; one is made all the same."""
DIGITS = 10
"""Whole numbers are below it: they may be places in a list."""
TEXT = "word-{}"
ROUTER = "slipway router:"
"""How the router's own answers begin; all others are the model's."""
NUMBERS = {
    **{
        f"{kind}{bits}": f"<{kind[0].lower()}{bits // 8}"
        for kind in ("INT", "UINT")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
"""numpy's names of the protocol's datatypes."""


class BinarySender(HttpSender):
    """Sends tensors of random numbers; the same ones at every run."""

    def __init__(self, plan: LoadPlan) -> None:
        super().__init__(plan)
        head = render_head(plan.tensors)
        self._bodies = make_bodies(plan.tensors, head)
        self._headers = {**BINARY, "inference-header-content-length": str(len(head))}

    def is_by_model(self, text: str) -> bool:
        """Return whether it is an error in Triton's form that is not the router's own."""
        try:
            error = json.loads(text)["error"]
        except (ValueError, TypeError, KeyError):
            return False
        return not str(error).startswith(ROUTER)


def render_head(tensors: Sequence[Tensor]) -> bytes:
    """Return the JSON before the tensors' bytes; answers are asked for in the same form.

    Raises:
        ValueError: a datatype is unknown.

    """
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "parameters": {"binary_data_size": len(draw(tensor, np.random.default_rng(SEED)))},
        }
        for tensor in tensors
    ]
    return json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()


def make_bodies(tensors: Sequence[Tensor], head: bytes) -> list[bytes]:
    """Return different requests for a model, fewer where they are large."""
    random, bodies = np.random.default_rng(SEED), list[bytes]()
    while len(bodies) < MOST_REQUESTS:
        bodies.append(head + b"".join(draw(tensor, random) for tensor in tensors))
        if sum(map(len, bodies)) + len(bodies[-1]) > MOST_BYTES:
            break
    return bodies


def draw(tensor: Tensor, random: np.random.Generator) -> bytes:
    """Return values of the tensor's datatype; their bytes are as many at every call.

    Raises:
        ValueError: the datatype is unknown.

    """
    count = math.prod(tensor.shape)

    if tensor.datatype == "BYTES":
        texts = [TEXT.format(number).encode() for number in random.integers(0, DIGITS, count)]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    if tensor.datatype == "BOOL":
        return random.integers(0, 2, count).astype(np.bool_).tobytes()
    if tensor.datatype == "BF16":  # the upper half of a float of 32 bits
        return (random.random(count).astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if tensor.datatype not in NUMBERS:
        raise ValueError(f"input {tensor.name}: unknown datatype {tensor.datatype}")

    number = np.dtype(NUMBERS[tensor.datatype])
    if number.kind == "f":
        return random.random(count).astype(number).tobytes()
    return random.integers(0, DIGITS, count).astype(number).tobytes()
