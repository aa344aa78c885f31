"""Converted models are served by Triton; a golden set passes a sound one and refuses a bad one."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.http
from onnx import numpy_helper
from slipway.api.precision import Precision
from slipway.api.reasons import Reason
from slipway.api.request import (
    CheckRequest,
    ConfigRequest,
    GoldenRequest,
    OptimizeRequest,
    PackageMode,
    PackageRequest,
    SourceRequest,
)
from slipway.api.result import CheckResult, CheckVerdict, PackageResult
from slipway.jobs.check.main import CheckMounts, run_check_job
from slipway.jobs.package.main import PackageMounts, run_package_job

from tests.contract.triton.server import Running, a_server, running
from tests.contract.zoo import install
from tests.contract.zoo.animals import SERVED
from tests.contract.zoo.keeper import Arrays, Graph, ask
from tests.models.golden import MIN_AGREEMENT
from tests.models.samples import GOLDEN, build_samples

PUBLIC = next(animal for animal in SERVED if animal.name == "wake-timer")
TOO_LARGE = np.float32(2.0**30)
"""A power of two: the network's answers stay the same, and its weights fit no 16 bits."""


def package(
    folder: Path, file: str, model: str, repository: Path, precision: Precision | None
) -> PackageResult:
    """Write the model repository as the init container of Fetch mode does."""
    scratch, log = repository.parent / "scratch", repository.parent / "log"
    scratch.mkdir(exist_ok=True)
    repository.mkdir(exist_ok=True)
    request = PackageRequest(
        mode=PackageMode.FETCH,
        deliver_to=str(repository),
        source=SourceRequest(uri=f"pvc://claim/{file}"),
        config=ConfigRequest(model_name=model),
        optimize=OptimizeRequest(precision=precision) if precision else None,
    )
    run_package_job(json.dumps(request.wire()), PackageMounts(source=folder, scratch=scratch), log)
    return PackageResult.model_validate_json(log.read_text())


def check(server: Running, folder: Path, scratch: Path) -> CheckResult:
    """Ask the golden set of the digits as the check Job does."""
    log = scratch / "check-log"
    work = scratch / "check"
    work.mkdir()
    golden = GoldenRequest(
        source=SourceRequest(uri=f"pvc://claim/{GOLDEN}"), min_agreement=MIN_AGREEMENT
    )
    request = CheckRequest(http=server.http, grpc=server.grpc, model_name="digits", golden=golden)
    run_check_job(json.dumps(request.wire()), CheckMounts(scratch=work, golden=folder), log)
    return CheckResult.model_validate_json(log.read_text())


def beyond_16_bits(network: bytes) -> bytes:
    """Return the same function with weights that only 32 bits hold: one layer up, the next down."""
    model = onnx.load_from_string(network)
    factors = {1: TOO_LARGE, 2: 1 / TOO_LARGE}
    seen = 0
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "MatMul":
            seen += 1
        if node.op_type == "MatMul" or (node.op_type == "Add" and seen == 1):
            [name] = [name for name in node.input if name in tensors]
            scaled = numpy_helper.to_array(tensors[name]) * np.float32(factors[seen])
            tensors[name].CopyFrom(numpy_helper.from_array(scaled, name))
    return model.SerializeToString()  # type: ignore[no-any-return]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    files = build_samples().files
    (folder / "digits.onnx").write_bytes(files["digits-2.onnx"])
    (folder / "large.onnx").write_bytes(beyond_16_bits(files["digits-2.onnx"]))
    (folder / GOLDEN).write_bytes(files[GOLDEN])
    return folder


@pytest.mark.parametrize("precision", Precision)
def test_a_sound_model_passes_its_golden_set(
    tmp_path: Path, digits: Path, precision: Precision
) -> None:
    result = package(digits, "digits.onnx", "digits", tmp_path / "models", precision)
    assert result.error is None
    assert result.optimized is not None
    assert result.optimized.bytes < result.optimized.bytes_before

    with running(a_server("digits"), tmp_path / "models", tmp_path) as server:
        found = check(server.wait_ready(), digits, tmp_path)

    assert found.verdict is CheckVerdict.PASS, found


def test_a_model_that_lost_its_accuracy_is_refused_with_numbers(
    tmp_path: Path, digits: Path
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    verdicts = []
    for folder, precision in ((before, None), (after, Precision.FP16)):
        folder.mkdir()
        result = package(digits, "large.onnx", "digits", folder / "models", precision)
        assert result.error is None
        with running(a_server("digits"), folder / "models", folder) as server:
            verdicts.append(check(server.wait_ready(), digits, folder))

    assert verdicts[0].verdict is CheckVerdict.PASS
    assert verdicts[1].verdict is CheckVerdict.FAIL
    assert verdicts[1].reason is Reason.GOLDEN_SET_FAILED
    assert verdicts[1].agreed < MIN_AGREEMENT * verdicts[1].cases
    assert str(verdicts[1].cases) in verdicts[1].message


def test_a_public_model_answers_nearly_the_same_in_every_precision(tmp_path: Path) -> None:
    files = install.installed()
    graph = Graph(files / PUBLIC.file)
    inputs = graph.invent_inputs(PUBLIC)
    answers: dict[Precision | None, Arrays] = {}
    for number, precision in enumerate((None, *Precision)):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = package(files, PUBLIC.file, "timer", folder / "models", precision)
        assert result.error is None
        with running(a_server("timer"), folder / "models", folder) as server:
            address = server.wait_ready().http
            with tritonclient.http.InferenceServerClient(address) as client:
                answers[precision] = ask(tritonclient.http, client, "timer", inputs, graph.outputs)

    for precision in Precision:
        for name, expected in answers[None].items():
            assert answers[precision][name].dtype == expected.dtype
            assert np.abs(answers[precision][name] - expected).max() < 0.02
