"""The conversion itself: ONNX Runtime's own converters, with settings that suit every node."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

from slipway.api.precision import Precision
from slipway.errors import JobFailure
from slipway.jobs.optimize.onnx_file import cannot_convert, list_nodes, list_tensors, save_model

log = logging.getLogger(__name__)

QUANTIZABLE = ("MatMul", "Gemm", "Attention", "LSTM", "Gather", "EmbedLayerNormalization")
"""Operators with 8-bit kernels that are fast on CPUs; that of Conv is slower than 32 bits."""
QUANTIZED = frozenset(
    {
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"),
        *("MatMulInteger", "MatMulIntegerToFloat", "ConvInteger", "DynamicQuantizeLSTM"),
        *("QLinearMatMul", "QLinearConv", "QAttention", "QGemm", "MatMulNBits"),
        "QEmbedLayerNormalization",
    }
)
"""Operators of a model that has 8-bit weights."""
LARGEST_FP16 = float(np.finfo(np.float16).max)
SHOWN = 5
"""Operators named in a message."""


def convert_model(
    name: str, source: Path, target: Path, precision: Precision, *, is_large: bool
) -> list[str]:
    """Convert a model, and return notes: one sentence each, about what may cost accuracy.

    Args:
        name: of the model in its source, for messages.
        source: the model; temporary files are written beside it.
        target: where the converted model goes.
        precision: what its numbers become.
        is_large: weights are written beside the converted model.

    Raises:
        JobFailure: PrecisionImpossible: the model has nothing to convert, or the converter fails.

    """
    graph = onnx.load(str(source), load_external_data=False).graph
    quantized = next((node for node in list_nodes(graph) if node.op_type in QUANTIZED), None)
    if quantized is not None:
        raise cannot_convert(
            name,
            f"node {quantized.name!r} is a {quantized.op_type}: it has 8-bit numbers already",
        )

    operators = {node.op_type for node in list_nodes(graph)}
    if precision is Precision.INT8_DYNAMIC and not operators & set(QUANTIZABLE):
        raise _nothing_to_convert(name, graph, precision)
    convert = CONVERTERS[precision]
    try:
        notes = convert(source, target, is_large)
    except Exception as error:  # what the libraries raise is not documented
        log.exception("%s failed", precision)
        problem = str(error).strip() or type(error).__name__
        raise cannot_convert(name, f"conversion to {precision} failed: {problem}") from error
    _require_converted(name, target, precision)
    return notes


def _to_fp16(source: Path, target: Path, is_large: bool) -> list[str]:
    """Operators that know no 16-bit numbers keep 32 bits, between casts."""
    model = onnx.load(str(source))
    notes = [
        f"{tensor.name or 'a constant'} has numbers up to {largest:.3g}, which FP16 cuts to "
        f"{LARGEST_FP16:.0f}"
        for tensor in list_tensors(model.graph)
        if (largest := _largest(tensor)) > LARGEST_FP16
    ]
    del model
    save_model(convert_float_to_float16(str(source), keep_io_types=True), target, is_large=is_large)
    return notes


def _to_int8(source: Path, target: Path, is_large: bool) -> list[str]:
    """Weights get seven bits: with eight, sums overflow on CPUs without VNNI.

    A golden set that passes on one node would then say nothing of another.
    """
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=list(QUANTIZABLE),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=is_large,
    )
    return []


CONVERTERS: dict[Precision, Callable[[Path, Path, bool], list[str]]] = {
    Precision.FP16: _to_fp16,
    Precision.INT8_DYNAMIC: _to_int8,
}
CONVERTED_TYPES = {
    Precision.FP16: {TensorProto.FLOAT16},
    Precision.INT8_DYNAMIC: {TensorProto.INT8, TensorProto.UINT8},
}


def _require_converted(name: str, target: Path, precision: Precision) -> None:
    """Refuse a model that came out as it went in."""
    graph = onnx.load(str(target), load_external_data=False).graph
    types = CONVERTED_TYPES[precision]
    if any(tensor.data_type in types and _count(tensor) > 1 for tensor in list_tensors(graph)):
        return
    raise _nothing_to_convert(name, graph, precision)


def _nothing_to_convert(name: str, graph: onnx.GraphProto, precision: Precision) -> JobFailure:
    found = Counter(node.op_type for node in list_nodes(graph) if node.op_type != "Constant")
    shown = ", ".join(operator for operator, _ in found.most_common(SHOWN))
    wanted = (
        f"weights of {', '.join(QUANTIZABLE)}"
        if precision is Precision.INT8_DYNAMIC
        else "weights of 32-bit numbers"
    )
    return cannot_convert(
        name, f"found nothing to convert to {precision}: expected {wanted}, found {shown}"
    )


def _largest(tensor: TensorProto) -> float:
    """Return the largest finite magnitude in a tensor of 32-bit numbers; 0 for any other."""
    if tensor.data_type != TensorProto.FLOAT:
        return 0.0
    numbers = np.abs(numpy_helper.to_array(tensor))
    finite = numbers[np.isfinite(numbers)]
    return float(finite.max()) if finite.size else 0.0


def _count(tensor: TensorProto) -> int:
    return int(np.prod(tensor.dims))
