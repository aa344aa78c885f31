"""The YAML of a try, and the number of its version."""

from typing import Any

import pytest
import yaml
from slipway.api.modeldeployment import ModelDeploymentSpec

from tests.try_model.deployment import FOR_THE_TRY, next_version, render_six_lines

URI = "http://try-files.slipway-try.svc:8080/mine/3/model.onnx"
SIX_LINES = render_six_lines("mine", "slipway-try", "3", URI)


def found(version: str, *history: str) -> dict[str, Any]:
    return {
        "spec": {"model": {"version": version}},
        "status": {"history": [{"version": each} for each in history]},
    }


def test_six_lines_are_a_whole_model_deployment() -> None:
    document = yaml.safe_load(SIX_LINES)
    spec = ModelDeploymentSpec.model_validate(document["spec"])

    assert SIX_LINES.count("\n") == 6
    assert document["metadata"] == {"name": "mine", "namespace": "slipway-try"}
    assert (spec.model.version, str(spec.model.source.uri)) == ("3", URI)


def test_what_is_for_the_try_only_adds_a_rollout_and_changes_nothing_else() -> None:
    alone, whole = yaml.safe_load(SIX_LINES), yaml.safe_load(SIX_LINES + FOR_THE_TRY)
    rollout = whole["spec"].pop("rollout")

    assert whole == alone
    assert ModelDeploymentSpec.model_validate({**alone["spec"], "rollout": rollout})
    assert rollout["bakeSeconds"] == 10


@pytest.mark.parametrize(
    ("before", "version"),
    [
        pytest.param(None, "1", id="first"),
        pytest.param({"spec": {"model": {"version": "1"}}}, "2", id="not looked at yet"),
        pytest.param(found("2", "1", "2"), "3", id="one more"),
        pytest.param(found("2", "1", "9", "2"), "10", id="never one that was taken"),
        pytest.param(found("champion", "champion"), "1", id="no number so far"),
    ],
)
def test_the_next_version_is_one_more_than_any_before(
    before: dict[str, Any] | None, version: str
) -> None:
    assert next_version(before) == version
