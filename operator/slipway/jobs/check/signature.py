"""Signatures of running models, and how they differ; pure."""

from collections.abc import Iterable, Iterator

from slipway.api.base import Manifest
from slipway.api.result import Signature, TensorSpec


def read_signature(metadata: Manifest, config: Manifest | None) -> Signature:
    """Return the signature in a server's metadata.

    The metadata have the shapes that clients must send. Only the configuration tells which inputs
    are optional and how large a batch may be; without it, all inputs count as required.
    """
    limit = config.get("max_batch_size", 0) if config is not None else None
    optional = {
        tensor["name"] for tensor in (config or {}).get("input", []) if tensor.get("optional")
    }
    return Signature(
        inputs=[_read_tensor_spec(tensor, optional) for tensor in metadata.get("inputs", [])],
        outputs=[_read_tensor_spec(tensor) for tensor in metadata.get("outputs", [])],
        max_batch_size=int(limit) if limit is not None else None,
    )


def signature_differences(stable: Signature, candidate: Signature) -> list[str]:
    """Return every difference that a client of stable would notice."""
    return [
        *_list_changes("input", stable.inputs, candidate.inputs),
        *_list_changes("output", stable.outputs, candidate.outputs),
        *_batch_limit_changes(stable.max_batch_size, candidate.max_batch_size),
    ]


def _read_tensor_spec(tensor: Manifest, optional: Iterable[str] = ()) -> TensorSpec:
    return TensorSpec(
        name=tensor["name"],
        datatype=tensor["datatype"],
        dims=[int(dim) for dim in tensor.get("shape", [])],
        optional=tensor["name"] in optional,
    )


def _list_changes(
    kind: str, stable: list[TensorSpec], candidate: list[TensorSpec]
) -> Iterator[str]:
    before = {tensor.name: tensor for tensor in stable}
    after = {tensor.name: tensor for tensor in candidate}

    for name, old in before.items():
        if name not in after:
            yield f"{kind} '{name}' is gone"
            continue
        for change in _tensor_changes(old, after[name]):
            yield f"{kind} '{name}' {change}"

    for name, new in after.items():
        if name not in before and not new.optional:
            yield f"{kind} '{name}' is new" + (" and required" if kind == "input" else "")


def _batch_limit_changes(old: int | None, new: int | None) -> Iterator[str]:
    """Yield a smaller limit: clients that send larger batches would get errors."""
    if old and new and new < old:
        yield f"max_batch_size is {new}, but {old} on stable (spec.model.config.maxBatchSize)"


def _tensor_changes(old: TensorSpec, new: TensorSpec) -> Iterator[str]:
    if new.datatype != old.datatype:
        yield f"is {new.datatype}, but {old.datatype} on stable"
    if new.dims != old.dims:
        yield f"has dims {new.dims}, but {old.dims} on stable"
    if old.optional and not new.optional:
        yield "is required, but optional on stable"
