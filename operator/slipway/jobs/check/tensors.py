"""Tensors on their way between golden sets, numpy and Triton."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from slipway.api.golden import GoldenTensor

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array with Triton's name of its type; BYTES are numpy objects that hold bytes."""

    datatype: str
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape


Tensors = Mapping[str, Tensor]


def read_json(tensor: GoldenTensor) -> Tensor:
    """Return the tensor of a case file.

    Raises:
        ValueError: the datatype is unknown, or the data do not fit it or the shape.

    """
    target = triton_to_np_dtype(tensor.datatype)
    if target is None:
        raise ValueError(f"datatype {tensor.datatype!r} is unknown; expected one as FP32 or BYTES")
    flat = list(_flatten_data(tensor.data))
    expected = int(np.prod(tensor.shape, dtype=np.int64))
    if len(flat) != expected:
        raise ValueError(
            f"data has {len(flat)} elements; expected {expected} for shape {tensor.shape}"
        )
    array = _from_list(flat, tensor.datatype, np.dtype(target))
    return Tensor(tensor.datatype, array.reshape(tensor.shape))


def read_array(array: Array) -> Tensor:
    """Return the tensor of an npz file's array.

    Raises:
        ValueError: Triton has no such type.

    """
    if array.dtype.kind in "SU":
        return Tensor("BYTES", _as_bytes(array))
    datatype = np_to_triton_dtype(array.dtype)
    if datatype is None or datatype == "BYTES":
        raise ValueError(f"type {array.dtype} is none of Triton's")
    return Tensor(datatype, array)


def cast_bfloat16(tensor: Tensor) -> Tensor:
    """Return a float32 tensor as BF16, which npz files cannot hold."""
    return Tensor("BF16", tensor.array.astype(triton_to_np_dtype("BF16")))


def as_numbers(tensor: Tensor) -> Array:
    """Return the elements as float64, for comparisons with a tolerance."""
    return tensor.array.astype(np.float64)


def has_nan(tensor: Tensor) -> bool:
    """Return whether a number is missing."""
    floating = tensor.datatype.startswith(("FP", "BF"))
    return floating and bool(np.isnan(as_numbers(tensor)).any())


def _flatten_data(data: Any) -> Any:
    if not isinstance(data, list):
        yield data
        return
    for item in data:
        yield from _flatten_data(item)


def _from_list(flat: list[Any], datatype: str, target: np.dtype[Any]) -> Array:
    wanted = _python_type(datatype)
    for item in flat:
        if not isinstance(item, wanted) or (isinstance(item, bool) and bool not in wanted):
            raise ValueError(f"data holds {item!r}; expected {datatype}")
    if datatype == "BYTES":
        return _as_bytes(np.array(flat, dtype=object))
    if np.issubdtype(target, np.integer):
        limits = np.iinfo(target)
        for item in flat:
            if not limits.min <= item <= limits.max:
                raise ValueError(f"data holds {item}, which is outside {datatype}")
        return np.array(flat, dtype=target)
    return np.array(flat, dtype=np.float64).astype(target)


def _python_type(datatype: str) -> tuple[type, ...]:
    match datatype:
        case "BYTES":
            return (str,)
        case "BOOL":
            return (bool,)
        case _ if datatype.startswith(("FP", "BF")):
            return (int, float)
        case _:
            return (int,)


def _as_bytes(array: Array) -> Array:
    encoded = [item.encode() if isinstance(item, str) else bytes(item) for item in array.flat]
    result = np.empty(len(encoded), dtype=object)
    result[:] = encoded
    return result.reshape(array.shape)
