"""The plan of a model repository: where every fetched file goes, and the complete config.pbtxt."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, ModelFormat
from slipway.api.result import Signature
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, leave_out_mac_files
from slipway.jobs.package.config_pbtxt import (
    NO_SOURCE_CONFIG,
    ModelFile,
    SourceConfig,
    fill_config,
    parse_config,
)
from slipway.jobs.package.onnx_graph import GraphUnreadable, OnnxGraph, describe_cut, read_graph
from slipway.jobs.package.python_environment import (
    choose_environment,
    find_environments,
    named_environment,
)
from slipway.jobs.placeholder import describe_lfs_pointer, describe_placeholder
from slipway.render.model_formats import BY_FORMAT, Declared
from slipway.render.model_repository import CONFIG, Layout, find_config, plan_layout

MAX_CONFIG_BYTES = 2**20
ONNX = BY_FORMAT[ModelFormat.ONNX]
COMPLETES = b"auto_complete_config"
"""Method of a Python model, or of a class beside it that it inherits from."""


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
            their config.pbtxt and the spec do not fit together; SourceRefused or CorruptModel: a
            file is not the one that its name says, or only the beginning of it.

    """
    layout, source, left_out = _choose_layout(tree, request)
    _require_real_files(tree, layout)
    _require_whole_graphs(tree, layout, request.model_name)

    graph, problem = _read_onnx_graph(tree, layout)
    is_python = ModelFormat.PYTHON in {layout.format, source.declared.format}
    file = ModelFile(
        graph,
        _served_name(layout),
        _completes_itself(tree, layout),
        find_environments(tree, layout, request.model_name) if is_python else (),
    )
    _require_environments_of_others(tree, layout, request.model_name)
    finished = fill_config(source, request, layout.format, file)

    return RepositoryPlan(
        layout=layout,
        config_target=f"{request.model_name}/{CONFIG}",
        config=finished.text,
        signature=finished.signature,
        warnings=[*left_out, *layout.notes, *problem, *finished.warnings],
    )


def choose_layout(tree: Tree, request: ConfigRequest) -> Layout:
    """Return where every file goes, which names and a config.pbtxt say, and not the weights.

    Raises:
        JobFailure: LayoutUnknown, FormatMismatch or ConfigInvalid, as `plan_model_repository`.

    """
    layout, _, _ = _choose_layout(tree, request)
    return layout


def _choose_layout(tree: Tree, request: ConfigRequest) -> tuple[Layout, SourceConfig, list[str]]:
    """Return it with the source's config.pbtxt, and sentences about what is left out."""
    # Only here, and not when the digest is computed, which is that of all files of the source.
    served, left_out = leave_out_mac_files(tree)
    source = _read_source_config(served, request.model_name)
    layout = plan_layout(served.names, request.model_name, request.format, source.declared)
    return layout.rename_sources(_original_names(tree, served)), source, left_out


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


def _require_whole_graphs(tree: Tree, layout: Layout, ours: str) -> None:
    """Refuse ONNX files that are cut off, which Triton would only notice minutes later.

    Files of a backend that we do not know are its own affair, whatever they are called.
    """
    names = [layout.model_file or "", *_graphs_of_others(tree, layout, ours)]
    for name in names:
        is_onnx = name.lower().endswith(ONNX.suffixes) and name in tree.names
        cut = describe_cut(tree[name]) if is_onnx else None
        if cut is not None:
            raise JobFailure(
                Reason.CORRUPT_MODEL,
                f"source {name}: {cut}: upload the whole file, then run `retry`",
            )


def _graphs_of_others(tree: Tree, layout: Layout, ours: str) -> Iterator[str]:
    """Yield the model files of the other models of a repository, where it is clear which those are.

    Of several version directories, Triton may never look into one.
    """
    configs = dict(_configs_of_others(tree, layout, ours))
    versions: dict[str, set[str]] = {}
    for place in layout.weights:
        model, version, _ = place.target.split("/", 2)
        versions.setdefault(model, set()).add(version)

    for place in layout.weights:
        model, _, name = place.target.split("/", 2)
        declared = configs[model].declared if model in configs else Declared()
        is_alone = model != ours and len(versions[model]) == 1 and not declared.is_foreign
        if is_alone and name == (declared.default_model_filename or ONNX.file):
            yield place.source


def _served_name(layout: Layout) -> str:
    """Return the name of the model's file in the version directory; empty where none is known."""
    targets = {place.source: place.target for place in layout.weights}
    return targets.get(layout.model_file or "", "").rpartition("/")[2]


def _require_environments_of_others(tree: Tree, layout: Layout, ours: str) -> None:
    """Refuse a repository in which another model names an environment that is not there."""
    for model, config in _configs_of_others(tree, layout, ours):
        named = named_environment(config.message)
        if named is not None:
            found = find_environments(tree, layout, model)
            choose_environment(found, named, f"source {model}/{CONFIG}")


def _configs_of_others(tree: Tree, layout: Layout, ours: str) -> Iterator[tuple[str, SourceConfig]]:
    """Yield the configurations of a repository's other models, by their names."""
    for place in layout.extras:
        model, _, name = place.target.partition("/")
        if name != CONFIG or model == ours:
            continue
        try:
            config = parse_config(tree[place.source].read_text("utf-8"), place.source)
        except (JobFailure, UnicodeDecodeError):
            continue  # Triton says what is wrong with it
        yield model, config


def _completes_itself(tree: Tree, layout: Layout) -> bool:
    """Return whether a Python model tells Triton its tensors by a method of its own."""
    if layout.format is not ModelFormat.PYTHON:
        return False
    programs = [place.source for place in layout.weights if place.source.endswith(".py")]
    return any(COMPLETES in tree[name].read_bytes() for name in programs)


def _read_onnx_graph(tree: Tree, layout: Layout) -> tuple[OnnxGraph | None, list[str]]:
    """Return the ONNX graph, or a warning: whether the model works is for Triton to decide."""
    name = layout.model_file
    if name is None or not name.endswith(ONNX.suffixes) or name not in tree.names:
        return None, []
    try:
        return read_graph(tree[name]), []
    except GraphUnreadable as error:
        return None, [f"{name}: could not read the graph's inputs and outputs: {error}"]
