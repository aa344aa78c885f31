"""The plan of a model repository: where every fetched file goes, and the complete config.pbtxt."""

from dataclasses import dataclass, field

from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest
from slipway.api.result import Signature
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, leave_out_mac_files
from slipway.jobs.package.config_pbtxt import (
    NO_SOURCE_CONFIG,
    SourceConfig,
    fill_config,
    parse_config,
)
from slipway.jobs.package.onnx_graph import GraphUnreadable, OnnxGraph, read_graph
from slipway.jobs.placeholder import describe_lfs_pointer, describe_placeholder
from slipway.render.model_repository import CONFIG, Layout, find_config, plan_layout

MAX_CONFIG_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """A model repository that only has to be written, into an image or a directory."""

    layout: Layout
    config_target: str
    """``<model>/config.pbtxt``."""
    config: str
    """Text of the complete config.pbtxt."""
    signature: Signature | None
    """The model's inputs and outputs; None where nothing declares them."""
    warnings: list[str] = field(default_factory=list)


def plan_model_repository(tree: Tree, request: ConfigRequest) -> RepositoryPlan:
    """Return the plan of the model repository.

    Raises:
        JobFailure: LayoutUnknown, FormatMismatch, ConfigInvalid or WarmupImpossible: the files,
            their config.pbtxt and the spec do not fit together.

    """
    # Only here, and not when the digest is computed, which is that of all files of the source.
    served, left_out = leave_out_mac_files(tree)
    source = _read_source_config(served, request.model_name)
    layout = plan_layout(served.names, request.model_name, request.format, source.declared)
    layout = layout.rename_sources(_original_names(tree, served))
    _require_real_files(tree, layout)

    graph, problem = _read_onnx_graph(tree, layout)
    finished = fill_config(source, request, layout.format, graph)

    return RepositoryPlan(
        layout=layout,
        config_target=f"{request.model_name}/{CONFIG}",
        config=finished.text,
        signature=finished.signature,
        warnings=[*left_out, *layout.notes, *problem, *finished.warnings],
    )


def _original_names(tree: Tree, served: Tree) -> dict[str, str]:
    """Return the names in `tree` by those in `served`, which may lack a top directory."""
    names = {file.path: file.name for file in tree.files}
    return {file.name: names[file.path] for file in served.files}


def _read_source_config(tree: Tree, model: str) -> SourceConfig:
    name = find_config(tree.names, model)
    if name is None:
        return NO_SOURCE_CONFIG
    path = tree[name]
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise JobFailure(
            Reason.CONFIG_INVALID,
            f"source {name}: found {path.stat().st_size} bytes, expected {MAX_CONFIG_BYTES} or "
            "fewer",
        )

    try:
        return parse_config(path.read_text("utf-8"), f"source {name}")
    except UnicodeDecodeError as error:
        raise JobFailure(
            Reason.CONFIG_INVALID, f"source {name}: expected UTF-8 text: {error}"
        ) from error


def _require_real_files(tree: Tree, layout: Layout) -> None:
    """Refuse what a store left in the place of weights; Triton would only say that it is broken."""
    paths = {file.name: file.path for file in tree.files}
    for place in layout.weights:
        path = paths[place.source]
        is_model = place.source == layout.model_file
        problem = (
            describe_placeholder(path, place.source) if is_model else describe_lfs_pointer(path)
        )
        if problem is not None:
            raise JobFailure(Reason.SOURCE_REFUSED, f"source {place.source}: {problem}")


def _read_onnx_graph(tree: Tree, layout: Layout) -> tuple[OnnxGraph | None, list[str]]:
    """Return the ONNX graph, or a warning: whether the model works is for Triton to decide."""
    name = layout.model_file
    if name is None or not name.endswith(".onnx") or name not in tree.names:
        return None, []
    try:
        return read_graph(tree[name]), []
    except GraphUnreadable as error:
        return None, [f"{name}: could not read the graph's inputs and outputs: {error}"]
