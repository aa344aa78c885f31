"""The stage Shadowing: what pairs of answers reject, what they let pass, and what they cannot."""

from typing import Any

import pytest
from slipway.api.modeldeployment import (
    AnswersMode,
    ModelDeploymentSpec,
    Schedule,
    ShadowState,
    ShadowStatus,
    Stage,
)
from slipway.api.reasons import Reason
from slipway.policy.analysis.pairs.forecast import longest_seconds
from slipway.policy.decision import Decision

from tests.fakes.pairs import FakeComparer
from tests.unit.policy.world import PROXIES, DecisionWorld

GOLDEN = {"uri": "http://files/golden.tar.gz"}


class ShadowedWorld(DecisionWorld):
    """Routers that count pairs, and everything else at its quickest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.random.random = lambda: 0.55  # type: ignore[method-assign]
        self.comparers = {proxy: FakeComparer(proxy) for proxy in PROXIES}


def begun(world: DecisionWorld, seconds: int, **rollout: Any) -> DecisionWorld:
    """Serve version 1, then ask for version 2, and let it run for some seconds."""
    world.ask_for("1")
    run(world, 40)
    world.standing = {"rollout": {"shadow": {"mode": "On"}, "bakeSeconds": 600, **rollout}}
    world.ask_for("2")
    run(world, seconds)
    return world


def run(world: DecisionWorld, seconds: int) -> Decision:
    decision = world.reconcile()
    for _ in range(seconds):
        world.advance()
        decision = world.reconcile()
    return decision


def run_until(world: DecisionWorld, stage: Stage, seconds: int = 60) -> Decision:
    for _ in range(seconds):
        world.advance()
        decision = world.reconcile()
        if decision.stage is stage:
            return decision
    raise AssertionError((stage, world.log[-12:]))


def shadow_of(world: DecisionWorld) -> ShadowStatus:
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.shadow is not None
    return rollout.shadow


def weights_of(world: DecisionWorld, version: str) -> list[int]:
    return [weights[version] for weights in world.weight_log if weights.get(version)]


def test_nobody_is_answered_by_a_candidate_while_answers_are_compared() -> None:
    world = begun(ShadowedWorld(1), 0)
    decision = run_until(world, Stage.SHADOWING)
    run(world, 5)
    assert decision.shadow is not None
    assert decision.shadow.revision == decision.candidate
    assert shadow_of(world).state is ShadowState.COMPARING
    assert weights_of(world, "2") == []


def test_a_good_version_passes_and_goes_straight_to_the_bake() -> None:
    world = begun(ShadowedWorld(1), 80)
    shadow = shadow_of(world)
    assert shadow.state is ShadowState.PASSED
    assert shadow.first_weight == 95
    assert weights_of(world, "2")[0] == 80
    assert world.shadow is None


def test_a_step_that_waits_for_a_person_or_for_time_is_not_passed_over() -> None:
    steps = [{"weight": 5}, {"weight": 25, "approval": "Required"}, {"weight": 50}]
    world = begun(ShadowedWorld(1), 60, steps=steps)
    decision = run(world, 0)
    assert decision.stage is Stage.AWAITING_APPROVAL
    assert weights_of(world, "2") == []
    world.act("approve")
    run(world, 3)
    assert weights_of(world, "2") == [25]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("errors", Reason.ERRORS_IN_SHADOW),
        ("answers", Reason.ANSWERS_DIFFER),
        ("slow", Reason.SLOWER_IN_SHADOW),
    ],
)
def test_a_bad_version_is_rejected_before_any_user_is_answered(fault: str, reason: Reason) -> None:
    world = ShadowedWorld(1)
    world.random.random = DecisionWorld(3).random.random  # type: ignore[method-assign]
    world.faults["2"] = fault
    begun(world, 200)
    assert world.outcomes()[-1] == ("2", "RejectedByShadow")
    assert world.md.status.rejected[-1].reason.startswith(reason)
    assert weights_of(world, "2") == []
    assert world.serving() == "1"
    assert world.shadow is None


def test_what_differs_is_kept_in_the_status_for_people() -> None:
    world = ShadowedWorld(1)
    world.random.random = DecisionWorld(3).random.random  # type: ignore[method-assign]
    world.faults["2"] = "answers"
    begun(world, 200)
    (difference, *_) = shadow_of(world).differences
    assert difference.output == "probabilities"
    assert difference.largest_difference == 0.8


def test_a_version_that_is_meant_to_answer_differently_is_reported_and_goes_on() -> None:
    world = ShadowedWorld(1)
    world.random.random = DecisionWorld(3).random.random  # type: ignore[method-assign]
    world.faults["2"] = "answers"
    begun(world, 200, shadow={"mode": "On", "answers": "ReportOnly"})
    rollout = world.md.status.rollout
    assert rollout is not None
    said = {entry.name: entry.reason for entry in rollout.analysis}
    assert said["pair-answers"] == Reason.ANSWERS_DIFFER
    assert weights_of(world, "2")[0] == 80


def test_how_many_answers_must_be_stables_is_the_users_to_say() -> None:
    world = ShadowedWorld(1)
    world.random.random = DecisionWorld(3).random.random  # type: ignore[method-assign]
    world.faults["2"] = "answers"
    begun(world, 200, shadow={"mode": "On", "minAgreement": 0.5})
    rollout = world.md.status.rollout
    assert rollout is not None
    said = {entry.name: entry.reason for entry in rollout.analysis}
    assert said["pair-answers"] == Reason.WITHIN_HARM
    assert weights_of(world, "2")[0] == 80


def test_a_comparer_that_does_not_run_is_waited_for_and_nobody_is_blamed() -> None:
    world = ShadowedWorld(1)
    for comparer in world.comparers.values():
        comparer.is_running = False
    begun(world, 60)
    assert shadow_of(world).message == "no router pod says what it compared; waiting for one"
    run(world, 120)
    shadow = shadow_of(world)
    assert shadow.state is ShadowState.ENDED
    assert shadow.first_weight == 0
    assert weights_of(world, "2")[0] == 5


def test_without_requests_it_ends_by_its_time_and_has_not_passed() -> None:
    world = ShadowedWorld(1)
    world.pairs_per_second = 0
    begun(world, 130, shadow={"mode": "On", "maxSeconds": 100})
    shadow = shadow_of(world)
    assert shadow.state is ShadowState.ENDED
    assert world.outcomes()[-1] == ("1", "Promoted")
    assert weights_of(world, "2")[0] == 5


def test_too_few_pairs_count_for_nothing() -> None:
    world = ShadowedWorld(1)
    world.pairs_per_second = 1
    begun(world, 130, shadow={"mode": "On", "maxSeconds": 80})
    shadow = shadow_of(world)
    assert 0 < shadow.pairs < 200
    assert shadow.first_weight == 0
    assert weights_of(world, "2")[0] == 5


def test_where_the_time_is_over_the_pairs_count_for_as_much_as_they_show() -> None:
    world = ShadowedWorld(1)
    world.pairs_per_second = 1
    begun(world, 165, shadow={"mode": "On", "maxSeconds": 120})
    shadow = shadow_of(world)
    assert shadow.state is ShadowState.PASSED
    assert weights_of(world, "2")[0] == shadow.first_weight == 50


def test_what_a_comparer_counted_before_it_was_killed_counts() -> None:
    world = begun(ShadowedWorld(1), 0)
    run_until(world, Stage.SHADOWING)
    run(world, 6)
    before = sum(sum(it.outcomes.values()) for it in world.comparers.values())
    for comparer in world.comparers.values():
        comparer.restart()
    run(world, 2)
    assert world.seen is not None
    assert world.seen.total.pairs > before > 0


def test_pairs_of_an_earlier_attempt_are_no_evidence_of_this_one() -> None:
    world = ShadowedWorld(1)
    world.random.random = DecisionWorld(3).random.random  # type: ignore[method-assign]
    world.faults["2"] = "slow"
    begun(world, 200)
    assert world.outcomes()[-1] == ("2", "RejectedByShadow")
    world.faults.clear()
    world.act("retry")
    run(world, 100)
    assert world.outcomes().count(("2", "RejectedByShadow")) == 1
    assert weights_of(world, "2")


def test_a_candidate_that_crashes_while_it_is_compared_is_rejected_as_elsewhere() -> None:
    world = begun(ShadowedWorld(1), 0)
    decision = run_until(world, Stage.SHADOWING)
    state = world.workloads[decision.candidate or ""]
    state.exits = 2
    run(world, 3)
    assert world.outcomes()[-1] == ("2", "RolledBack")
    assert weights_of(world, "2") == []


def test_another_version_takes_its_place_at_once() -> None:
    world = begun(ShadowedWorld(1), 0)
    run_until(world, Stage.SHADOWING)
    world.ask_for("3")
    run(world, 10)
    assert ("2", "Superseded") in world.outcomes()


@pytest.mark.parametrize(("verb", "weight"), [("skip", 5), ("promote", 100)])
def test_a_person_ends_it(verb: str, weight: int) -> None:
    world = ShadowedWorld(1)
    world.pairs_per_second = 0
    begun(world, 0)
    run_until(world, Stage.SHADOWING)
    run(world, 3)
    world.act(verb)
    run(world, 20)
    assert weights_of(world, "2")[0] == weight


def test_a_person_aborts_it() -> None:
    world = begun(ShadowedWorld(1), 0)
    run_until(world, Stage.SHADOWING)
    world.act("abort")
    run(world, 5)
    assert world.outcomes()[-1] == ("2", "Aborted")
    assert world.shadow is None


def test_a_pause_stops_its_clock_and_what_would_follow() -> None:
    world = ShadowedWorld(1)
    world.pairs_per_second = 0
    begun(world, 0, shadow={"mode": "On", "maxSeconds": 30})
    run_until(world, Stage.SHADOWING)
    run(world, 3)
    world.act("pause")
    assert run(world, 100).stage is Stage.PAUSED
    assert shadow_of(world).state is ShadowState.COMPARING
    world.act("resume")
    run(world, 40)
    assert weights_of(world, "2")[0] == 5


def test_an_operator_that_is_killed_anywhere_comes_to_the_same_end() -> None:
    world = begun(ShadowedWorld(1), 0)
    for number in range(90):
        world.advance()
        world.reconcile(kill_after=number % 4)
    run(world, 60)
    assert shadow_of(world).state is ShadowState.PASSED
    assert weights_of(world, "2")[0] == 80


@pytest.mark.parametrize("stage", [Stage.PROGRESSING, Stage.BAKING])
def test_a_rollout_that_an_older_operator_began_goes_on_without_a_comparison(stage: Stage) -> None:
    world = begun(ShadowedWorld(1), 0, shadow={"mode": "Off"}, bakeSeconds=10)
    run_until(world, stage, 120)
    stored = world.md.status.model_dump(mode="json", by_alias=True)
    del stored["rollout"]["shadow"]
    world.md = world.md.model_copy(update={"status": type(world.md.status).model_validate(stored)})
    run(world, 120)
    assert world.outcomes()[-1] == ("2", "Promoted")


# ── mode Auto ──


def auto(world: DecisionWorld, seconds: int = 80, **spec: Any) -> ShadowStatus:
    world.standing = {**spec, "rollout": {"shadow": {"mode": "Auto"}, **spec.get("rollout", {})}}
    world.ask_for("1")
    run(world, 40)
    world.ask_for("2")
    run(world, seconds)
    return shadow_of(world)


def test_auto_compares_where_there_is_no_golden_set() -> None:
    assert auto(ShadowedWorld(1)).state is ShadowState.PASSED


def test_auto_says_that_quick_steps_need_no_comparison() -> None:
    shadow = auto(ShadowedWorld(1), model={"goldenSet": GOLDEN})
    assert shadow.state is ShadowState.OFF
    assert shadow.message.startswith("the steps alone take about")


class RareWorld(ShadowedWorld):
    """One request in two seconds."""

    def _load(self) -> None:
        for name, weight in (self.weights or {}).items():
            if weight == 100 and self.now.second % 2:
                self.counts["router-a"].setdefault(name, [0, 0, 0])[0] += 1


def test_auto_compares_where_the_steps_alone_would_take_long() -> None:
    world = RareWorld(1)
    world.pairs_per_second = 1
    assert auto(world, 100, model={"goldenSet": GOLDEN}).state is not ShadowState.OFF


def test_auto_leaves_models_alone_that_keep_state() -> None:
    world = ShadowedWorld(1)
    world.keeps_state = True
    assert auto(world).message == "the model keeps state between requests (sequence batching)"


def test_auto_leaves_models_alone_that_stream_their_answers() -> None:
    world = ShadowedWorld(1)
    world.streams_answers = True
    assert auto(world).message == "the model streams its answers (decoupled)"


def test_auto_leaves_models_alone_of_which_the_check_did_not_tell() -> None:
    world = ShadowedWorld(1)
    world.streams_answers = None
    assert auto(world).message.startswith("the check did not say")


def test_auto_looks_at_the_traffic_of_steps_that_are_written_too() -> None:
    written = {"steps": [{"weight": 5}, {"weight": 50}], "deadlineSeconds": 90_000}
    world = RareWorld(1)
    world.pairs_per_second = 1
    shadow = auto(world, 100, model={"goldenSet": GOLDEN}, rollout=written)
    assert shadow.state is not ShadowState.OFF
    quick = auto(ShadowedWorld(1), 40, model={"goldenSet": GOLDEN}, rollout=written)
    assert quick.message.startswith("the steps alone take about")


class IdleWorld(ShadowedWorld):
    """No request at all."""

    def _load(self) -> None:
        return


def test_auto_waits_for_no_pairs_where_there_are_no_requests() -> None:
    world = IdleWorld(1)
    world.pairs_per_second = 0
    assert auto(world).message == "no requests were counted"


def test_at_few_requests_there_is_time_for_as_many_pairs() -> None:
    spec = ModelDeploymentSpec.model_validate(
        {"model": {"version": "1", "source": {"uri": "s3://a/b"}}}
    )
    day = Schedule(weights=[50], deadline_seconds=86_400)
    assert longest_seconds(spec, day, 10.0) == longest_seconds(spec, day, 1.0) == 1800
    assert longest_seconds(spec, day, 0.1) == 18_000
    assert longest_seconds(spec, day, 0.001) == 43_200
    assert longest_seconds(spec, None, None) == 1800


def test_older_routers_give_no_pairs_and_the_steps_begin_at_once() -> None:
    world = ShadowedWorld(1)
    world.comparers = {}
    shadow = auto(world, 40)
    assert shadow.state is ShadowState.OFF
    assert (
        shadow.message
        == "no router pod can compare answers: their agents are older, or do not answer"
    )
    assert weights_of(world, "2")[0] == 5


def test_a_golden_set_that_both_pass_says_that_answers_stay() -> None:
    world = RareWorld(1)
    assert auto(world, 100, model={"goldenSet": GOLDEN}).answers is AnswersMode.ENFORCE


# ── strategy Shadow ──


def test_the_strategy_shadow_looks_and_a_person_goes_on() -> None:
    world = begun(ShadowedWorld(1), 120, strategy="Shadow")
    decision = run(world, 0)
    assert decision.stage is Stage.AWAITING_APPROVAL
    assert "rule harm out up to a weight of 95%" in decision.message
    assert weights_of(world, "2") == []
    world.act("approve")
    run(world, 5)
    assert weights_of(world, "2")[0] == 80
    assert shadow_of(world).state is ShadowState.PASSED


def test_a_person_who_looked_at_too_few_pairs_begins_with_the_first_step() -> None:
    world = ShadowedWorld(1)
    world.pairs_per_second = 0
    begun(world, 60, strategy="Shadow")
    world.act("approve")
    run(world, 5)
    assert weights_of(world, "2")[0] == 5
    assert shadow_of(world).state is ShadowState.ENDED


def test_the_strategy_shadow_rejects_nothing() -> None:
    world = ShadowedWorld(1)
    world.random.random = DecisionWorld(3).random.random  # type: ignore[method-assign]
    world.faults["2"] = "slow"
    begun(world, 150, strategy="Shadow")
    decision = run(world, 0)
    assert "the pairs are against it: SlowerInShadow" in decision.message
    assert world.outcomes()[-1] == ("1", "Promoted")
    assert shadow_of(world).pairs > 0
