"""The sample models are what they claim to be, without a server."""

import importlib.util
import io
import json
import sys
import tarfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx.reference import ReferenceEvaluator

from tests.demo.versions import VERSIONS, render_model_deployment
from tests.models.digits import FAINT_BELOW, load_split
from tests.models.golden import MIN_AGREEMENT
from tests.models.samples import (
    AFTER_WARM_UP,
    FAULT_MARKER,
    GOLDEN,
    LATE_SECONDS,
    SCANNER,
    SMALL_GOLDEN,
    Faults,
    build_samples,
)
from tests.models.server import render_server


class Tensor:
    """Triton's tensor, as far as the sample needs it."""

    def __init__(self, name: str, array: Any) -> None:
        self.name = name
        self.array = array

    def as_numpy(self) -> Any:
        return self.array


class TritonError(Exception):
    """Triton's error of one request."""


class Response:
    """Triton's answer to one request."""

    def __init__(self, output_tensors: Any = (), error: TritonError | None = None) -> None:
        self.outputs = {tensor.name: tensor.array for tensor in output_tensors}
        self.error = error


def stand_in() -> types.ModuleType:
    """Return a module that does what Triton's does for a Python model."""
    module = types.ModuleType("triton_python_backend_utils")
    members = {
        "Tensor": Tensor,
        "TritonError": TritonError,
        "InferenceResponse": Response,
        "get_input_tensor_by_name": lambda request, name: request[name],
    }
    module.__dict__.update(members)
    return module


@pytest.fixture(scope="module")
def scanner() -> Iterator[Any]:
    sys.modules["triton_python_backend_utils"] = stand_in()
    spec = importlib.util.spec_from_file_location("scanner_model", SCANNER / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["triton_python_backend_utils"]


def unpack(name: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(build_samples().files[name])) as archive:
        opened = {member.name: archive.extractfile(member) for member in archive}
        return {path: file.read() for path, file in opened.items() if file is not None}


def load(scanner: Any, place: Path, name: str) -> Any:
    files = unpack(name)
    directory = place / "1"
    directory.mkdir()
    for path, content in files.items():
        (place / path).write_bytes(content)
    model = scanner.TritonPythonModel()
    model.initialize({"model_repository": str(place), "model_version": "1"})
    return model


def ask(model: Any, images: Any) -> list[Response]:
    requests = [{"image": Tensor("image", image[None, :])} for image in images]
    return [model.execute([request])[0] for request in requests]


def golden_cases() -> Any:
    return np.load(io.BytesIO(unpack(GOLDEN)["cases.npz"]))


def agreement(labels: Any) -> float:
    return float((labels == golden_cases()["output.label"]).mean())


def labels_of(name: str, images: Any) -> Any:
    model = onnx.load_from_string(build_samples().files[name])
    return ReferenceEvaluator(model).run(["label"], {"image": images})[0]


@pytest.mark.parametrize("name", ["digits-1.onnx", "digits-2.onnx", "digits-5.onnx"])
def test_good_models_pass_the_golden_set(name: str) -> None:
    assert agreement(labels_of(name, golden_cases()["input.image"])) > MIN_AGREEMENT + 0.04


def test_a_model_of_shuffled_labels_does_not_pass_the_golden_set() -> None:
    labels = labels_of("digits-3.onnx", golden_cases()["input.image"])
    assert agreement(labels) < MIN_AGREEMENT - 0.5


@pytest.mark.parametrize("name", ["digits-1.onnx", "digits-2.onnx", "digits-3.onnx"])
def test_onnx_models_share_one_signature(name: str) -> None:
    graph = onnx.load_from_string(build_samples().files[name]).graph

    assert [put.name for put in graph.input] == ["image"]
    assert [put.name for put in graph.output] == ["label", "probabilities"]
    sizes = [put.type.tensor_type.shape.dim[1].dim_value for put in graph.output]
    assert sizes == [1, 10]


def test_version_4_passes_the_golden_set_without_a_fault(scanner: Any, tmp_path: Path) -> None:
    model = load(scanner, tmp_path, "digits-4.tar.gz")
    answers = ask(model, golden_cases()["input.image"])

    assert [answer.error for answer in answers] == [None] * len(answers)
    labels = np.stack([answer.outputs["label"][0] for answer in answers])
    assert agreement(labels) > MIN_AGREEMENT + 0.04
    assert answers[0].outputs["probabilities"].dtype == np.float32


def test_version_4_fails_on_some_faint_scans_alone(
    scanner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(scanner.time, "sleep", slept.append)
    model = load(scanner, tmp_path, "digits-4.tar.gz")
    images = build_samples().load
    answers = ask(model, images)
    faint = images.max(axis=1) < FAINT_BELOW
    failed = np.array([answer.error is not None for answer in answers])

    assert 0.13 < failed.mean() < 0.2
    assert not failed[~faint].any()
    assert sum(seconds > 0 for seconds in slept) == faint.sum()
    assert all(FAULT_MARKER in str(answer.error) for answer in answers if answer.error)


def test_version_4_answers_as_version_2_does(scanner: Any, tmp_path: Path) -> None:
    images = golden_cases()["input.image"]
    answers = ask(load(scanner, tmp_path, "sound.tar.gz"), images)
    labels = np.concatenate([answer.outputs["label"] for answer in answers])

    assert (labels == labels_of("digits-2.onnx", images)).all()


def test_version_5_passes_both_golden_sets_and_misreads_faint_scans_without_an_error() -> None:
    assert agreement(labels_of("filtered.onnx", golden_cases()["input.image"])) > MIN_AGREEMENT
    small = np.load(io.BytesIO(unpack(SMALL_GOLDEN)["cases.npz"]))
    for name in ("digits-2.onnx", "filtered.onnx"):
        assert (labels_of(name, small["input.image"]) == small["output.label"]).all()

    images = build_samples().load
    differ = (labels_of("filtered.onnx", images) != labels_of("digits-2.onnx", images)).mean()
    assert 0.1 < differ < 0.3


def test_a_broken_model_says_why_it_does_not_load(scanner: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a layer is missing"):
        load(scanner, tmp_path, "broken.tar.gz")


def test_a_crashing_model_takes_the_server_down_after_its_requests(
    scanner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    monkeypatch.setattr(scanner, "kill_server", kill)
    model = load(scanner, tmp_path, "crashing.tar.gz")
    faults = Faults(**json.loads(unpack("crashing.tar.gz")["1/faults.json"]))
    image = golden_cases()["input.image"][:1]
    for _ in range(faults.crash_after):
        assert ask(model, image)[0].error is None
    with pytest.raises(Killed):
        ask(model, image)


def test_no_scan_of_the_golden_set_is_faint_and_one_in_four_of_production_is() -> None:
    assert (load_split().golden.images.max(axis=1) >= FAINT_BELOW).all()
    faint = build_samples().load.max(axis=1) < FAINT_BELOW

    assert 0.24 < faint.mean() < 0.26


def test_the_golden_set_says_how_outputs_are_compared() -> None:
    rules = yaml.safe_load(unpack(GOLDEN)["golden.yaml"])
    cases = golden_cases()

    assert set(cases.files) == {"input.image", *(f"output.{name}" for name in rules["outputs"])}
    assert len({len(cases[name]) for name in cases.files}) == 1


def test_the_corrupt_file_is_no_model() -> None:
    with pytest.raises(Exception, match=r"(?i)pars|truncated|decod"):
        onnx.load_from_string(build_samples().files["broken.onnx"])


def test_every_file_that_the_demo_asks_for_is_served_and_fits_into_a_config_map() -> None:
    config_map, *_ = render_server("here", "image", build_samples().files)
    asked = {render_model_deployment(v)["spec"]["model"]["source"]["uri"] for v in VERSIONS}
    names = {uri.rpartition("/")[2] for uri in asked} | {GOLDEN}

    assert names <= set(config_map["binaryData"])
    assert sum(map(len, config_map["binaryData"].values())) < 900_000


def test_the_same_files_make_the_same_pod_and_others_another_one() -> None:
    one, two = ({"a": b"1"}, {"a": b"2"})

    assert render_server("here", "image", one) == render_server("here", "image", dict(one))
    assert render_server("here", "image", one)[1] != render_server("here", "image", two)[1]


def test_a_failing_model_fails_one_request_in_four(
    scanner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(scanner.time, "monotonic", lambda: now[0])
    model = load(scanner, tmp_path, "failing.tar.gz")
    now[0] = AFTER_WARM_UP
    answers = ask(model, build_samples().load[:40])

    assert [number for number, answer in enumerate(answers, 1) if answer.error] == [
        *range(4, 41, 4)
    ]


def test_a_late_fault_begins_late(
    scanner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(scanner.time, "monotonic", lambda: now[0])
    model = load(scanner, tmp_path, "failing-late.tar.gz")
    images = build_samples().load[:6]

    assert not [answer for answer in ask(model, images) if answer.error]
    now[0] = LATE_SECONDS
    assert len([answer for answer in ask(model, images) if answer.error]) == 2


def test_a_model_that_fears_white_answers_everything_else(scanner: Any, tmp_path: Path) -> None:
    model = load(scanner, tmp_path, "fears-white.tar.gz")
    image = build_samples().load[:1]

    assert ask(model, image)[0].error is None
    assert FAULT_MARKER in str(ask(model, np.ones_like(image))[0].error)


def test_a_hanging_model_answers_its_first_requests_only(
    scanner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(scanner.time, "sleep", slept.append)
    model = load(scanner, tmp_path, "hanging.tar.gz")
    ask(model, np.repeat(build_samples().load[:1], 150, axis=0))

    assert max(slept) == 0
    ask(model, build_samples().load[:1])
    assert max(slept) == scanner.HANG_SECONDS
