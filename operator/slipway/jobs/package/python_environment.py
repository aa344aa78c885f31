"""Packed environments of Python models: a tar with ``bin/activate``, as conda-pack makes it.

Triton unpacks the one that the parameter EXECUTION_ENV_PATH names, and runs the model in it:
https://github.com/triton-inference-server/python_backend#creating-custom-execution-environments
"""

from typing import Any

from slipway.api.reasons import Reason
from slipway.api.request import MAX_SOURCE_BYTES, ModelFormat
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.sources.archive import ArchiveLimits, list_tar
from slipway.render.model_formats import BACKENDS
from slipway.render.model_repository import PYTHON_STUB, Layout, Placement

ENVIRONMENT = "EXECUTION_ENV_PATH"
MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY/"
"""What Triton replaces by the model's directory at the beginning of the parameter."""
ACTIVATE = "bin/activate"
SUFFIXES = (".tar.gz", ".tgz")
MOST_ENTRIES = 1_000_000
PYTHON = next(known.backend for known in BACKENDS if known.format is ModelFormat.PYTHON)


def find_environments(tree: Tree, layout: Layout, model: str) -> tuple[str, ...]:
    """Return the packed environments in the directory of a model, by their names there."""
    inside = f"{model}/"
    return tuple(
        place.target.removeprefix(inside)
        for place in (*layout.weights, *layout.extras)
        if place.target.startswith(inside) and _is_environment(tree, place)
    )


def _is_environment(tree: Tree, place: Placement) -> bool:
    if not place.target.lower().endswith(SUFFIXES):
        return False
    limits = ArchiveLimits(MAX_SOURCE_BYTES, MOST_ENTRIES)
    try:
        return ACTIVATE in list_tar(tree[place.source], place.source, limits)
    except JobFailure:
        return False  # it may be anything that the model's code reads


def named_environment(config: Any) -> str | None:
    """Return what a ModelConfig message says of its environment; None where it says nothing."""
    named: str = (
        config.parameters[ENVIRONMENT].string_value if ENVIRONMENT in config.parameters else ""
    )
    return named or None


def choose_environment(found: tuple[str, ...], named: str | None, where: str) -> str | None:
    """Return the value that the parameter gets, or keeps; None for none.

    Args:
        found: the packed environments beside the model.
        named: what the parameter says; None where there is none.
        where: what says so, for messages.

    Raises:
        JobFailure: ConfigInvalid: the one that is named is not there, or there are several.

    """
    listed = ", ".join(found) or "none"
    if named is None:
        if len(found) > 1:
            raise _config_invalid(
                f"found several packed environments, {listed}; expected one of them in the "
                f"parameter {ENVIRONMENT}, as {MODEL_DIRECTORY}{found[0]}"
            )
        return f"{MODEL_DIRECTORY}{found[0]}" if found else None

    # Any other path is one of the server's image, or of a volume.
    inside = named.removeprefix(MODEL_DIRECTORY)
    if inside != named and inside not in found:
        raise _config_invalid(
            f"{where}: the parameter {ENVIRONMENT} names {inside!r} in the model's directory; "
            f"found the packed environments {listed}, expected a .tar.gz with {ACTIVATE}, as "
            "conda-pack makes it"
        )
    return named


def file_mode(target: str) -> int:
    """Return the mode of a file of the model repository: Triton runs the stub, and nothing else."""
    return 0o755 if target.rpartition("/")[2] == PYTHON_STUB else 0o644


def _config_invalid(problem: str) -> JobFailure:
    return JobFailure(Reason.CONFIG_INVALID, problem)
