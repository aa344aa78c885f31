"""Stories, reports and lines: what the demo makes of the statuses and records that it saw."""

from dataclasses import asdict, replace

import pytest
from slipway.api.modeldeployment import (
    AnalysisStatus,
    HistoryEntry,
    LastRollback,
    ModelDeploymentStatus,
    Outcome,
    RevisionStatus,
    RolloutStatus,
    ShadowState,
    ShadowStatus,
    Stage,
)

from tests.demo.report import Report, Seconds, find_problems, render_summary, report_version
from tests.demo.story import SampleCounts, Story
from tests.demo.timeline import Moment, Timeline, render_line
from tests.demo.versions import VERSIONS
from tests.load.record import Record, Totals

OLD = RevisionStatus(revision="aaaa0001", version="1", weight=100)
NEW = RevisionStatus(revision="bbbb0002", version="2", image="repo@sha256:abc")
ERRORS = AnalysisStatus(
    name="errors",
    verdict="Fail",
    candidate=0.08,
    baseline=0.0,
    limit=0.002,
    samples=50,
    baseline_samples=950,
)


def status(
    stage: Stage,
    *,
    weight: int | None = None,
    analysis: tuple[AnalysisStatus, ...] = (),
    outcome: Outcome | None = None,
) -> ModelDeploymentStatus:
    """Return a status of version 2 beside version 1; `weight` None: it has no pods."""
    ended = HistoryEntry(
        revision="bbbb0002",
        version="2",
        outcome=outcome or Outcome.PROMOTED,
        reason="because",
        at="2026-11-21T10:00:09.000Z",
    )
    return ModelDeploymentStatus(
        stable=OLD,
        candidate=None if weight is None else NEW.model_copy(update={"weight": weight}),
        rollout=RolloutStatus(stage=stage, step=1, steps=3, analysis=list(analysis)),
        history=[ended] if outcome else [],
    )


def rolled_back() -> Story:
    story = Story("2", applied=1000.0)
    story.observe(1000.1, status(Stage.IDLE))
    story.observe(1001.0, status(Stage.PACKAGING))
    story.observe(1003.0, status(Stage.STARTING, weight=0))
    story.observe(1005.0, status(Stage.PROGRESSING, weight=5))
    story.observe(1010.0, status(Stage.ROLLING_BACK, weight=5, analysis=(ERRORS,)))
    story.observe(1010.5, status(Stage.ROLLING_BACK, weight=0, analysis=(ERRORS,)))

    end = status(Stage.IDLE, outcome=Outcome.ROLLED_BACK)
    back = LastRollback.model_validate(
        {
            "from": "bbbb0002",
            "trigger": "analysis",
            "decidedAt": "2026-11-21T10:00:08.000Z",
            "trafficRestoredAt": "2026-11-21T10:00:08.250Z",
        }
    )
    story.observe(1012.0, end.model_copy(update={"last_rollback": back}))
    return story


def second(t: int, *, old: int, new: int, failed: int = 0, by_model: int = 0) -> Record:
    counts = Totals(old + new, failed, by_model)
    return Record(t=t, counts=counts, revisions={"aaaa0001": old, "bbbb0002": new})


def test_stages_last_as_long_as_they_were_seen() -> None:
    seconds = rolled_back().stage_seconds(until=1020.0)

    assert seconds == pytest.approx(
        {"Packaging": 2.0, "Starting": 2.0, "Progressing": 5.0, "RollingBack": 2.0}
    )


def test_the_decision_is_reported_from_the_status() -> None:
    story = rolled_back()

    assert story.end is not None
    assert (story.end.outcome, story.revision) == (Outcome.ROLLED_BACK, "bbbb0002")
    assert story.decision_to_zero_seconds == 0.25
    assert story.samples == SampleCounts(candidate=50, stable=950)


def test_a_version_under_way_has_not_ended() -> None:
    story = Story("2", applied=1000.0)
    assert story.end is None

    story.observe(1001.0, status(Stage.ROLLING_BACK, weight=0, outcome=Outcome.ROLLED_BACK))

    assert story.end is None


def test_an_earlier_end_of_the_same_version_does_not_count() -> None:
    story = Story("2", applied=1000.0, known=1)
    story.observe(1001.0, status(Stage.IDLE, outcome=Outcome.PROMOTED))

    assert story.end is None


def test_a_version_that_no_client_reached_has_no_time_to_weight_0() -> None:
    story = Story("2", applied=1000.0)
    story.observe(1001.0, status(Stage.CHECKING, weight=0))
    back = rolled_back().status
    assert back is not None

    story.observe(1002.0, back)

    assert story.decision_to_zero_seconds is None


def test_a_promotion_has_ended_when_every_proxy_sends_all_to_it() -> None:
    promoted = status(Stage.IDLE, outcome=Outcome.PROMOTED)
    story = Story("2", applied=1000.0)
    for weight, has_ended in ((95, False), (100, True)):
        stable = NEW.model_copy(update={"weight": weight})

        story.observe(1001.0, promoted.model_copy(update={"stable": stable}))

        assert (story.end is not None) is has_ended


def test_a_promotion_rests_on_the_last_count_of_the_bake_and_not_on_its_first() -> None:
    story = Story("2", applied=1000.0)
    answering = AnalysisStatus(name="traffic", verdict="Pass", samples=2, baseline_samples=0)
    story.observe(1001.0, status(Stage.BAKING, weight=95, analysis=(answering,)))

    last = answering.model_copy(update={"samples": 1053, "baseline_samples": 61})
    promoted = status(Stage.IDLE, analysis=(last,), outcome=Outcome.PROMOTED)
    story.observe(1002.0, promoted.model_copy(update={"stable": NEW}))

    assert story.samples == SampleCounts(candidate=1053, stable=61)


def test_the_golden_sets_cases_are_no_samples_of_traffic() -> None:
    golden = AnalysisStatus(name="golden-set", verdict="Pass", samples=150)
    story = Story("2", applied=1000.0)

    story.observe(1001.0, status(Stage.PROGRESSING, weight=5, analysis=(golden, ERRORS)))

    assert story.samples == SampleCounts(candidate=50, stable=950)
    assert story.golden_set == golden


def test_a_verdict_of_the_step_before_is_not_this_steps() -> None:
    began = "2026-11-21T10:00:05.000Z"
    for checked, count in (("2026-11-21T10:00:04.000Z", 0), ("2026-11-21T10:00:06.000Z", 1)):
        entry = ERRORS.model_copy(update={"last_check": checked})
        now = status(Stage.PROGRESSING, weight=25, analysis=(entry,))
        assert now.rollout is not None
        rollout = now.rollout.model_copy(update={"step_started_at": began})
        story = Story("2", applied=1000.0)

        story.observe(1001.0, now.model_copy(update={"rollout": rollout}))

        assert len(story.analysis) == count


def test_samples_that_decided_nothing_are_not_those_of_the_decision() -> None:
    story = Story("2", applied=1000.0)
    story.observe(1001.0, status(Stage.PROGRESSING, weight=5, analysis=(ERRORS,)))
    few = {"verdict": "Inconclusive", "samples": 9, "baseline_samples": 1}
    early = ERRORS.model_copy(update=few)

    story.observe(1002.0, status(Stage.BAKING, weight=95, analysis=(early,)))

    assert story.samples == SampleCounts(candidate=50, stable=950)
    assert story.samples_now == SampleCounts(candidate=9, stable=1)


def test_numbers_of_the_rollout_before_are_not_this_versions() -> None:
    story = Story("2", applied=1000.0)

    story.observe(1001.0, status(Stage.CHECKING, weight=0, analysis=(ERRORS,)))

    assert story.samples == SampleCounts()


def test_the_client_counts_the_share_under_every_weight() -> None:
    before = [second(t, old=100, new=0) for t in range(1001, 1004)]
    during = [second(t, old=95, new=5, failed=1, by_model=1) for t in range(1005, 1009)]

    report = report_version(
        rolled_back(), [*before, *during, second(1015, old=100, new=0)], end=1020.0
    )

    seen = [(w.at, w.candidate_percent, w.requests) for w in report.weights_seen_by_client]
    assert seen == [(1.0, 0.0, 300), (5.0, 5.0, 400), (15.0, 0.0, 100)]
    assert report.client == Totals(sent=800, failed=4, failed_by_model=4)


def test_a_second_in_which_the_weight_changes_counts_under_none() -> None:
    mixed = [second(1004, old=99, new=1), second(1010, old=98, new=2)]

    assert report_version(rolled_back(), mixed, end=1020.0).weights_seen_by_client == []


def test_the_report_has_the_documented_form() -> None:
    report = Report([report_version(rolled_back(), [], 1020.0)], Totals(), Seconds())

    assert set(asdict(report)) == {"versions", "client_total", "seconds"}

    version = asdict(report)["versions"][0]
    assert set(version) == {
        *("version", "outcome", "reason", "revision", "image", "stage_seconds"),
        *("weights_seen_by_client", "client", "samples_at_decision", "pairs"),
        "decision_to_zero_seconds",
    }
    assert set(version["client"]) == {"sent", "failed", "failed_by_model"}
    assert set(asdict(report)["seconds"]) == {"cluster", "images", "install", "models", "rollouts"}


GOOD_TOTAL = Totals(sent=1000, failed=4, failed_by_model=4)


def good_report() -> Report:
    told = report_version(rolled_back(), [], 1020.0)
    versions = [
        replace(told, version=v.version, outcome=v.expected, revision=f"{v.version}" * 8)
        for v in VERSIONS
    ]
    return Report(versions, GOOD_TOTAL)


def test_right_outcomes_without_a_lost_request_are_no_problem() -> None:
    assert find_problems(good_report(), VERSIONS, []) == []


@pytest.mark.parametrize("index", range(len(VERSIONS)))
def test_every_wrong_outcome_is_a_problem(index: int) -> None:
    report = good_report()
    report.versions[index] = replace(report.versions[index], outcome="Superseded")

    (problem,) = find_problems(report, VERSIONS, [])

    assert problem == (
        f"version {index + 1}: expected {VERSIONS[index].expected}, found Superseded"
    )


def test_a_version_that_is_missing_is_a_problem() -> None:
    report = good_report()
    report.versions.pop()

    assert find_problems(report, VERSIONS, []) == [
        "version 5: expected RejectedByShadow, found no end"
    ]


def test_a_lost_request_is_a_problem_and_says_what_the_client_saw() -> None:
    report = good_report()
    report.client_total = Totals(sent=1000, failed=5, failed_by_model=4)
    records = [replace(second(1000, old=1, new=0), causes={"503 no healthy upstream": 1})]

    (problem,) = find_problems(report, VERSIONS, records)

    assert problem == "1 of 1,000 requests were lost: 1 times '503 no healthy upstream'"


@pytest.mark.parametrize("number", [3, 5])
def test_a_version_that_was_rejected_must_not_have_answered_anybody(number: int) -> None:
    records = [replace(second(1000, old=99, new=0), revisions={"aaaa0001": 99, "cccc0003": 1})]
    report = good_report()
    report.versions[number - 1] = replace(report.versions[number - 1], revision="cccc0003")

    assert find_problems(report, VERSIONS, records) == [
        f"version {number} was rejected, but answered clients before"
    ]


def test_no_load_at_all_shows_nothing() -> None:
    report = good_report()
    report.client_total = Totals()

    assert len(find_problems(report, VERSIONS, [])) == 1


def test_a_line_has_weights_samples_and_the_verdict_with_its_numbers() -> None:
    story = Story("2", applied=1000.0)
    story.observe(1005.0, status(Stage.PROGRESSING, weight=5, analysis=(ERRORS,)))
    records = [second(1004, old=95, new=5)]

    text = render_line(Moment(65.0, story, records, Totals(1200, 3, 3)))

    assert " ".join(text.split()) == (
        "1:05 v2 Step 1 of 3 5% 5.0% 50/950 1,200 3 errors Fail 8.0% vs 0.0%, limit 0.2%"
    )


def test_before_any_client_is_answered_a_line_has_the_pairs() -> None:
    story = Story("2", applied=1000.0)
    shadowing = status(Stage.SHADOWING, weight=0)
    assert shadowing.rollout is not None
    compared = ShadowStatus(state=ShadowState.COMPARING, pairs=1200)
    rollout = shadowing.rollout.model_copy(update={"shadow": compared})
    story.observe(1005.0, shadowing.model_copy(update={"rollout": rollout}))

    text = render_line(Moment(65.0, story, [], Totals(1200, 0, 0)))

    assert text.split()[:6] == ["1:05", "v2", "Shadowing", "0%", "-", "1,200"]
    assert report_version(story, [], 1020.0).pairs == 1200


def test_the_timeline_is_quiet_while_only_numbers_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    timeline = Timeline(coloured=False)
    story = Story("2", applied=1000.0)
    story.observe(1005.0, status(Stage.PROGRESSING, weight=5))

    for seconds in (5.0, 6.0, 7.0):
        timeline.show(Moment(seconds, story, [], Totals(int(seconds) * 100)))
    story.observe(1008.0, status(Stage.PROGRESSING, weight=25))
    timeline.show(Moment(8.0, story, [], Totals(800)))

    assert len(capsys.readouterr().out.splitlines()) == 2


def test_colours_are_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    for coloured in (True, False):
        Timeline(coloured=coloured).say("errors Pass 0.0%")

    on_a_terminal, elsewhere = capsys.readouterr().out.splitlines()
    assert on_a_terminal == "errors \033[32mPass\033[0m 0.0%"
    assert elsewhere == "errors Pass 0.0%"


def test_the_table_has_a_row_for_every_version_and_the_total() -> None:
    rows = render_summary(good_report()).splitlines()

    assert len(rows) == 1 + len(VERSIONS) + 1
    assert rows[-1].split() == ["total", "1,000", "4", "0"]
