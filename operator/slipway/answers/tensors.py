"""Tensors, converted between golden sets, numpy and Triton."""

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
    """An array with Triton's name of its type; an array of BYTES has bytes objects."""

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
        ValueError: the datatype is unknown, or the data fit neither it nor the shape.

    """
    target = triton_to_np_dtype(tensor.datatype)
    if target is None:
        raise ValueError(
            f"found datatype {tensor.datatype!r}, expected one of Triton's, for example FP32"
        )

    flat = list(_flatten_data(tensor.data))
    expected = int(np.prod(tensor.shape, dtype=np.int64))
    if len(flat) != expected:
        raise ValueError(
            f"data has {len(flat)} elements, expected {expected} for shape {tensor.shape}"
        )

    array = _from_list(flat, tensor.datatype, np.dtype(target))
    return Tensor(tensor.datatype, array.reshape(tensor.shape))


def read_array(array: Array) -> Tensor:
    """Return the tensor of an array in an npz file.

    Raises:
        ValueError: Triton has no such type.

    """
    if array.dtype.kind in "SU":
        return Tensor("BYTES", _as_bytes(array))
    datatype = np_to_triton_dtype(array.dtype)
    if datatype is None or datatype == "BYTES":
        raise ValueError(f"found type {array.dtype}, expected one that Triton has")
    return Tensor(datatype, array)


def cast_bfloat16(tensor: Tensor) -> Tensor:
    """Return a float32 tensor as BF16, for which npz files have no type."""
    return Tensor("BF16", tensor.array.astype(triton_to_np_dtype("BF16")))


def as_numbers(tensor: Tensor) -> Array:
    """Return the elements as float64, for comparisons with a tolerance."""
    return tensor.array.astype(np.float64)


def has_nan(tensor: Tensor) -> bool:
    """Return whether an element is not a number."""
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
            raise ValueError(f"data contains {item!r}, expected {datatype}")

    if datatype == "BYTES":
        return _as_bytes(np.array(flat, dtype=object))

    if np.issubdtype(target, np.integer):
        limits = np.iinfo(target)
        for item in flat:
            if not limits.min <= item <= limits.max:
                raise ValueError(f"data contains {item}, which is outside the range of {datatype}")
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
