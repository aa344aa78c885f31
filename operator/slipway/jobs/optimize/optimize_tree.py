"""From the files of a source to those that are served: one ONNX model in another precision."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from slipway.api.precision import Optimized
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, ModelFormat, OptimizeRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, TreeFile
from slipway.jobs.model_digest import TreeDigest, hash_tree
from slipway.jobs.optimize.convert import convert_model
from slipway.jobs.optimize.cost import Cost, measure_cost
from slipway.jobs.optimize.onnx_file import OnnxFile, cannot_convert
from slipway.jobs.optimize.optimized_tree import OptimizedTree
from slipway.jobs.sources.archive import make_empty_directory
from slipway.render.model_repository import Layout

MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
MEMORY_FACTOR = 6
"""A conversion takes so many times the size of the model, and `MEMORY_BYTES` for its libraries."""
MEMORY_BYTES = 200 * 2**20
GIBIBYTE = 2**30
DIGITS = 4
"""Significant digits of a time."""
MAX_NOTES = 4
NO_COST = Cost(None, None, [])


def optimize_tree(
    tree: Tree, layout: Layout, request: OptimizeRequest, config: ConfigRequest, scratch: Path
) -> OptimizedTree:
    """Return the files with the model converted, and what that gave.

    Where the digest of the converted files is known, they are what was measured and checked before,
    and only the digest is compared.

    Raises:
        JobFailure: PrecisionImpossible for a model that cannot be converted; DigestMismatch where
            the conversion did not give what it gave before.

    """
    file = OnnxFile(tree, _find_model(tree, layout))
    _require_memory(file)
    work = make_empty_directory(scratch / "optimize")
    staged, converted = make_empty_directory(work / "in"), make_empty_directory(work / "out")
    size, is_large, name = file.size, file.is_large, file.name

    source = file.stage(staged)
    target = converted / source.name
    notes = convert_model(name, source, target, request.precision, is_large=is_large)
    cost = NO_COST
    if request.digest is None:
        cost = measure_cost(name, source, target, config.warmup_shapes or {})
    make_empty_directory(staged)

    served = _replace_files(tree, {name, *file.external}, converted, PurePosixPath(name).parent)
    found = hash_tree(served)
    _require_digest(request, found)
    report = Optimized(
        precision=request.precision,
        digest=found.digest,
        bytes_before=size,
        bytes=sum(path.stat().st_size for path in converted.iterdir()),
        cpu_milliseconds_before=_rounded(cost.before),
        cpu_milliseconds=_rounded(cost.after),
        notes=[*notes, *cost.notes][:MAX_NOTES],
    )
    return OptimizedTree(served, found, report)


def _find_model(tree: Tree, layout: Layout) -> str:
    """Return the name of the model; one with external weights may be a directory."""
    if layout.format is not ModelFormat.ONNX or layout.model_file is None:
        found = (
            "a repository of several models, or of a backend of its own"
            if layout.format is ModelFormat.REPOSITORY
            else f"a model of format {layout.format}"
        )
        raise JobFailure(
            Reason.PRECISION_IMPOSSIBLE, f"spec.model.optimize: found {found}, expected ONNX"
        )

    names = (layout.model_file, f"{layout.model_file}/model.onnx")
    name = next((name for name in names if name in tree.names), None)
    if name is None:
        raise cannot_convert(layout.model_file, "found a directory without model.onnx")
    return name


def _require_memory(file: OnnxFile) -> None:
    """Say before the kernel does why there is too little memory."""
    text = MEMORY_LIMIT.read_text().strip() if MEMORY_LIMIT.exists() else "max"
    if not text.isdecimal():
        return
    limit, needed = int(text), MEMORY_BYTES + MEMORY_FACTOR * file.size
    if needed > limit:
        raise cannot_convert(
            file.name,
            f"a model of {file.size / GIBIBYTE:.1f} GiB takes {needed / GIBIBYTE:.1f} GiB of "
            f"memory to convert, and the container may use {limit / GIBIBYTE:.1f} GiB: ask the "
            "administrator of Slipway to raise optimizer.resources.limits.memory",
        )


def _replace_files(tree: Tree, gone: set[str], folder: Path, parent: PurePosixPath) -> Tree:
    new = {str(parent / path.name): path for path in folder.iterdir()}
    kept = [file for file in tree.files if file.name not in {*gone, *new}]
    files = [*kept, *(TreeFile(name, path) for name, path in new.items())]
    return replace(tree, files=tuple(sorted(files, key=lambda file: file.name.encode())))


def _require_digest(request: OptimizeRequest, found: TreeDigest) -> None:
    if request.digest is not None and request.digest != found.digest:
        raise JobFailure(
            Reason.DIGEST_MISMATCH,
            f"spec.model.optimize: the conversion to {request.precision} gave files of digest "
            f"{found.digest}, expected {request.digest}, which were measured and checked",
        )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else float(f"{milliseconds:.{DIGITS}g}")
