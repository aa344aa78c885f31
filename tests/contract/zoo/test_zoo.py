"""Models that nobody here wrote are served from six lines, and answer as ONNX Runtime does."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from slipway.api.reasons import Reason

from tests.contract.triton import install as triton_install
from tests.contract.triton.server import Running, a_server, running, wait_until
from tests.contract.zoo import install
from tests.contract.zoo.animals import REFUSED, SERVED, TORCHSCRIPT, Animal, Refused
from tests.contract.zoo.keeper import Arrays, Graph, ask, package
from tests.pages import ROOT

REFERENCE = Path(__file__).with_name("reference.py")
START_SECONDS = 300
"""Two dozen models, each in a process of its own, on a machine that others use."""


@dataclass(frozen=True)
class Zoo:
    """A server with all models, and what was and should be answered."""

    server: Running
    questions: Path
    files: Path

    def inputs(self, animal: Animal) -> Arrays:
        with np.load(self.questions / f"{animal.name}.inputs.npz") as found:
            return dict(found)

    def expected(self, animal: Animal) -> list[Any]:
        with np.load(self.questions / f"{animal.name}.outputs.npz") as found:
            return [found[f"out_{index}"] for index in range(len(found.files))]


@pytest.fixture(scope="module")
def files() -> Path:
    return install.installed()


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Zoo]:
    scratch = tmp_path_factory.mktemp("zoo")
    repository, questions = scratch / "models", scratch / "questions"
    questions.mkdir()
    for animal in SERVED:
        _move_in(animal, files, repository, scratch)
        np.savez(
            questions / f"{animal.name}.inputs.npz",
            **Graph(files / animal.file).invent_inputs(animal),  # type: ignore[arg-type]
        )
        (questions / f"{animal.name}.path").write_text(str(files / animal.file))

    python = triton_install.installed() / "bin/python3"
    with running(a_server(SERVED[0].name), repository, scratch) as server:
        subprocess.run([python, REFERENCE, questions], check=True)
        wait_until(server.is_ready, START_SECONDS)
        yield Zoo(server, questions, files)


def _move_in(animal: Animal, files: Path, repository: Path, scratch: Path) -> None:
    """Each model is delivered to a folder of its own; the server has them all."""
    delivered = scratch / "delivered" / animal.name
    delivered.mkdir(parents=True)
    result = package(animal.name, animal.file, files, delivered, scratch)
    assert (result.error, result.warnings) == (None, [])

    repository.mkdir(exist_ok=True)
    (delivered / animal.name).rename(repository / animal.name)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("animal", SERVED, ids=lambda animal: animal.name)
def test_a_model_answers_as_onnx_runtime_does(zoo: Zoo, animal: Animal, protocol: str) -> None:
    module = getattr(tritonclient, protocol)
    address = getattr(zoo.server, protocol)
    outputs = Graph(zoo.files / animal.file).outputs

    with module.InferenceServerClient(address) as client:
        found = ask(module, client, animal.name, zoo.inputs(animal), outputs)

    for name, expected in zip(outputs, zoo.expected(animal), strict=True):
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert np.array_equal(found[name], expected, equal_nan=True)


@pytest.mark.parametrize("animal", REFUSED, ids=lambda animal: animal.name)
def test_a_model_with_a_scalar_is_refused_by_name(
    tmp_path: Path, files: Path, animal: Refused
) -> None:
    result = package(animal.name, animal.file, files, tmp_path, tmp_path)

    assert result.error is not None
    assert result.error.reason == Reason.CONFIG_INVALID
    assert f"the graph's {animal.tensor} is a scalar" in result.error.message


def test_torchscript_is_asked_for_its_tensors(tmp_path: Path, files: Path) -> None:
    result = package("silero", TORCHSCRIPT, files, tmp_path, tmp_path)

    assert result.error is not None
    assert result.error.reason == Reason.CONFIG_INVALID
    assert 'name: "INPUT__0"' in result.error.message


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        pytest.param(
            "silero_vad/data",
            "found models of the formats ONNX, TorchScript, expected one model: set "
            "spec.model.format",
            id="two formats",
        ),
        pytest.param(
            "rapidocr_onnxruntime/models",
            "found ch_PP-OCRv4_det_infer.onnx, ch_PP-OCRv4_rec_infer.onnx, "
            "ch_ppocr_mobile_v2.0_cls_infer.onnx, expected one, or one called model.onnx",
            id="three models",
        ),
    ],
)
def test_a_folder_of_several_models_is_refused_with_their_names(
    tmp_path: Path, files: Path, folder: str, found: str
) -> None:
    result = package("several", folder, files, tmp_path, tmp_path)

    assert result.error is not None
    assert result.error.reason == Reason.LAYOUT_UNKNOWN
    assert found in result.error.message


@pytest.mark.parametrize(
    ("folder", "beside"),
    [("nudenet", "nudenet.py"), ("magika/models/standard_v3_3", "README.md")],
)
def test_what_lies_beside_the_only_model_comes_along(
    tmp_path: Path, files: Path, folder: str, beside: str
) -> None:
    result = package("alone", folder, files, tmp_path, tmp_path)

    assert result.error is None
    packaged = {path.name for path in (tmp_path / "alone/1").iterdir()}
    assert packaged == {"model.onnx", beside}


def test_the_page_names_every_package_and_counts_their_models() -> None:
    text = (ROOT / "docs/sources.md").read_text(encoding="utf-8")
    section = text.partition("## Models that others made")[2]
    packages = re.findall(r"^(\S+)==", install.LOCK.read_text(), re.MULTILINE)

    assert [name for name in packages if f"`{name}`" not in section] == []
    assert f"takes {len(SERVED) + len(REFUSED)} models" in section
    assert f"{len(SERVED)} are served" in section
