"""How the end of a try is told."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from slipway.api.modeldeployment import ModelDeploymentStatus

from tests.demo.story import Story
from tests.load.record import Record, Totals
from tests.try_model.advice import what_next
from tests.try_model.trial import Ended, describe_end, describe_requests, end_of, steady_rate

AT = "2026-01-01T00:00:00Z"
STABLE = {"revision": "aaaa0001", "version": "1", "weight": 100}
PROMOTED = Ended("2", "Promoted", "version 2 serves", stable="2", before="1")


def story(status: dict[str, Any], version: str = "2") -> Story:
    begun = Story(version, applied=0.0)
    begun.observe(1.0, ModelDeploymentStatus.model_validate({"observedGeneration": 2, **status}))
    return begun


def stalled(reason: str) -> dict[str, Any]:
    said = {"reason": reason, "message": "found something", "lastTransitionTime": AT}
    return {"conditions": [{"type": "Stalled", "status": "True", **said}]}


def test_the_history_says_how_a_version_ended() -> None:
    entry = {"version": "2", "outcome": "RolledBack", "reason": "LoadFailed: no", "at": AT}

    ended = end_of(story({"stable": STABLE, "history": [entry]}), 2)

    assert ended == Ended("2", "RolledBack", "LoadFailed: no", stable="1")


def test_what_waits_for_a_person_has_ended() -> None:
    ended = end_of(story(stalled("InvalidSpec")), 2)

    assert ended == Ended("2", "", "InvalidSpec: found something", stable="")


@pytest.mark.parametrize(
    ("status", "generation"),
    [
        pytest.param({}, 2, id="nothing is said yet"),
        pytest.param(stalled("Refused"), 2, id="the operator tries again"),
        pytest.param(stalled("RevisionRejected"), 3, id="that is about the version before"),
    ],
)
def test_a_version_that_goes_on_has_not_ended(status: dict[str, Any], generation: int) -> None:
    assert end_of(story(status), generation) is None


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (PROMOTED, "version 2 was promoted: it has all of the traffic"),
        (
            Ended("2", "RolledBack", "LoadFailed:\n no", stable="1"),
            "version 2 was not promoted (RolledBack): LoadFailed: no; version 1 goes on serving",
        ),
        (
            Ended("1", "", "no end in 300 s: waiting", stable=""),
            "version 1 was not promoted: no end in 300 s: waiting; no version serves",
        ),
    ],
)
def test_an_end_is_one_line(ended: Ended, line: str) -> None:
    assert describe_end(ended) == line


def test_requests_are_counted_with_what_was_seen_of_failures() -> None:
    told = describe_requests(Totals(900, 7, 5), "7 times '500 no'", rate=50, seen=49)

    assert told.startswith("900 requests: 7 failed, 2 of them lost")
    assert "7 times '500 no'" in told
    assert "instead of" not in told


def test_a_model_that_holds_the_load_up_is_named() -> None:
    assert "about 9 a second instead of 50" in describe_requests(Totals(90), "", rate=50, seen=9)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "my model.onnx"
    path.write_bytes(bytes(1_000))
    return path


def test_what_was_promoted_may_be_broken_and_taken_back(model: Path) -> None:
    said = what_next(PROMOTED, "yours", "slipway-try", model)

    assert "The next file is version 3" in said
    assert f"head -c 500 '{model}' > build/truncated.onnx" in said
    assert "make try MODEL=build/other-input.onnx NAME=yours" in said
    assert "kubectl slipway rollback yours -n slipway-try" in said
    assert said.endswith("kubectl delete namespace slipway-try")


def test_the_first_version_has_nothing_to_go_back_to(model: Path) -> None:
    said = what_next(dataclasses.replace(PROMOTED, before=""), "mine", "slipway-try", model)

    assert "rollback" not in said
    assert "NAME=" not in said


def test_what_was_rejected_is_mended(model: Path) -> None:
    ended = Ended("2", "RejectedBySignature", "other dims", stable="1", before="1")

    said = what_next(ended, "mine", "slipway-try", model)

    assert f"it is version 3:\n  make try MODEL='{model}'" in said
    assert "Break it" not in said


@pytest.mark.parametrize(
    ("sent", "rate"),
    [
        pytest.param([1, 4, 20, 50, 50, 49, 50, 50, 12], 50, id="the last second is not whole"),
        pytest.param([1, 4, 20, 50, 50, 49], None, id="too few to say"),
        pytest.param([], None, id="none"),
    ],
)
def test_a_rate_is_that_of_most_seconds_after_the_first(sent: list[int], rate: int | None) -> None:
    records = [Record(t, counts=Totals(count)) for t, count in enumerate(sent)]

    assert steady_rate(records) == rate


def test_a_request_is_shown_where_there_is_one(model: Path) -> None:
    said = what_next(PROMOTED, "mine", "slipway-try", model, "build/mine-request.json")

    assert "8000/v2/models/mine/infer -d @build/mine-request.json" in said
    assert "curl" not in what_next(PROMOTED, "mine", "slipway-try", model)
