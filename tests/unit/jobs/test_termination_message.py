import errno
import json
import os
import signal
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.result import (
    EXIT_OK,
    EXIT_PERMANENT,
    EXIT_TRANSIENT,
    MAX_BYTES,
    CaseDisagreement,
    CheckResult,
    JobError,
    PackageResult,
    Signature,
    TensorSpec,
)
from slipway.errors import JobFailure, RegistryRefused, RegistryUnavailable
from slipway.jobs.termination_message import run_and_report, serialize_result


def run(folder: Path, error: BaseException | None) -> tuple[int, PackageResult]:
    def work() -> PackageResult:
        if error is not None:
            raise error
        return PackageResult(bytes=7)

    def failed(job_error: JobError) -> PackageResult:
        return PackageResult(error=job_error)

    log = folder / "log"
    code = run_and_report(work, failed, log)
    return code, PackageResult.model_validate_json(log.read_text())


def test_a_result_is_written_and_ends_with_zero(tmp_path: Path) -> None:
    assert run(tmp_path, None) == (EXIT_OK, PackageResult(bytes=7))


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (JobFailure(Reason.DIGEST_MISMATCH, "no"), Reason.DIGEST_MISMATCH, EXIT_PERMANENT),
        (
            JobFailure(Reason.SOURCE_UNAVAILABLE, "later", transient=True),
            Reason.SOURCE_UNAVAILABLE,
            EXIT_TRANSIENT,
        ),
        (RegistryRefused("denied"), Reason.REGISTRY_REFUSED, EXIT_PERMANENT),
        (RegistryUnavailable("503"), Reason.REGISTRY_UNAVAILABLE, EXIT_TRANSIENT),
        (OSError(errno.ENOSPC, "full"), Reason.STORAGE_FULL, EXIT_TRANSIENT),
        (OSError(errno.EIO, "broken"), Reason.INTERNAL_ERROR, EXIT_PERMANENT),
        (KeyError("a bug"), Reason.INTERNAL_ERROR, EXIT_PERMANENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_becomes_a_reason_and_an_exit_code(
    tmp_path: Path, error: Exception, reason: Reason, code: int
) -> None:
    ended, result = run(tmp_path, error)

    assert result.error is not None
    assert (ended, result.error.reason) == (code, reason)
    assert result.error.transient == (code == EXIT_TRANSIENT)


def test_the_end_of_the_pod_is_no_failure_of_the_model(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work() -> PackageResult:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("SIGTERM was ignored")

    code = run_and_report(work, lambda error: PackageResult(error=error), tmp_path / "log")

    error = PackageResult.model_validate_json((tmp_path / "log").read_text()).error
    assert error is not None
    assert (code, error.reason) == (EXIT_TRANSIENT, Reason.INTERRUPTED)
    assert signal.getsignal(signal.SIGTERM) is before


def test_texts_are_cut_until_the_result_fits(tmp_path: Path) -> None:
    _, result = run(tmp_path, JobFailure(Reason.CONFIG_INVALID, "\u00e4" * 10_000))

    assert result.error is not None
    assert result.error.message.startswith("\u00e4\u00e4")
    assert result.error.message.endswith("\u2026")
    assert len((tmp_path / "log").read_bytes()) <= MAX_BYTES


def test_names_and_digests_are_never_cut() -> None:
    image = f"registry.local/{'x' * 230}@sha256:{'a' * 64}"
    result = PackageResult(image=image, warnings=["w" * 900] * 40)

    text = serialize_result(result.wire())

    assert len(text.encode()) <= MAX_BYTES
    assert json.loads(text)["image"] == image


def test_a_signature_that_does_not_fit_is_left_out_whole() -> None:
    tensors = [TensorSpec(name=f"tensor-{index}", datatype="FP32", dims=[1]) for index in range(99)]
    result = PackageResult(signature=Signature(inputs=tensors), bytes=7)

    cut = PackageResult.model_validate_json(serialize_result(result.wire()))

    assert cut.signature is None
    assert cut.bytes == 7
    assert cut.warnings == ["the signature is too long to report"]


def test_cases_that_disagree_give_way_to_everything_else() -> None:
    cases = [CaseDisagreement(name=str(number), text="x" * 160) for number in range(5)]
    tensors = [TensorSpec(name=f"tensor-{index}", datatype="FP32", dims=[1]) for index in range(42)]
    result = CheckResult(
        message="m" * 300, signature=Signature(inputs=tensors), disagreements=cases
    )

    cut = CheckResult.model_validate_json(serialize_result(result.wire()))

    assert 0 < len(cut.disagreements) < 5
    assert cut.disagreements == cases[: len(cut.disagreements)]
    assert (cut.message, cut.signature) == (result.message, result.signature)
    without = CheckResult.model_validate_json(
        serialize_result({**result.wire(), "message": "m" * 9000})
    )
    assert without.disagreements == []
    assert without.message.endswith("…")


@pytest.mark.parametrize("key", ["serverVersion", "format"])
def test_whatever_does_not_fit_is_left_out_and_the_rest_stays(key: str) -> None:
    digest = f"sha256:{'a' * 64}"
    wire = {**PackageResult(model_digest=digest, bytes=7).wire(), key: "v" * 5_000}

    text = serialize_result(wire)

    cut = PackageResult.model_validate_json(text)
    assert len(text.encode()) <= MAX_BYTES
    assert (cut.model_digest, cut.bytes) == (digest, 7)
    assert cut.warnings == [f"the {key} is too long to report"]


def test_a_name_that_is_no_utf_8_can_be_reported(tmp_path: Path) -> None:
    _, result = run(tmp_path, JobFailure(Reason.SOURCE_REFUSED, "found \udcff, expected a name"))

    assert result.error is not None
    assert result.error.message == "found ?, expected a name"
