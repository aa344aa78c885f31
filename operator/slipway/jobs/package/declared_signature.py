"""A model's inputs and outputs as config.pbtxt or its ONNX graph declares them."""

from collections.abc import Iterable
from typing import Any

from tritonclient.grpc.model_config_pb2 import DataType

from slipway.api.result import Signature, TensorSpec
from slipway.jobs.package.onnx_graph import OnnxGraph


def declared_signature(config: Any, graph: OnnxGraph | None) -> Signature | None:
    """Return what a ModelConfig declares, else what the graph declares, else None."""
    if config.input or config.output:
        return Signature(
            inputs=[_declared_tensor(item) for item in config.input],
            outputs=[_declared_tensor(item) for item in config.output],
        )
    if graph is None:
        return None

    batched = config.max_batch_size > 0
    return Signature(
        inputs=_drop_batch_dimension(graph.inputs, batched=batched),
        outputs=_drop_batch_dimension(graph.outputs, batched=batched),
    )


def triton_type(datatype: str) -> Any:
    """Return the number that config.pbtxt has for a datatype such as FP32."""
    return DataType.Value("TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}")


def element_bytes(datatype: str) -> int:
    """Return the bytes of one element; of a text those of its length, at least."""
    bits = datatype.lstrip("BFINPTU")
    return {"BOOL": 1, "BYTES": 4}.get(datatype) or int(bits) // 8


def _declared_tensor(item: Any) -> TensorSpec:
    datatype = DataType.Name(item.data_type).removeprefix("TYPE_")
    return TensorSpec(
        name=item.name,
        datatype="BYTES" if datatype == "STRING" else datatype,
        dims=list(item.dims),
        optional=getattr(item, "optional", False),
    )


def _drop_batch_dimension(tensors: Iterable[TensorSpec], *, batched: bool) -> list[TensorSpec]:
    """Return the tensors as config.pbtxt declares them: without the batch dimension."""
    if not batched:
        return list(tensors)
    return [item.model_copy(update={"dims": item.dims[1:]}) for item in tensors]
