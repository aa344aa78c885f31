"""What a page says: the command line's words in parts, with nothing that it does not know."""

import copy
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from slipway.cli.main import ACTIONS
from slipway.cli.objects import parse_model_deployment
from slipway.dashboard.figures import RolloutTrack
from slipway.dashboard.models import RolloutPage
from slipway.dashboard.present import Background, choose_group, make_page, make_row

from tests.unit.cli.recordings import ALL, command_line, recording

NO_LIMITS = dict.fromkeys(ACTIONS, "")
KEPT_OUT = "rejected-by-golden-set"
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m</script>"


def page_of(manifest: dict[str, Any], name: str = "progressing") -> RolloutPage:
    now = recording(name).now
    md = parse_model_deployment(manifest)
    track = RolloutTrack(now)
    track.record(md, now)
    return make_page(md, Background(track, rights=NO_LIMITS), command_line, now)


@pytest.mark.parametrize("name", ALL)
def test_every_stage_has_a_row_and_a_page(name: str) -> None:
    page = page_of(recording(name).manifest, name)
    row = make_row(recording(name).md)

    assert (page.name, row.name) == ("digits", "digits")
    assert json.loads(page.model_dump_json(by_alias=True))["stage"]["text"]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("awaiting-approval", "person"),
        ("rejected", "person"),
        ("paused", "person"),
        ("progressing", "moving"),
        ("packaging", "pending"),
        ("idle", "calm"),
    ],
)
def test_rows_are_found_by_what_people_look_for(name: str, group: str) -> None:
    assert choose_group(recording(name).md) == group


@pytest.mark.parametrize(
    ("name", "tone"), [("progressing", "plain"), ("rejected", "bad"), ("idle", "good")]
)
def test_not_ready_alarms_nobody_while_a_rollout_runs(name: str, tone: str) -> None:
    assert make_row(recording(name).md).ready.tone == tone


def test_the_steps_are_those_of_describe() -> None:
    rungs = page_of(recording("progressing").manifest).rungs

    assert [(rung.text, rung.state) for rung in rungs] == [
        ("10% (hold 1m)", "now"),
        ("50% (approval)", "ahead"),
        ("95% bake 5s", "ahead"),
        ("100% promoted", "ahead"),
    ]


def test_what_the_next_steps_name_is_suggested() -> None:
    actions = page_of(recording("awaiting-approval").manifest, "awaiting-approval").actions

    assert [action.verb for action in actions if action.is_suggested] == ["approve", "abort"]
    assert actions[1].command == "kubectl slipway approve digits -n vision"


def golden_set_of(page: RolloutPage) -> list[tuple[str, str, str, str]]:
    return [(case.name, case.input, case.expected, case.got) for case in page.cases]


def test_cases_that_disagree_have_their_input_and_both_answers() -> None:
    assert golden_set_of(page_of(recording(KEPT_OUT).manifest, KEPT_OUT)) == [
        ("2", "image [1, 64]: 0, 0, 1, 13, 9, 3, 0, 0, …", "label [1, 1]: 3", "label [1, 1]: 1"),
        ("5", "image [1, 64]: 0, 0, 8, 13, 9, 9, 0, 0, …", "label [1, 1]: 9", "label [1, 1]: 8"),
    ]


def test_an_operator_that_tells_no_cases_has_the_first_in_its_message() -> None:
    manifest = copy.deepcopy(recording(KEPT_OUT).manifest)
    [metric] = manifest["status"]["rollout"]["analysis"]
    del metric["disagreements"]
    metric["message"] = "3 of 50 cases agree; case 2: output 'label' at [0, 0] is 1, expected 3"

    page = page_of(manifest, KEPT_OUT)
    assert golden_set_of(page) == [("2", "", "3", "output 'label' at [0, 0] is 1")]


@pytest.mark.parametrize(
    "cases", [None, "text", [None, 7, "x"], [{}], [{"name": 7, "input": ["x"], "got": {"y": 1}}]]
)
def test_cases_of_another_shape_break_no_page(cases: object) -> None:
    manifest = copy.deepcopy(recording(KEPT_OUT).manifest)
    manifest["status"]["rollout"]["analysis"][0]["disagreements"] = cases

    page = page_of(manifest, KEPT_OUT)
    assert all(case.input == "" for case in page.cases)


def test_the_reason_of_an_action_is_told_beside_it() -> None:
    manifest = copy.deepcopy(recording("paused").manifest)
    manifest["status"]["lastAction"]["requestReason"] = f"lunch {HOSTILE}"
    page = page_of(manifest, "paused")

    [told] = [remark.text for remark in page.remarks if remark.label == "last action"]
    assert told.endswith(": Done; reason: lunch <img src=x onerror=alert(1)>  [31m</script>")
    assert "; reason: lunch" in next(it.text for it in page.moments if it.kind == "action")


def test_texts_of_the_cluster_stay_texts() -> None:
    manifest = copy.deepcopy(recording("progressing").manifest)
    manifest["status"]["conditions"][1]["message"] = HOSTILE
    manifest["status"]["rollout"]["analysis"][1]["name"] = HOSTILE
    page = page_of(manifest)

    assert page.message == "<img src=x onerror=alert(1)>  [31m</script>"
    assert page.metrics[1].name == page.message


def test_the_scripts_never_read_a_text_as_html() -> None:
    folder = Path(__file__).parents[4] / "operator/slipway/dashboard/static"
    for script in folder.glob("*.js"):
        written = script.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in written, f"{script.name} has {word}"


def test_a_chart_begins_with_the_values_that_the_operator_keeps() -> None:
    metric = page_of(recording("progressing").manifest).metrics[4]
    series = metric.series

    assert metric.name == "latency-mean"
    assert series.at[-1] - series.at[-2] == 30
    assert (series.estimated, len(series.at)) == (1, 2)
    assert series.stable == [None, pytest.approx(4.472, rel=1e-3)]


def test_a_chart_grows_with_every_look_and_begins_anew_with_a_rollout() -> None:
    manifest, now = copy.deepcopy(recording("progressing").manifest), recording("progressing").now
    track = RolloutTrack(now)
    for second in (0, 30, 30):
        checked = (now + timedelta(seconds=second)).isoformat()
        manifest["status"]["rollout"]["analysis"][1].update(lastCheck=checked, samples=700 + second)
        track.record(parse_model_deployment(manifest), now)
    grown = track.series("errors")

    assert grown.samples[-2:] == [700, 730]
    manifest["status"]["rollout"]["startedAt"] = now.isoformat()
    track.record(parse_model_deployment(manifest), now)
    assert track.series("errors").samples == [None, None, 730]


def test_decisions_are_noted_with_their_moments() -> None:
    manifest, now = copy.deepcopy(recording("progressing").manifest), recording("progressing").now
    track = RolloutTrack(now)
    record = partial(track.record, now=now)
    record(parse_model_deployment(manifest))
    manifest["status"]["rollout"].update(ackedWeight=50, stage="Paused")
    manifest["status"]["rollout"]["analysis"][1]["verdict"] = "Fail"
    record(parse_model_deployment(manifest))

    assert [moment.text for moment in track.moments] == [
        "rollout began",
        "10% at every proxy",
        "50% at every proxy",
        "Paused",
        "errors: Fail",
    ]
