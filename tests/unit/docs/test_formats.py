"""What comes of the examples in docs/formats.md is what Triton's documentation asks for.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_repository.html
and https://github.com/triton-inference-server/fil_backend/blob/main/docs/model_config.md
"""

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from slipway.api.modeldeployment import ModelDeployment
from slipway.errors import JobFailure
from slipway.jobs.file_tree import TreeFile, make_tree
from slipway.jobs.package.repository_plan import RepositoryPlan, plan_model_repository
from slipway.reconcile.render_inputs import build_package_request
from slipway.settings import Settings
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.contract.registry.bench import a_model
from tests.pages import ROOT, blocks, model_deployment_of

EXAMPLES = {
    found["metadata"]["name"]: found
    for block in blocks("yaml")
    if block.page == ROOT / "docs/formats.md"
    and (found := model_deployment_of(block))
    and "apiVersion" in block.text
}


def a_packed_environment() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("bin/activate"))
    return made.getvalue()


@dataclass(frozen=True)
class Example:
    """The files at the address of an example, and the repository that comes of them."""

    files: dict[str, bytes]
    repository: set[str]
    backend: str = ""
    platform: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()
    """Names of the inputs and outputs that must be declared."""


PREPARE = b'backend: "python"'
EXPECTED = {
    "digits": Example({"digits-3.onnx": a_model()}, {"digits/1/model.onnx"}, "onnxruntime"),
    "detector": Example(
        {"detector.plan": b"ptrt"}, {"detector/1/model.plan"}, platform="tensorrt_plan"
    ),
    "pose": Example(
        {"net.xml": b"<?xml version='1.0'?><net/>", "net.bin": b""},
        {"pose/1/model.xml", "pose/1/model.bin"},
        "openvino",
    ),
    "ranking": Example(
        {"saved_model.pb": b"\x08\x01", "variables/variables.index": b""},
        {
            "ranking/1/model.savedmodel/saved_model.pb",
            "ranking/1/model.savedmodel/variables/variables.index",
        },
        platform="tensorflow_savedmodel",
    ),
    "segments": Example(
        {"segments.pt": b"PK\x03\x04"},
        {"segments/1/model.pt"},
        "pytorch",
        tensors=("INPUT__0", "OUTPUT__0"),
    ),
    "fraud": Example(
        {"xgboost.json": b"{}"},
        {"fraud/1/xgboost.json"},
        "fil",
        parameters={"model_type": "xgboost_json", "output_class": "true"},
        tensors=("input__0", "output__0"),
    ),
    "tokens": Example(
        {"model.py": b"", "environment.tar.gz": a_packed_environment()},
        {"tokens/1/model.py", "tokens/1/environment.tar.gz"},
        "python",
        parameters={"EXECUTION_ENV_PATH": "$$TRITON_MODEL_DIRECTORY/1/environment.tar.gz"},
        tensors=("text", "tokens"),
    ),
    "pipeline": Example(
        {
            "pipeline/config.pbtxt": b'platform: "ensemble"',
            "prepare/config.pbtxt": PREPARE,
            "prepare/1/model.py": b"",
            "network/config.pbtxt": b'backend: "onnxruntime"',
            "network/1/model.onnx": a_model(),
        },
        {
            "prepare/config.pbtxt",
            "prepare/1/model.py",
            "network/config.pbtxt",
            "network/1/model.onnx",
        },
        platform="ensemble",
    ),
}


def plan(folder: Path, manifest: dict[str, Any], files: dict[str, bytes]) -> RepositoryPlan:
    """Return what the package Job makes of these files."""
    metadata = {**manifest["metadata"], "namespace": "vision", "uid": "1"}
    md = ModelDeployment.model_validate({**manifest, "metadata": metadata})
    request = build_package_request(md, Settings())
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    tree = make_tree(TreeFile(name, folder / name) for name in files)
    return plan_model_repository(tree, request.config)


def test_every_format_has_an_example() -> None:
    assert EXAMPLES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_becomes_the_repository_that_triton_documents(tmp_path: Path, name: str) -> None:
    expected = EXPECTED[name]

    made = plan(tmp_path, EXAMPLES[name], expected.files)

    config = text_format.Parse(made.config, ModelConfig())
    places = (*made.layout.weights, *made.layout.extras)
    declared = {tensor.name for tensor in (*config.input, *config.output)}
    assert {place.target for place in places} == expected.repository
    assert (config.backend, config.platform) == (expected.backend, expected.platform)
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert parameters == expected.parameters
    assert declared == set(expected.tensors)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("segments", "input"), ("fraud", "input"), ("tokens", "input"), ("detector", "GPU")],
)
def test_an_example_without_what_its_format_needs_is_asked_for_it(
    tmp_path: Path, name: str, asked: str
) -> None:
    whole = EXAMPLES[name]
    model = {key: value for key, value in whole["spec"]["model"].items() if key != "config"}

    with pytest.raises(JobFailure, match=f"found no .*{asked}"):
        plan(tmp_path, {**whole, "spec": {"model": model}}, EXPECTED[name].files)
