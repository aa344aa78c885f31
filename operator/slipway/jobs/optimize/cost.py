"""What a request costs before and after a conversion: time of one core, by ONNX Runtime.

The time of the thread counts and not the clock's, so neighbours on the node change little.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from slipway.jobs.optimize.onnx_file import cannot_convert

Arrays = dict[str, npt.NDArray[Any]]

SECONDS = 3.0
"""Time for both models together; slower ones are asked `FEWEST` times."""
FEWEST, MOST = 3, 300
"""Requests to either model."""
WARM_UP = 2
SEED = 0

FLOATS: Mapping[str, type] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
OTHERS: Mapping[str, type] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64,
    "tensor(uint32)": np.uint32,
    "tensor(uint16)": np.uint16,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one core for a request of batch 1; None where it could not be measured."""

    before: float | None
    after: float | None
    notes: list[str]
    """One sentence each: why there are no numbers, or what they say against the conversion."""


def measure_cost(name: str, before: Path, after: Path, shapes: Mapping[str, Sequence[int]]) -> Cost:
    """Ask both models in turn, with the same invented inputs.

    Args:
        name: of the model in its source, for messages.
        before: the source's model.
        after: the converted one.
        shapes: sizes of inputs by name, with or without the batch dimension.

    Raises:
        JobFailure: PrecisionImpossible: ONNX Runtime does not load one of them, or the converted
            one does not answer.

    """
    old = _open_session(name, before, "the source's model")
    new = _open_session(name, after, "the converted model")
    unknown = _find_unknown_size(old, shapes)
    if unknown is not None:
        return Cost(None, None, [f"no CPU time: {unknown}"])

    inputs = _invent_inputs(old, shapes)
    try:
        expected = old.run(None, inputs)
    except Exception as error:  # noqa: BLE001 - its inputs were invented, so this says nothing
        return Cost(None, None, [f"no CPU time: the model answers invented inputs with {error}"])
    try:
        found = new.run(None, inputs)
    except Exception as error:
        raise cannot_convert(
            name, f"the converted model fails where it did not: {error}"
        ) from error

    names = [output.name for output in old.get_outputs()]
    notes = _describe_overflow(names, expected, found)
    return Cost(*_time_in_turn(old, new, inputs), notes)


def _open_session(name: str, path: Path, which: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise cannot_convert(
            name, f"ONNX Runtime {ort.__version__} does not load {which}: {error}"
        ) from error


def _can_batch(session: ort.InferenceSession) -> bool:
    tensors = [*session.get_inputs(), *session.get_outputs()]
    return all(tensor.shape and not _is_fixed(tensor.shape[0]) for tensor in tensors)


def _is_fixed(size: object) -> bool:
    return isinstance(size, int) and size > 0


def _size_of(
    tensor: ort.NodeArg, shapes: Mapping[str, Sequence[int]], *, can_batch: bool
) -> list[int] | None:
    """Return the size of an input for one record; None where nothing says it."""
    given = shapes.get(tensor.name)
    if given is not None and len(given) == len(tensor.shape) - 1:
        return [1, *given]
    if given is not None:
        return list(given)

    declared = [1, *tensor.shape[1:]] if can_batch else list(tensor.shape)
    return declared if all(_is_fixed(size) for size in declared) else None


def _find_unknown_size(
    session: ort.InferenceSession, shapes: Mapping[str, Sequence[int]]
) -> str | None:
    for tensor in session.get_inputs():
        if tensor.type not in {*FLOATS, *OTHERS}:
            return f"input {tensor.name!r} is a {tensor.type}"
        if _size_of(tensor, shapes, can_batch=_can_batch(session)) is None:
            return (
                f"input {tensor.name!r} has dimensions that vary; give its size in "
                "spec.model.warmup.shapes"
            )
    return None


def _invent_inputs(session: ort.InferenceSession, shapes: Mapping[str, Sequence[int]]) -> Arrays:
    """Return normal numbers, and zeros where numbers may mean something, as tokens do."""
    draw = np.random.default_rng(SEED)
    inputs: Arrays = {}
    for tensor in session.get_inputs():
        size = _size_of(tensor, shapes, can_batch=_can_batch(session)) or []
        if tensor.type in FLOATS:
            inputs[tensor.name] = draw.standard_normal(size).astype(FLOATS[tensor.type])
        elif tensor.type == "tensor(string)":
            inputs[tensor.name] = np.full(size, "", dtype=np.object_)
        else:
            inputs[tensor.name] = np.zeros(size, OTHERS[tensor.type])
    return inputs


def _describe_overflow(names: Sequence[str], expected: Any, found: Any) -> list[str]:
    return [
        f"output {name!r} of the converted model is not finite for an invented input"
        for name, old, new in zip(names, expected, found, strict=True)
        if _is_finite(old) and not _is_finite(new)
    ]


def _is_finite(array: Any) -> bool:
    floats = isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.floating)
    return not floats or bool(np.isfinite(array).all())


def _time_in_turn(
    old: ort.InferenceSession, new: ort.InferenceSession, inputs: Arrays
) -> tuple[float, float]:
    """Return the median time of either; in turn, since the node's clock rate changes."""
    for _ in range(WARM_UP):
        old.run(None, inputs)
        new.run(None, inputs)

    before: list[float] = []
    after: list[float] = []
    end = time.monotonic() + SECONDS
    while len(before) < FEWEST or (len(before) < MOST and time.monotonic() < end):
        before.append(_time_once(old, inputs))
        after.append(_time_once(new, inputs))
    return statistics.median(before), statistics.median(after)


def _time_once(session: ort.InferenceSession, inputs: Arrays) -> float:
    start = time.thread_time()
    session.run(None, inputs)
    return (time.thread_time() - start) * 1000
