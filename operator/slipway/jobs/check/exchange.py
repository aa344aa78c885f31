"""How a model wants to be asked: by itself, as a sequence, or by a stream; pure."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from slipway.answers.tensors import Tensor, Tensors
from slipway.api.base import Manifest

LOWEST_ID = 2**30
IDS = 2**30
"""Sequence ids are drawn from here: they fit 32 bits, and are far from those that clients count."""

TEXT_ID_BYTES = 128
"""Triton hands a model this many bytes, and refuses a shorter text as two."""


class SequenceId(Enum):
    """What a model knows a sequence by."""

    NONE = "none"
    """It knows no sequences."""
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a model is asked."""

    sequence_id: SequenceId = SequenceId.NONE
    is_stateful: bool = False
    """True for a model with a sequence batcher, which takes a batch of one."""
    is_streaming: bool = False
    """True for a decoupled model: it sends any number of responses, and only by a gRPC stream."""
    can_batch: bool = False

    def start_sequence(self) -> Mapping[str, Any]:
        """Return the parameters that make a request a sequence of its own, which it also ends.

        The id is new each time: a client of stable must not find its sequence ended.
        """
        if self.sequence_id is SequenceId.NONE:
            return {}
        number = LOWEST_ID + secrets.randbelow(IDS)
        is_text = self.sequence_id is SequenceId.TEXT
        return {
            "sequence_id": f"slipway-{number}".ljust(TEXT_ID_BYTES, "-") if is_text else number,
            "sequence_start": True,
            "sequence_end": True,
        }


PLAIN = Exchange()
"""One request, one answer."""


def read_exchange(config: Manifest | None) -> Exchange:
    """Return how the model of a configuration is asked; without one, plainly."""
    config = config or {}
    return Exchange(
        sequence_id=_read_sequence_id(config),
        is_stateful="sequence_batching" in config,
        is_streaming=bool(config.get("model_transaction_policy", {}).get("decoupled")),
        can_batch=int(config.get("max_batch_size", 0)) > 0,
    )


def list_parts(config: Manifest) -> list[str]:
    """Return the models that the steps of an ensemble call; none for another model."""
    steps = config.get("ensemble_scheduling", {}).get("step", [])
    return [str(step["model_name"]) for step in steps if step.get("model_name")]


def join_responses(responses: Iterable[Tensors]) -> Tensors:
    """Return the responses of a stream as one, joined along the first axis.

    An output ends where its rows change type or shape.
    """
    parts: dict[str, list[Tensor]] = {}
    for response in responses:
        for name, tensor in response.items():
            parts.setdefault(name, []).append(tensor)
    return {name: _join_tensors(found) for name, found in parts.items()}


def first_rows(found: Tensors, expected: Tensors) -> Tensors:
    """Return as many rows of each output as were recorded: a stream may go on after them."""
    return {
        name: Tensor(tensor.datatype, tensor.array[: len(expected[name].array)])
        if name in expected and expected[name].array.ndim
        else tensor
        for name, tensor in found.items()
    }


def _read_sequence_id(config: Manifest) -> SequenceId:
    # A step of an ensemble may be stateful, and its configuration does not show it. A model without
    # sequences does not mind an id.
    if "ensemble_scheduling" in config:
        return SequenceId.NUMBER
    if "sequence_batching" not in config:
        return SequenceId.NONE

    is_text = any(
        control.get("kind") == "CONTROL_SEQUENCE_CORRID"
        and control.get("data_type") == "TYPE_STRING"
        for control in _list_controls(config["sequence_batching"])
    )
    return SequenceId.TEXT if is_text else SequenceId.NUMBER


def _list_controls(batching: Manifest) -> Iterator[Manifest]:
    for controlled in batching.get("control_input", []):
        yield from controlled.get("control", [])


def _join_tensors(parts: list[Tensor]) -> Tensor:
    first = parts[0]
    if not first.array.ndim:
        return first

    joined = []
    for part in parts:
        if part.datatype != first.datatype or part.shape[1:] != first.shape[1:]:
            break
        joined.append(part.array)
    return Tensor(first.datatype, np.concatenate(joined))
