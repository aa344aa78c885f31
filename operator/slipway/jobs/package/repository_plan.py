"""From a fetched tree to a model repository: every file's place, and the finished config.pbtxt."""

from dataclasses import dataclass, field

from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest
from slipway.api.result import Signature
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.package.config_pbtxt import (
    NO_SOURCE_CONFIG,
    FinishedConfig,
    SourceConfig,
    fill_config,
    parse_config,
)
from slipway.jobs.package.onnx_graph import GraphUnreadable, OnnxGraph, read_graph
from slipway.render.model_repository import CONFIG, Layout, find_config, plan_layout

MAX_CONFIG_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """A model repository that only has to be written somewhere."""

    layout: Layout
    config_target: str
    """``<model>/config.pbtxt``."""
    config: str
    signature: Signature | None
    warnings: list[str] = field(default_factory=list)


def plan_model_repository(tree: Tree, order: ConfigRequest) -> RepositoryPlan:
    """Plan the model repository.

    Raises:
        JobFailure: the files, their config.pbtxt and the order do not fit together.

    """
    source = _read_source_config(tree, order.model_name)
    layout = plan_layout(tree.names, order.model_name, order.format, source.declared)
    graph, problem = _read_onnx_graph(tree, layout)
    filled: FinishedConfig = fill_config(source, order, layout.format, graph)
    return RepositoryPlan(
        layout=layout,
        config_target=f"{order.model_name}/{CONFIG}",
        config=filled.text,
        signature=filled.signature,
        warnings=[*problem, *filled.warnings],
    )


def _read_source_config(tree: Tree, model: str) -> SourceConfig:
    name = find_config(tree.names, model)
    if name is None:
        return NO_SOURCE_CONFIG
    path = tree[name]
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise JobFailure(
            Reason.CONFIG_INVALID, f"source {name}: more than {MAX_CONFIG_BYTES} bytes"
        )
    try:
        return parse_config(path.read_text("utf-8"), f"source {name}")
    except UnicodeDecodeError as error:
        raise JobFailure(Reason.CONFIG_INVALID, f"source {name}: not UTF-8: {error}") from error


def _read_onnx_graph(tree: Tree, layout: Layout) -> tuple[OnnxGraph | None, list[str]]:
    """Read the ONNX graph where there is one; Triton is the judge of one that we cannot read."""
    name = layout.model_file
    if name is None or not name.endswith(".onnx") or name not in tree.names:
        return None, []
    try:
        return read_graph(tree[name]), []
    except GraphUnreadable as error:
        return None, [f"{name}: the graph's inputs and outputs are not known: {error}"]
