"""A model comes out smaller, answers nearly the same, and what cannot be converted is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from slipway.api.precision import Precision
from slipway.api.reasons import Reason
from slipway.api.request import (
    ConfigRequest,
    OptimizeRequest,
    PackageMode,
    PackageRequest,
    SourceRequest,
)
from slipway.api.result import PackageResult
from slipway.jobs.optimize import onnx_file, optimize_tree
from slipway.jobs.package.main import PackageMounts, run_package_job

SIZE = 64
Convert = Callable[..., PackageResult]


def a_network(operator: str = "MatMul", *, scale: float = 1.0) -> onnx.ModelProto:
    draw = np.random.default_rng(1)
    weights = (scale * draw.standard_normal((SIZE, SIZE)) / 8).astype(np.float32)
    inputs = ["x"] if operator == "Relu" else ["x", "w"]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], name="layer")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", SIZE])],
        [] if operator == "Relu" else [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def convert(tmp_path: Path, source: Path) -> Convert:
    """Deliver the only model of the source as the init container of Fetch mode does."""

    def convert(precision: Precision, digest: str | None = None) -> PackageResult:
        log, models = tmp_path / "log", tmp_path / "models"
        models.mkdir(exist_ok=True)
        request = PackageRequest(
            mode=PackageMode.FETCH,
            deliver_to=str(models),
            source=SourceRequest(uri="pvc://claim/"),
            config=ConfigRequest(model_name="m"),
            optimize=OptimizeRequest(precision=precision, digest=digest),
        )
        mounts = PackageMounts(source=source, scratch=tmp_path / "scratch")
        run_package_job(json.dumps(request.wire()), mounts, log)
        return PackageResult.model_validate_json(log.read_text())

    return convert


def answers(path: Path) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = np.random.default_rng(2).standard_normal((4, SIZE)).astype(np.float32)
    return np.asarray(session.run(None, {"x": given})[0])


@pytest.mark.parametrize(
    ("precision", "share", "error"),
    [(Precision.FP16, 0.6, 0.01), (Precision.INT8_DYNAMIC, 0.4, 0.1)],
)
def test_a_model_gets_smaller_and_answers_nearly_the_same(
    source: Path, convert: Convert, precision: Precision, share: float, error: float
) -> None:
    onnx.save(a_network(), str(source / "net.onnx"))

    first, again = convert(precision), convert(precision)

    assert first.error is None
    assert first.optimized is not None
    assert again.optimized is not None
    assert first.optimized.digest == again.optimized.digest
    assert first.model_digest != first.optimized.digest
    assert first.optimized.bytes < share * first.optimized.bytes_before
    assert first.optimized.cpu_milliseconds is not None
    served = answers(source.parent / "models/m/1/model.onnx")
    assert np.abs(served - answers(source / "net.onnx")).max() < error


@pytest.mark.parametrize("precision", Precision)
def test_weights_beside_the_model_are_converted_with_it(
    tmp_path: Path,
    source: Path,
    convert: Convert,
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST_SINGLE_FILE", 4096)
    onnx.save(a_network(), str(source / "model.onnx"), save_as_external_data=True, location="w.bin")

    assert convert(precision).error is None

    folder = tmp_path / "models/m/1"
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert np.abs(answers(folder / "model.onnx") - answers(source / "model.onnx")).max() < 0.1


def test_other_files_than_those_that_were_checked_are_refused(
    source: Path, convert: Convert
) -> None:
    onnx.save(a_network(), str(source / "model.onnx"))

    result = convert(Precision.FP16, f"sha256:{'0' * 64}")

    assert result.error is not None
    assert result.error.reason == Reason.DIGEST_MISMATCH


def test_numbers_that_16_bits_do_not_hold_are_named(source: Path, convert: Convert) -> None:
    onnx.save(a_network(scale=1e6), str(source / "model.onnx"))

    result = convert(Precision.FP16)

    assert result.optimized is not None
    assert "w has numbers up to" in result.optimized.notes[0]


def impossible(convert: Convert, precision: Precision = Precision.INT8_DYNAMIC) -> str:
    result = convert(precision)
    assert result.error is not None
    assert result.error.reason == Reason.PRECISION_IMPOSSIBLE
    return result.error.message


@pytest.mark.parametrize("precision", Precision)
def test_a_model_without_weights_has_nothing_to_convert(
    source: Path, convert: Convert, precision: Precision
) -> None:
    onnx.save(a_network("Relu"), str(source / "model.onnx"))

    assert f"nothing to convert to {precision}" in impossible(convert, precision)


def test_a_model_of_8_bits_is_named_by_its_node(
    tmp_path: Path, source: Path, convert: Convert
) -> None:
    onnx.save(a_network(), str(source / "model.onnx"))
    assert convert(Precision.INT8_DYNAMIC).error is None
    (source / "model.onnx").write_bytes((tmp_path / "models/m/1/model.onnx").read_bytes())

    assert "8-bit numbers already" in impossible(convert)


def test_another_format_is_named(source: Path, convert: Convert) -> None:
    (source / "model.py").write_text("def auto_complete_config(config): ...")

    assert "found a model of format Python, expected ONNX" in impossible(convert)


def test_a_model_too_large_for_the_memory_is_refused_with_both_numbers(
    tmp_path: Path, source: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limit").write_text(f"{100 * 2**20}\n")
    monkeypatch.setattr(optimize_tree, "MEMORY_LIMIT", tmp_path / "limit")
    onnx.save(a_network(), str(source / "model.onnx"))

    assert "the container may use 0.1 GiB" in impossible(convert)
