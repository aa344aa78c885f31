import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from slipway.api.golden import Regression
from slipway.api.reasons import Reason
from slipway.api.request import CheckRequest, GoldenRequest, SourceRequest
from slipway.api.result import (
    CheckResult,
    CheckVerdict,
    Signature,
    StableComparison,
    TensorSpec,
)
from slipway.jobs.check.main import CheckMounts, run_check_job

from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running

RULES = {
    "probabilities": {"compare": "Tolerance", "rtol": 0.001},
    "label": {"compare": "Equal"},
}
SIGNATURE = Signature(
    inputs=[
        TensorSpec(name="pixels", datatype="FP32", dims=[-1, 4]),
        TensorSpec(name="scale", datatype="FP32", dims=[-1, 1], optional=True),
    ],
    outputs=[
        TensorSpec(name="probabilities", datatype="FP32", dims=[-1, 4]),
        TensorSpec(name="label", datatype="BYTES", dims=[-1, 1]),
    ],
    max_batch_size=8,
)

Check = Callable[[CheckRequest], tuple[int, CheckResult]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    repository = tmp_path_factory.mktemp("repository")
    models.add_classifier(repository)
    models.add_mirror(repository)
    models.add_onnx(repository)
    models.add_stateful(repository)
    models.add_stateful(repository, "named", "TYPE_STRING")
    models.add_streaming(repository)
    models.add_slow(repository)
    scratch = tmp_path_factory.mktemp("scratch")
    with running(a_server("digits"), repository, scratch) as server:
        yield server.wait_ready()


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Run the program as its Job does; the claim with the golden set is the test's folder."""

    def check(request: CheckRequest) -> tuple[int, CheckResult]:
        log, scratch = tmp_path / "termination-log", tmp_path / "scratch"
        scratch.mkdir()
        code = run_check_job(
            json.dumps(request.wire()), CheckMounts(scratch=scratch, golden=tmp_path), log
        )
        return code, CheckResult.model_validate_json(log.read_text())

    return check


@pytest.fixture
def pixels() -> npt.NDArray[np.float32]:
    return np.random.default_rng(7).uniform(0, 3, size=(40, 4)).astype(np.float32)


def softmax(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    power = np.exp(pixels - pixels.max(axis=1, keepdims=True))
    share: npt.NDArray[np.float32] = (power / power.sum(axis=1, keepdims=True)).astype(np.float32)
    return share


def labels(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.str_]:
    return np.array([[f"class-{best}"] for best in pixels.argmax(axis=1)])


def write_arrays(folder: Path, rules: dict[str, Any], **arrays: npt.NDArray[Any]) -> None:
    golden = folder / "golden"
    golden.mkdir()
    (golden / "golden.yaml").write_text(yaml.safe_dump({"outputs": rules}))
    named = {name.replace("_", ".", 1): array for name, array in arrays.items()}
    np.savez(golden / "cases.npz", allow_pickle=False, **named)


def write_case(folder: Path, rules: dict[str, Any], case: dict[str, Any]) -> None:
    cases = folder / "golden/cases"
    cases.mkdir(parents=True)
    (cases.parent / "golden.yaml").write_text(yaml.safe_dump({"outputs": rules}))
    (cases / "first.json").write_text(json.dumps(case))


def an_order(server: Running, *, share: float = 1.0, **changes: Any) -> CheckRequest:
    source = SourceRequest(uri="pvc://claim/golden")
    values = {
        "http": server.http,
        "grpc": server.grpc,
        "model_name": "digits",
        "golden": GoldenRequest(source=source, min_agreement=share),
        "timeout_seconds": 60,
    }
    return CheckRequest(**(values | changes))


def test_a_model_that_answers_as_recorded_passes(
    server: Running, check: Check, tmp_path: Path, pixels: npt.NDArray[np.float32]
) -> None:
    write_arrays(
        tmp_path,
        RULES,
        input_pixels=pixels,
        output_probabilities=softmax(pixels),
        output_label=labels(pixels),
    )
    code, result = check(an_order(server, stable_http=server.http))

    assert (code, result.verdict, result.reason) == (
        0,
        CheckVerdict.PASS,
        Reason.GOLDEN_SET_PASSED,
    )
    assert (result.agreed, result.cases) == (40, 40)
    assert result.message == (
        "40 of 40 cases agree (1.000, needed 1.000, at least 0.928 with 95% confidence); "
        "compared with stable: 0 worse, 0 better, p = 1; same signature as stable"
    )
    assert result.signature == SIGNATURE
    assert result.golden_digest is not None


def test_shuffled_labels_fail_with_the_numbers_and_the_first_case(
    server: Running, check: Check, tmp_path: Path, pixels: npt.NDArray[np.float32]
) -> None:
    expected = softmax(pixels)
    expected[3:7] = np.roll(expected[3:7], 1, axis=1)

    write_arrays(
        tmp_path,
        {"probabilities": {"compare": "ArgMax"}},
        input_pixels=pixels,
        output_probabilities=expected,
    )
    code, result = check(an_order(server, share=0.95))
    best = int(pixels[3].argmax())

    assert (code, result.verdict) == (0, CheckVerdict.FAIL)
    assert result.reason is Reason.GOLDEN_SET_FAILED
    assert result.message == (
        "36 of 40 cases agree (0.900, needed 0.950, at least 0.786 with 95% confidence); "
        f"case 3: output 'probabilities' argmax {best}, expected {(best + 1) % 4}"
    )


def test_a_share_of_disagreeing_cases_may_be_allowed(
    server: Running, check: Check, tmp_path: Path, pixels: npt.NDArray[np.float32]
) -> None:
    wrong = labels(pixels)
    wrong[0] = "class-9"
    write_arrays(tmp_path, {"label": {"compare": "Equal"}}, input_pixels=pixels, output_label=wrong)
    code, result = check(an_order(server, share=0.97))
    assert (code, result.verdict, result.agreed) == (0, CheckVerdict.PASS, 39)
    assert "expected 'class-9'" in result.message


def test_an_error_of_the_model_is_a_disagreement_with_its_text(
    server: Running, check: Check, tmp_path: Path, pixels: npt.NDArray[np.float32]
) -> None:
    expected = softmax(pixels)
    pixels[5] = -1
    write_arrays(
        tmp_path,
        {"probabilities": {"compare": "ArgMax"}},
        input_pixels=pixels,
        output_probabilities=expected,
    )
    code, result = check(an_order(server))
    assert (code, result.verdict, result.agreed) == (0, CheckVerdict.FAIL, 39)
    assert "case 5: the server answered 500: negative pixel" in result.message


def test_a_request_that_the_model_refuses_is_a_disagreement(
    server: Running, check: Check, tmp_path: Path
) -> None:
    write_arrays(
        tmp_path,
        {"label": {"compare": "Equal"}},
        input_pixels=np.zeros((2, 7), np.float32),
        output_label=np.array([["class-0"], ["class-0"]]),
    )
    code, result = check(an_order(server))
    assert (code, result.verdict, result.agreed) == (0, CheckVerdict.FAIL, 0)
    assert "the server answered 400" in result.message


def test_an_output_of_another_type_fails_at_once(
    server: Running, check: Check, tmp_path: Path, pixels: npt.NDArray[np.float32]
) -> None:
    write_arrays(
        tmp_path,
        {"probabilities": {"compare": "Tolerance"}},
        input_pixels=pixels,
        output_probabilities=softmax(pixels).astype(np.float64),
    )
    code, result = check(an_order(server, share=0.0))
    assert (code, result.verdict) == (0, CheckVerdict.FAIL)
    assert "output 'probabilities' is FP32, expected FP64" in result.message


def test_every_type_survives_json_and_both_protocols(
    server: Running, check: Check, tmp_path: Path
) -> None:
    data: dict[str, list[Any]] = {
        "BOOL": [True, False],
        "UINT8": [0, 255],
        "INT8": [-128, 127],
        "INT64": [-(2**63), 2**63 - 1],
        "UINT64": [0, 2**64 - 1],
        "FP16": [0.5, -2],
        "FP64": [1e300, 0.1],
        "STRING": ["ä", ""],
    }

    def tensors(side: str) -> list[dict[str, Any]]:
        return [
            {
                "name": f"{side}_{kind}",
                "datatype": "BYTES" if kind == "STRING" else kind,
                "shape": [2],
                "data": values,
            }
            for kind, values in data.items()
        ]

    write_case(
        tmp_path,
        {f"out_{kind}": {"compare": "Equal"} for kind in data},
        {"inputs": tensors("in"), "outputs": tensors("out")},
    )
    code, result = check(an_order(server, model_name="mirror"))
    assert (code, result.verdict, result.message) == (
        0,
        CheckVerdict.PASS,
        "1 of 1 cases agree (1.000, needed 1.000, at least 0.050 with 95% confidence)",
    )


def test_an_onnx_model_answers_as_recorded(server: Running, check: Check, tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = x + np.array([1, 2, 3], np.float32)
    write_arrays(tmp_path, {"y": {"compare": "Tolerance"}}, input_x=x, output_y=y)
    _, result = check(an_order(server, model_name="sum"))
    assert (result.verdict, result.agreed) == (CheckVerdict.PASS, 2)


def test_without_a_golden_set_the_signature_alone_decides(server: Running, check: Check) -> None:
    code, result = check(an_order(server, golden=None, stable_http=server.http))
    assert (code, result.verdict, result.reason) == (
        0,
        CheckVerdict.PASS,
        Reason.NO_GOLDEN_SET,
    )
    assert result.message == "no golden set; same signature as stable"


def test_a_changed_signature_fails_before_the_golden_set_is_fetched(
    server: Running, check: Check, tmp_path: Path
) -> None:
    repository = tmp_path / "stable"

    models.add_onnx(repository, "digits")
    with running(a_server("digits"), repository, tmp_path) as stable:
        stable.wait_ready()
        code, result = check(an_order(server, stable_http=stable.http))

    assert (code, result.verdict, result.reason) == (
        0,
        CheckVerdict.FAIL,
        Reason.SIGNATURE_CHANGED,
    )
    assert result.message == (
        "signature differs from stable's: input 'x' is gone; input 'pixels' is new and required; "
        "output 'y' is gone; output 'probabilities' is new; output 'label' is new; today's clients "
        "would fail: serve this version as another ModelDeployment"
    )


@pytest.mark.parametrize("regression", list(Regression))
def test_enough_agreement_is_not_enough_where_stable_is_better_on_the_same_cases(
    server: Running,
    check: Check,
    tmp_path: Path,
    pixels: npt.NDArray[np.float32],
    regression: Regression,
) -> None:
    """The candidate, the running server, answers 30 of 40 as recorded; stable answers all."""
    recorded = softmax(pixels)
    recorded[:10] = np.roll(recorded[:10], 1, axis=1)
    rules = {"probabilities": {"compare": "ArgMax"}}

    write_arrays(tmp_path, rules, input_pixels=pixels, output_probabilities=recorded)
    repository = tmp_path / "stable"
    models.add_classifier(repository)
    memory = {
        tuple(row.tolist()): int(best.argmax()) for row, best in zip(pixels, recorded, strict=True)
    }
    models.learn(repository / "digits/1/model.py", memory)
    source = SourceRequest(uri="pvc://claim/golden")
    golden = GoldenRequest(source=source, min_agreement=0.5, regression=regression)
    with running(a_server("digits"), repository, tmp_path) as stable:
        stable.wait_ready()
        _, result = check(an_order(server, golden=golden, stable_http=stable.http))
    failed = regression is Regression.FAIL

    assert result.verdict is (CheckVerdict.FAIL if failed else CheckVerdict.PASS)
    assert (result.reason is Reason.GOLDEN_SET_REGRESSED) is failed
    assert result.stable == StableComparison(agreed=40, worse=10, better=0, p=0.001953)
    assert "compared with stable: 10 worse, 0 better, p = 0.002" in result.message


def test_a_stable_that_is_down_does_not_stop_its_repair(
    server: Running, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.jobs.check.check_candidate.STABLE_SECONDS", 0.5)
    code, result = check(an_order(server, golden=None, stable_http=nobody()))
    assert (code, result.verdict) == (0, CheckVerdict.PASS)
    assert "stable" not in result.message


@pytest.mark.parametrize("silent", ["http", "grpc"])
def test_an_unreachable_server_is_inconclusive_and_tried_again(
    server: Running, check: Check, silent: str
) -> None:
    order = an_order(server, golden=None, timeout_seconds=1)
    code, result = check(order.model_copy(update={silent: nobody()}))
    assert (code, result.verdict) == (75, CheckVerdict.INCONCLUSIVE)
    assert result.error is not None
    assert result.error.reason == "ServerUnreachable"


def test_a_wrong_golden_set_judges_nobody(server: Running, check: Check, tmp_path: Path) -> None:
    write_case(tmp_path, {"label": {"compare": "Close"}}, {})
    code, result = check(an_order(server))
    assert (code, result.verdict) == (1, CheckVerdict.INCONCLUSIVE)
    assert result.error is not None
    assert result.error.reason == "GoldenSetInvalid"
    assert result.error.message.startswith("golden set, golden.yaml: outputs.label: ")


# ── Models that want to be asked in another way ──

X = np.arange(1, 7, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("name", ["counter", "named"])
def test_a_stateful_model_is_asked_a_sequence_per_case(
    server: Running, check: Check, tmp_path: Path, name: str
) -> None:
    write_arrays(tmp_path, {"y": {"compare": "Tolerance"}}, input_x=X, output_y=X)
    _, result = check(an_order(server, model_name=name, stable_http=server.http))

    assert (result.verdict, result.agreed) == (CheckVerdict.PASS, 2), result.message
    assert result.stable is not None


def test_a_stateful_model_that_answers_otherwise_fails(
    server: Running, check: Check, tmp_path: Path
) -> None:
    write_arrays(tmp_path, {"y": {"compare": "Tolerance"}}, input_x=X, output_y=X + 1)
    _, result = check(an_order(server, model_name="counter"))

    assert (result.verdict, result.reason) == (CheckVerdict.FAIL, Reason.GOLDEN_SET_FAILED)
    assert "output 'y' at [0, 0] is 1, expected 2" in result.message


@pytest.mark.parametrize("rows", [1, 2], ids=["its first response", "the whole stream"])
def test_a_streaming_model_is_asked_by_a_stream(
    server: Running, check: Check, tmp_path: Path, rows: int
) -> None:
    write_case(tmp_path, {"y": {"compare": "Tolerance"}}, a_stream(X[0], rows))
    order = an_order(server, model_name="stream", stable_http=server.http, stable_grpc=server.grpc)
    _, result = check(order)

    assert (result.verdict, result.agreed) == (CheckVerdict.PASS, 1), result.message
    assert result.stable == StableComparison(agreed=1, worse=0, better=0, p=1)


def test_an_error_in_a_stream_is_a_disagreement_with_its_text(
    server: Running, check: Check, tmp_path: Path
) -> None:
    write_case(tmp_path, {"y": {"compare": "Tolerance"}}, a_stream(-X[0], 1))
    _, result = check(an_order(server, model_name="stream"))

    assert result.verdict is CheckVerdict.FAIL
    assert "the server answered: negative number" in result.message


def test_a_streaming_model_without_grpc_is_not_judged(
    server: Running, check: Check, tmp_path: Path
) -> None:
    write_case(tmp_path, {"y": {"compare": "Tolerance"}}, a_stream(X[0], 1))
    code, result = check(an_order(server, model_name="stream", grpc=None))

    assert (code, result.verdict) == (1, CheckVerdict.INCONCLUSIVE)
    assert result.error is not None
    assert result.error.reason == "GoldenSetNotAskable"
    assert "spec.server.protocols has HTTP only" in result.error.message


def test_a_check_that_is_too_slow_says_how_far_it_came(
    server: Running, check: Check, tmp_path: Path
) -> None:
    cases = np.ones((100, 3), np.float32)
    write_arrays(tmp_path, {"y": {"compare": "Tolerance"}}, input_x=cases[:, :], output_y=cases)
    code, result = check(an_order(server, model_name="slow", timeout_seconds=2))

    assert (code, result.verdict) == (1, CheckVerdict.INCONCLUSIVE)
    assert result.error is not None
    assert result.error.reason == "CheckTimedOut"
    assert (
        " of 100 cases were answered within 2 s; all cases would take about "
        in result.error.message
    )


def a_stream(x: npt.NDArray[np.float32], rows: int) -> dict[str, Any]:
    y = np.concatenate([x, 2 * x])[: 3 * rows]
    return {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": x.tolist()}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [rows, 3], "data": y.tolist()}],
    }


def nobody() -> str:
    """Return an address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return f"127.0.0.1:{opened.getsockname()[1]}"
