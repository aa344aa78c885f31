"""What of a model that MLflow wrote is served: the files of its flavour, without MLflow's own.

MLflow puts a file ``MLmodel`` beside the model, which says for each flavour where its data are:
https://mlflow.org/docs/latest/ml/model/#storage-format
"""

from dataclasses import replace
from typing import Any

import yaml

from slipway.api.reasons import Reason
from slipway.jobs.file_tree import Tree, make_tree
from slipway.jobs.sources.access import SourceAccess

DESCRIPTION = "MLmodel"
MAX_DESCRIPTION_BYTES = 2**20
MLFLOWS_OWN = frozenset(
    {
        DESCRIPTION,
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "registered_model_meta",
        "input_example.json",
        "serving_input_example.json",
    }
)
MLFLOWS_FOLDERS = ("metadata/", "code/")
MAX_NAMED = 10
"""Flavours that a message names."""


def select_served_files(access: SourceAccess, tree: Tree) -> Tree:
    """Return the files that are served of a model that may be one of MLflow's.

    Of the flavour ``onnx`` that is the graph with all files beside it that are not MLflow's own, as
    its weights may be; of ``triton`` the directory of its data. Without ``MLmodel`` all files are.

    Raises:
        JobFailure: SourceRefused, where the model has neither flavour or its data are not there.

    """
    if DESCRIPTION not in tree.names:
        return tree

    flavors = _read_flavors(access, tree)
    if "onnx" in flavors:
        data = _data_of(access, flavors["onnx"], "onnx")
        kept = [file for file in tree.files if not _is_mlflows_own(file.name)]
        is_there = data in {file.name for file in kept}
    elif "triton" in flavors:
        data = _data_of(access, flavors["triton"], "triton")
        inside = f"{data}/"
        kept = [
            replace(file, name=file.name.removeprefix(inside))
            for file in tree.files
            if file.name.startswith(inside)
        ]
        is_there = bool(kept)
    else:
        found = ", ".join(sorted(str(name)[:40] for name in flavors)[:MAX_NAMED]) or "none"
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"{DESCRIPTION} has the flavors {found}, expected onnx or triton: log the model with "
            "mlflow.onnx.log_model, or its files with log_artifacts",
        )

    if not is_there:
        raise access.failure(
            Reason.SOURCE_REFUSED, f"{DESCRIPTION} names the data {data!r}, and they are not there"
        )
    return make_tree(kept, tree.download_digest, origin=tree.origin, is_private=tree.is_private)


def _read_flavors(access: SourceAccess, tree: Tree) -> dict[str, Any]:
    path = tree[DESCRIPTION]
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"found {DESCRIPTION} of {path.stat().st_size} bytes, expected at most "
            f"{MAX_DESCRIPTION_BYTES}",
        )
    try:
        content = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict):
        raise access.failure(
            Reason.SOURCE_REFUSED, f"{DESCRIPTION} is not YAML with a map of flavors"
        )
    return flavors


def _data_of(access: SourceAccess, flavor: Any, name: str) -> str:
    data = flavor.get("data") if isinstance(flavor, dict) else None
    if not isinstance(data, str) or not data.strip("/"):
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"{DESCRIPTION}: found flavors.{name}.data {str(data)[:40]!r}, expected a path",
        )
    return data.strip("/")


def _is_mlflows_own(name: str) -> bool:
    return name in MLFLOWS_OWN or name.startswith(MLFLOWS_FOLDERS)
