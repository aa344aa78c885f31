"""Where the files of a source go in Triton's model repository; decided from their names alone.

A source is a model file, a model directory (``config.pbtxt`` and one version directory), or a
repository of several models. The version directory is always ``1``, so that paths stay the same
between versions. Where a model has no file in a version directory, as an ensemble, it gets an empty
one: Triton wants one, and few sources keep it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from slipway.api.names import MODEL_DIRECTORY_VERSION
from slipway.api.reasons import Reason
from slipway.api.request import ModelFormat
from slipway.errors import JobFailure
from slipway.render.model_formats import (
    BACKENDS,
    BY_FORMAT,
    FIL_FILES,
    FIL_SUFFIXES,
    FIL_TYPES,
    Declared,
    TritonBackend,
)

CONFIG = "config.pbtxt"
PYTHON_STUB = "triton_python_backend_stub"
"""A stub of another Python, which Triton takes from the model's directory."""
SHOWN = 5
"""Names listed in an error message."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One file on its way from the source into the model repository."""

    source: str
    """Name in the source."""
    target: str
    """Name below the model repository: ``<model>/1/model.onnx``."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A model repository, before its files are written."""

    format: ModelFormat
    weights: tuple[Placement, ...]
    """Files in version directories."""
    extras: tuple[Placement, ...] = ()
    """Labels, warm-up data, other models' configurations; never our model's config.pbtxt."""
    model_file: str | None = None
    """Name in the source of the file that holds the graph."""
    folders: tuple[str, ...] = ()
    """Version directories without files, below the model repository."""
    notes: tuple[str, ...] = ()
    """One sentence each, about what is left out."""

    def rename_sources(self, names: Mapping[str, str]) -> "Layout":
        """Return the layout with other names in the source; `names` has the new by the old."""

        def renamed(files: tuple[Placement, ...]) -> tuple[Placement, ...]:
            return tuple(Placement(names[file.source], file.target) for file in files)

        return replace(
            self,
            weights=renamed(self.weights),
            extras=renamed(self.extras),
            model_file=None if self.model_file is None else names.get(self.model_file),
        )


def find_config(names: Iterable[str], model: str) -> str | None:
    """Return the name of the config.pbtxt of our model; None where the source has none."""
    present = set(names)
    if CONFIG in present:
        return CONFIG

    inner = f"{model}/{CONFIG}"
    return inner if _is_repository(present) and inner in present else None


def plan_layout(
    names: Sequence[str], model: str, requested: ModelFormat | None, declared: Declared
) -> Layout:
    """Return where every file goes.

    Raises:
        JobFailure: LayoutUnknown where there is no model or more than one; FormatMismatch where
            spec.model.format, config.pbtxt and the files contradict each other.

    """
    if _is_repository(names):
        return _plan_repository(names, model, requested, declared)

    versions = sorted({int(top) for top in _top_names(names) if _is_version(top)})
    chosen = _choose_version(versions, declared)
    left_out = [version for version in versions if version != chosen]

    if chosen is not None:
        prefix = f"{chosen}/"
        content = [name for name in names if name.startswith(prefix)]
    else:
        prefix = ""
        beside = {CONFIG, PYTHON_STUB}
        content = [] if declared.is_ensemble else [name for name in names if name not in beside]

    layout = _plan_version(content, prefix, model, requested, declared)
    known = {CONFIG, *content}
    ignored = tuple(f"{version}/" for version in left_out)
    rest = [name for name in names if name not in known and not name.startswith(ignored)]
    return replace(
        layout,
        extras=tuple(Placement(name, f"{model}/{name}") for name in rest),
        notes=_describe_versions(chosen, left_out),
    )


def _choose_version(versions: Sequence[int], declared: Declared) -> int | None:
    """Return the version directory that is served, as Triton chooses it; None where there is none.

    That is the newest, or the newest of those that version_policy names.
    """
    if len(versions) < 2 or not declared.versions:  # noqa: PLR2004 - nothing to choose from
        return max(versions, default=None)

    named = [version for version in versions if version in declared.versions]
    if not named:
        wanted, found = (", ".join(map(str, items)) for items in (declared.versions, versions))
        raise _layout_unknown(
            f"version_policy of {CONFIG} names versions {wanted}, found version directories {found}"
        )
    return max(named)


def _describe_versions(chosen: int | None, left_out: Sequence[int]) -> tuple[str, ...]:
    if not left_out:
        return ()
    others = ", ".join(map(str, left_out))
    return (f"took version directory {chosen} and left out {others}: a server has one version",)


def _plan_repository(
    names: Sequence[str], model: str, requested: ModelFormat | None, declared: Declared
) -> Layout:
    """Take all models as they are, apart from the name of our model's version directory."""
    models = sorted(top for top in _top_names(names) if _is_model(top, names))
    if model not in models:
        raise _layout_unknown(
            f"found the models {', '.join(models)}, expected one of them to be {model!r} "
            "(spec.model.name)"
        )
    if requested not in {None, ModelFormat.REPOSITORY}:
        raise JobFailure(
            Reason.FORMAT_MISMATCH,
            f"spec.model.format is {requested}, found a repository of {len(models)} models",
        )

    own = [name.removeprefix(f"{model}/") for name in names if name.startswith(f"{model}/")]
    sources = {name: f"{model}/{name}" for name in own}
    ours = plan_layout(own, model, None, declared).rename_sources(sources)
    others = [
        Placement(name, name)
        for name in names
        if name.partition("/")[0] in models and not name.startswith(f"{model}/")
    ]

    weights = (*ours.weights, *(file for file in others if _is_weight(file.target)))
    filled = {model, *(file.target.partition("/")[0] for file in weights)}
    empty = tuple(f"{name}/{MODEL_DIRECTORY_VERSION}" for name in models if name not in filled)
    left_out = [name for name in names if name.partition("/")[0] not in models]

    return replace(
        ours,
        format=ModelFormat.REPOSITORY,
        weights=weights,
        extras=(*ours.extras, *(file for file in others if not _is_weight(file.target))),
        folders=(*ours.folders, *empty),
        notes=(*ours.notes, *_describe_others(left_out)),
    )


def _describe_others(left_out: Sequence[str]) -> tuple[str, ...]:
    return (f"left out {_list_some(left_out)}: no part of a model",) if left_out else ()


def _plan_version(
    content: Sequence[str],
    prefix: str,
    model: str,
    requested: ModelFormat | None,
    declared: Declared,
) -> Layout:
    inner = [name.removeprefix(prefix) for name in content]
    target = f"{model}/{MODEL_DIRECTORY_VERSION}"

    as_is = _format_taken_as_is(requested, declared)
    if as_is is not None:
        if not inner and not declared.is_foreign:
            raise _layout_unknown("the version directory is empty")
        weights = tuple(Placement(prefix + name, f"{target}/{name}") for name in inner)
        return Layout(as_is, weights, folders=() if inner else (target,))

    chosen, files = _choose_format(inner, _find_formats(inner, requested), requested, declared)
    backend, named = BY_FORMAT[chosen], declared.default_model_filename
    file = _choose_file(backend, files, named)
    renamed = _names_for_triton(backend, file, inner, named)
    weights = tuple(
        Placement(prefix + name, f"{target}/{renamed.get(name, name)}") for name in inner
    )
    return Layout(chosen, weights, model_file=prefix + file)


def _format_taken_as_is(requested: ModelFormat | None, declared: Declared) -> ModelFormat | None:
    """Return the format of files that keep their names; None where Triton's names are ours."""
    if declared.is_fil and requested in {None, ModelFormat.FIL}:
        return ModelFormat.FIL
    if requested is ModelFormat.REPOSITORY or (requested is None and declared.is_foreign):
        return ModelFormat.REPOSITORY
    return None


def _find_formats(
    inner: Sequence[str], requested: ModelFormat | None
) -> dict[ModelFormat, list[str]]:
    """Return the models in the version directory by their format."""
    found = {
        backend.format: files for backend in BACKENDS if (files := _find_models(backend, inner))
    }

    # Last, because other models have a model.txt or a .json beside them.
    if requested is ModelFormat.FIL or (requested is None and not found):
        trees = _find_trees(inner, any_name=requested is ModelFormat.FIL)
        if trees:
            found[ModelFormat.FIL] = trees
    return found


def _choose_format(
    inner: Sequence[str],
    found: dict[ModelFormat, list[str]],
    requested: ModelFormat | None,
    declared: Declared,
) -> tuple[ModelFormat, list[str]]:
    """Return the format that is served, and the files of that format."""
    if requested is not None and (declared.is_foreign or declared.format not in {None, requested}):
        raise JobFailure(
            Reason.FORMAT_MISMATCH,
            f"spec.model.format is {requested}, the source's {CONFIG} says {declared}",
        )

    wanted = requested or declared.format
    if wanted is not None and wanted not in found:
        raise JobFailure(
            Reason.FORMAT_MISMATCH,
            f"expected a model of format {wanted} ({_file_patterns(BY_FORMAT[wanted])}), found "
            f"{_list_some(inner)}",
        )
    if wanted is not None:
        return wanted, found[wanted]

    if not found:
        patterns = "; ".join(_file_patterns(backend) for backend in BY_FORMAT.values())
        raise _layout_unknown(f"found {_list_some(inner)}, expected one model: one of {patterns}")
    if len(found) > 1:
        formats = ", ".join(found)
        raise _layout_unknown(
            f"found models of the formats {formats}, expected one model: set spec.model.format"
        )
    return next(iter(found.items()))


def _choose_file(backend: TritonBackend, files: Sequence[str], named: str) -> str:
    for name in (named, backend.file):
        if name in files:
            return name

    if named:
        raise _layout_unknown(f"{CONFIG} names the model file {named!r}, found {_list_some(files)}")
    if len(files) > 1:
        usual = f", or one called {backend.file}" if backend.file else ""
        raise _layout_unknown(f"found {_list_some(files)}, expected one{usual}")
    return files[0]


def _names_for_triton(
    backend: TritonBackend, file: str, inner: Sequence[str], named: str
) -> dict[str, str]:
    """Return the new names of the files that Triton would look for under another name."""
    if file and file in {named, backend.file}:
        return {}

    if backend.format is ModelFormat.TENSORFLOW:
        folder = f"{file}/" if file else ""
        return {
            name: f"{backend.file}/{name.removeprefix(folder)}"
            for name in inner
            if name.startswith(folder)
        }

    if backend.format is ModelFormat.FIL:
        return {} if file in FIL_TYPES else {file: FIL_FILES[_suffix(file)]}

    names = {file: backend.file}
    companion = f"{file.rpartition('.')[0]}.bin"
    if backend.format is ModelFormat.OPENVINO and companion in inner:
        names[companion] = "model.bin"
    return names


def _find_models(backend: TritonBackend, inner: Sequence[str]) -> list[str]:
    """Return the entries of the version directory that are models of this format."""
    if backend.format is ModelFormat.TENSORFLOW and "saved_model.pb" in inner:
        return [""]  # the version directory itself
    tops = sorted(_top_names(inner))
    return [top for top in tops if top == backend.file or top.lower().endswith(backend.suffixes)]


def _find_trees(inner: Sequence[str], *, any_name: bool) -> list[str]:
    """Return the files that the FIL backend can serve; `any_name`: the user says that it is one."""
    suffixes = tuple(FIL_FILES) if any_name else FIL_SUFFIXES
    tops = sorted(name for name in inner if "/" not in name)
    named = [name for name in tops if name in FIL_TYPES]
    return named or [name for name in tops if name.lower().endswith(suffixes)]


def _is_repository(names: Iterable[str]) -> bool:
    """Several models, or one beside other files: no model at the top level, but below it."""
    tops = _top_names(names)
    if CONFIG in tops or any(_is_version(top) for top in tops):
        return False
    return any(_is_model(top, names) for top in tops)


def _is_model(folder: str, names: Iterable[str]) -> bool:
    inner = [name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")]
    return CONFIG in inner or any("/" in name and _is_version(name.split("/")[0]) for name in inner)


def _is_weight(target: str) -> bool:
    parts = target.split("/")
    return len(parts) > 2 and _is_version(parts[1])  # noqa: PLR2004 - <model>/<version>/<file>


def _is_version(name: str) -> bool:
    return name.isdecimal() and not name.startswith("0")


def _top_names(names: Iterable[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def _suffix(name: str) -> str:
    return f".{name.lower().rpartition('.')[2]}"


def _file_patterns(backend: TritonBackend) -> str:
    if backend.format is ModelFormat.FIL:
        return ", ".join(FIL_TYPES)
    return ", ".join(f"*{suffix}" for suffix in backend.suffixes) or backend.file


def _list_some(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN]) or "no files"
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _layout_unknown(problem: str) -> JobFailure:
    return JobFailure(Reason.LAYOUT_UNKNOWN, f"model source: {problem}")
