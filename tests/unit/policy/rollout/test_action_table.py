"""Every action in every stage: done, or refused with a reason; and each is consumed once."""

import copy
import functools
from collections.abc import Callable
from datetime import timedelta

import pytest
from slipway.api.modeldeployment import LastAction, Outcome, Stage
from slipway.api.names import (
    ANNOTATION_ACTION,
    ANNOTATION_ACTION_REASON,
    ANNOTATION_REQUESTED_BY,
)
from slipway.api.times import to_wire
from slipway.policy.action_grammar import VERBS, to_millis
from slipway.policy.facts import JobState
from slipway.policy.rollout.decide import decide, decide_actions_only
from slipway.policy.status import desired_status

from tests.builders import NOON
from tests.unit.policy.world import DecisionWorld, lived_once

GOLDEN = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}
LONG_BAKE = {"bakeSeconds": 600}
HELD_STEP = {"steps": [{"weight": 5, "holdSeconds": 600}]}
APPROVED_STEP = {"steps": [{"weight": 5}, {"weight": 50, "approval": "Required"}]}


@lived_once
def two_promoted() -> DecisionWorld:
    """Version 1 served before, version 2 serves."""
    world = DecisionWorld(1)
    for version in ("1", "2"):
        world.ask_for(version)
        world.settle(200)
    assert world.serving() == "2"
    return world


def at(stage: Stage, **spec: object) -> Callable[[], DecisionWorld]:
    """Return how a world gets version 3 to a stage."""

    def make() -> DecisionWorld:
        world = two_promoted()
        world.ask_for("3", **spec)
        return until(world, stage)

    return make


def until(world: DecisionWorld, stage: Stage) -> DecisionWorld:
    for _ in range(200):
        rollout = world.md.status.rollout
        if rollout is not None and rollout.stage is stage:
            return world
        world.advance()
        world.reconcile()
    raise AssertionError((stage, world.log[-5:]))


def serving() -> DecisionWorld:
    return two_promoted()


def rejected() -> DecisionWorld:
    world = two_promoted()
    world.faults["3"] = "golden"
    world.ask_for("3", **GOLDEN)
    world.settle(100)
    return world


def held() -> DecisionWorld:
    world = at(Stage.BAKING, rollout=LONG_BAKE)()
    world.act("abort")
    world.settle(100)
    return world


def holding() -> DecisionWorld:
    world = at(Stage.PROGRESSING, rollout=HELD_STEP)()
    return pass_on(world, 20)


def pass_on(world: DecisionWorld, seconds: int) -> DecisionWorld:
    for _ in range(seconds):
        world.advance()
        world.reconcile()
    return world


def failing() -> DecisionWorld:
    """The analysis says Fail, and the user wants to decide."""
    world = two_promoted()
    world.faults["3"] = "errors"
    world.ask_for("3", rollback={"automatic": "Disabled"})
    for _ in range(200):
        pass_on(world, 1)
        if any(entry.reason == "AnalysisFailed" for entry in world.md.status.conditions):
            return world
    raise AssertionError(world.log[-5:])


def rolling_back() -> DecisionWorld:
    world = at(Stage.BAKING, rollout=LONG_BAKE)()
    world.act("abort")
    world.reconcile()
    return world


def never_ready() -> DecisionWorld:
    world = two_promoted()
    world.faults["3"] = "never-ready"
    world.ask_for("3", rollout={"deadlineSeconds": 30})
    return until(world, Stage.FAILED)


def paused_by_action() -> DecisionWorld:
    world = holding()
    world.act("pause")
    world.ask_for("3", rollout={"steps": [{"weight": 5}]})
    return until(world, Stage.PAUSED)


def paused_by_spec() -> DecisionWorld:
    world = two_promoted()
    world.ask_for("3", paused=True)
    return until(world, Stage.PAUSED)


def undecided() -> DecisionWorld:
    """No verdict at the deadline."""
    world = two_promoted()
    world._load = lambda: None  # type: ignore[method-assign]
    world.ask_for("3", rollout={"deadlineSeconds": 30})
    return until(world, Stage.PAUSED)


def going_back() -> DecisionWorld:
    world = two_promoted()
    world.act(f"rollback={name_of(world, '1')}")
    world.reconcile()
    assert world.md.status.candidate is not None
    return world


def gone_back() -> DecisionWorld:
    world = going_back()
    world.settle(100)
    assert world.serving() == "1"
    return world


STAGES: dict[str, Callable[[], DecisionWorld]] = {
    "serving": serving,
    "rejected": rejected,
    "held": held,
    "packaging": at(Stage.PACKAGING),
    "starting": at(Stage.STARTING),
    "checking": at(Stage.CHECKING),
    "first step": lambda: pass_on(at(Stage.PROGRESSING, rollout=HELD_STEP)(), 0),
    "holding": holding,
    "awaiting": at(Stage.AWAITING_APPROVAL, rollout=APPROVED_STEP),
    "baking": at(Stage.BAKING, rollout=LONG_BAKE),
    "failing": failing,
    "rolling back": rolling_back,
    "never ready": never_ready,
    "paused by action": paused_by_action,
    "paused by spec": paused_by_spec,
    "undecided": undecided,
    "going back": going_back,
    "gone back": gone_back,
}
WORLDS = {name: lived_once(make) for name, make in STAGES.items()}

COLUMNS = (
    *("promote", "approve", "skip", "abort", "retry"),
    *("rollback", "rollback=1", "rollback=2", "rollback=3", "pause", "resume"),
)
SAID = {
    "+": "Done",
    "R": "no rollout is under way",
    "a": "no step is waiting for approval",
    "b": "no step has begun",
    "w": "waiting for approval; use approve",
    "F": "the analysis says Fail",
    "r": "being rolled back",
    "n": "nothing was rejected, held or failed",
    "!": "without steps already",
    "?": "name the revision",
    "s": "serves already",
    "v": "was never promoted",
    "x": "was rejected",
    "0": "does not exist any more",
    "c": "is the candidate",
    "p": "the rollout is not paused",
    "P": "paused",
    "S": "spec.paused holds the rollout",
}
TABLE = """
serving          | R a R R n | ? + s 0 | + p
rejected         | R a R R + | ? + s x | + p
held             | R a R R + | ? + s v | + p
packaging        | R a R + n | ? + s 0 | + p
starting         | + a b + n | + + + c | + p
checking         | + a b + n | + + + c | + p
first step       | + a b + n | + + + c | + p
holding          | + a + + n | + + + c | + p
awaiting         | + + w + n | + + + c | + p
baking           | + a + + n | + + + c | + p
failing          | + a F + n | + + + c | + p
rolling back     | r a r r + | r r r r | + p
never ready      | R a R + + | ? + s v | + p
paused by action | + a P + n | + + + c | P +
paused by spec   | S a b + n | + + + c | + S
undecided        | + a + + n | + + + c | + p
going back       | ! a ! + + | + c + 0 | + p
gone back        | R a R R + | ? s + 0 | + p
"""
ROWS = {
    line[:16].strip(): line[17:].replace("|", "").split() for line in TABLE.strip().splitlines()
}
CELLS = [
    pytest.param(stage, verb, SAID[code], id=f"{verb} while {stage}")
    for stage, codes in ROWS.items()
    for verb, code in zip(COLUMNS, codes, strict=True)
]


def name_of(world: DecisionWorld, version: str) -> str:
    """Return the revision of a version; one that nobody made where there is none."""
    made = [item.name for item in world.revisions.values() if item.snapshot.version == version]
    return made[-1] if made else "ffffffff"


def ask(world: DecisionWorld, verb: str) -> str:
    """Ask, and return what the operator answers at once."""
    name, equals, version = verb.partition("=")
    world.act(f"{name}={name_of(world, version)}" if equals else name)
    last = decide(world.facts(), world.now).last_action
    assert last is not None
    assert last.id == world.actions
    return last.result


@functools.cache
def made(stage: str) -> DecisionWorld:
    """Return the world of a stage, for looking only."""
    return WORLDS[stage]()


def test_the_table_has_every_verb_and_every_stage() -> None:
    assert {verb.partition("=")[0] for verb in COLUMNS} == VERBS
    assert ROWS.keys() == WORLDS.keys()


@pytest.mark.parametrize(("stage", "verb", "said"), CELLS)
def test_an_action_is_done_or_refused_with_a_reason(stage: str, verb: str, said: str) -> None:
    result = ask(copy.copy(made(stage)), verb)
    assert result.startswith("Done" if said == "Done" else "Refused: ")
    assert said in result


@pytest.mark.parametrize("stage", WORLDS)
def test_an_action_is_consumed_once_however_often_it_arrives(stage: str) -> None:
    world = WORLDS[stage]()
    world.act("pause")
    world.reconcile()
    first = world.md.status.last_action
    for _ in range(3):
        world.advance(0.1)
        decision = world.reconcile()
        assert not [event for event in decision.events if event.reason == "Action"]
    assert first is not None
    assert world.md.status.last_action == first


def test_a_position_that_has_passed_refuses_the_action() -> None:
    world = holding()
    candidate = name_of(world, "3")
    assert ask(world, f"skip@{candidate}/2").startswith("Refused: meant for")
    assert ask(world, f"skip@{candidate}/1") == "Done"
    assert "no rollout is under way" in ask(serving(), f"skip@{candidate}/1")


@pytest.mark.parametrize(
    ("annotation", "by"),
    [
        ("editor-a", "editor-a"),
        ("", "unverified"),
        (
            "system:serviceaccount:argocd:argocd-server",
            "system:serviceaccount:argocd:argocd-server",
        ),
        ("a\nb\x1b[31m", "a?b?[31m"),
        ("x" * 5000, "x" * 128),
    ],
)
def test_who_asked_is_kept_however_hostile_the_name(annotation: str, by: str) -> None:
    world = holding()
    act_as(world, "skip", annotation)
    world.reconcile()
    last = world.md.status.last_action
    assert last is not None
    assert last.by == by


def act_as(world: DecisionWorld, verb: str, by: str) -> None:
    world.act(verb)
    annotate(world, ANNOTATION_REQUESTED_BY, by)


def annotate(world: DecisionWorld, key: str, text: str) -> None:
    annotations = {**world.md.metadata.annotations, key: text}
    meta = world.md.metadata.model_copy(update={"annotations": annotations})
    world.md = world.md.model_copy(update={"metadata": meta})


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("errors as on stable#{id}", "errors as on stable"),
        ("see #42, page#3#{id}", "see #42, page#3"),
        ("  two\nlines\t\x1b[31mred\u202e \x00#{id}", "two lines  [31mred"),
        ("x" * 1_000_000 + "#{id}", "x" * 1023 + "…"),
        ("\n" * 1_000_000 + "#{id}", None),
        ("#{id}", None),
        ("of the action before#1", None),
        ("without an id", None),
        ("words#{id}\n", None),
        ("no digits#²", None),
        ("", None),
    ],
)
def test_why_it_was_asked_for_is_kept_however_hostile_the_words(
    said: str, kept: str | None
) -> None:
    world = holding()
    world.act("pause")
    world.reconcile()
    world.act("skip")
    annotate(world, ANNOTATION_ACTION_REASON, said.replace("{id}", str(world.actions)))
    [event] = [it for it in world.reconcile().events if it.why.reason == "Action"]

    last = world.md.status.last_action
    assert last is not None
    assert (last.verb, last.request_reason) == ("skip", kept)
    assert event.message.endswith(f"; reason: {kept}"[:900] if kept and len(kept) < 900 else "")


def test_an_action_without_a_reason_does_not_get_that_of_the_one_before() -> None:
    world = holding()
    world.act("pause")
    annotate(world, ANNOTATION_ACTION_REASON, f"lunch#{world.actions}")
    world.reconcile()
    assert world.md.status.last_action is not None
    assert world.md.status.last_action.request_reason == "lunch"

    annotate(world, ANNOTATION_ACTION, f"resume#{world.actions + 1}")
    world.reconcile()
    assert world.md.status.last_action.verb == "resume"
    assert world.md.status.last_action.request_reason is None


@pytest.mark.parametrize("text", ["explode#9999", "Promote#9999", "promote=0123abcd#9999"])
def test_what_is_no_action_is_refused_and_consumed(text: str) -> None:
    world = holding()
    meta = world.md.metadata.model_copy(update={"annotations": {ANNOTATION_ACTION: text}})
    world.md = world.md.model_copy(update={"metadata": meta})
    world.reconcile()
    last = world.md.status.last_action
    assert last is not None
    assert last.id == 9999
    assert last.result.startswith("Refused: ")


def test_a_skip_takes_one_step_and_the_next_one_is_judged_again() -> None:
    world = two_promoted()
    steps = [{"weight": 5, "holdSeconds": 600}, {"weight": 25, "holdSeconds": 600}]
    world.ask_for("3", rollout={"steps": steps})
    pass_on(until(world, Stage.PROGRESSING), 20)
    act_as(world, "skip", "editor-a")
    pass_on(world, 60)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert (rollout.acked_weight, rollout.skipped) == (25, "5% skipped by editor-a")


def test_a_skipped_step_is_unjudged_in_the_history_and_names_who_asked() -> None:
    world = at(Stage.PROGRESSING, rollout=HELD_STEP | LONG_BAKE)()
    pass_on(world, 20)
    act_as(world, "skip", "editor-a")
    pass_on(world, 15)
    act_as(world, "skip", "editor-b")
    world.settle(100)
    assert world.serving() == "3"
    assert world.md.status.history[-1].unjudged == "5% skipped by editor-a, 80% skipped by editor-b"


def test_a_roll_back_to_an_earlier_revision_starts_its_pods_before_it_gets_weight() -> None:
    world = two_promoted()
    old = name_of(world, "1")
    assert world.workloads[old].wanted == 0

    act_as(world, f"rollback={old}", "editor-a")
    world.settle(100)
    weights = [line for line in world.log if line.startswith("weights")]
    assert world.serving() == "1"
    assert [line.split("} ")[0] for line in weights[-3:]] == [
        "weights {'2': 100, '1': 0",
        "weights {'2': 0, '1': 100",
        "weights {'1': 100",
    ]

    entry = world.md.status.history[-1]
    assert (entry.version, entry.outcome) == ("1", Outcome.PROMOTED)
    assert entry.unjudged == f"rollback to {old} (version 1) by editor-a"

    last = world.md.status.last_rollback
    assert last is not None
    assert (last.from_, last.to) == (name_of(world, "2"), old)
    assert last.traffic_restored_at is not None


def test_after_a_roll_back_the_spec_stays_out_until_it_changes() -> None:
    world = gone_back()
    before = world.writes
    world.settle(100)
    assert world.writes == before
    held = {entry.type: entry.reason for entry in world.md.status.conditions}
    assert held["Stalled"] == "Held"
    world.ask_for("3")
    world.settle(200)
    assert world.serving() == "3"
    assert world.md.status.hold is None


def test_after_a_roll_back_retry_rolls_the_spec_out_step_by_step() -> None:
    world = gone_back()
    world.act("retry")
    world.settle(200)
    assert world.serving() == "2"
    assert world.md.status.history[-1].unjudged is None


def test_a_roll_back_in_the_middle_of_a_rollout_withdraws_the_candidate_first() -> None:
    world = at(Stage.BAKING, rollout=LONG_BAKE)()
    world.act(f"rollback={name_of(world, '1')}")
    world.settle(200)
    assert world.serving() == "1"
    assert world.outcomes()[-2:] == [("3", Outcome.ABORTED), ("1", Outcome.PROMOTED)]


def test_a_pause_does_not_stop_a_roll_back() -> None:
    world = two_promoted()
    world.act("pause")
    world.reconcile()
    world.act(f"rollback={name_of(world, '1')}")
    world.settle(100)
    assert world.serving() == "1"


def test_an_earlier_revision_that_crashes_never_gets_weight_and_is_not_tried_again() -> None:
    world = two_promoted()
    world.faults["1"] = "crash"
    old = name_of(world, "1")
    world.act(f"rollback={old}")
    world.reconcile()
    world.workloads[old].exits = 2
    world.settle(200)
    assert world.serving() == "2"
    assert world.outcomes()[-1] == ("1", Outcome.ROLLED_BACK)
    assert [entry.revision for entry in world.md.status.rejected] == [old]
    assert world.md.status.hold is None


def test_an_abort_of_a_roll_back_leaves_things_as_they_were() -> None:
    world = going_back()
    world.act("abort")
    world.settle(100)
    assert world.serving() == "2"
    assert world.md.status.hold is None
    assert world.md.status.conditions[1].reason == "Promoted"


def test_abort_keeps_out_a_version_that_is_still_packaged() -> None:
    world = at(Stage.PACKAGING)()
    world.act("abort")
    world.settle(100)
    assert world.serving() == "2"
    assert "3" not in [item.snapshot.version for item in world.revisions.values()]
    world.act("retry")
    world.settle(200)
    assert world.serving() == "3"


def test_an_action_that_is_unknown_after_a_lost_status_is_not_done_again() -> None:
    world = holding()
    world.act("promote")
    world.lose_status()
    decision = decide(world.facts(), world.now)
    assert decision.last_action is not None
    assert "the status was lost" in decision.last_action.result


TWO_HELD = {
    "steps": [{"weight": 5, "holdSeconds": 600}, {"weight": 25, "holdSeconds": 600}],
    "bakeSeconds": 600,
}


def written_beyond(world: DecisionWorld, weight: int) -> DecisionWorld:
    """Let the route have the next weight, and no proxy or status know of it."""
    stable, candidate = name_of(world, "2"), name_of(world, "3")
    world.weights = {stable: 100 - weight, candidate: weight}
    world.generation += 1
    return world


def test_a_skip_that_comes_after_the_next_weight_was_written_does_not_skip_that_one() -> None:
    world = two_promoted()
    world.ask_for("3", rollout=TWO_HELD)
    pass_on(until(world, Stage.PROGRESSING), 20)
    assert ask(written_beyond(world, 25), f"skip@{name_of(world, '3')}/1") == "Done"
    pass_on(world, 60)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.acked_weight == 25
    assert rollout.skipped == "5% skipped by unverified"


def test_a_skip_while_the_weight_falls_is_refused() -> None:
    world = at(Stage.BAKING, rollout=LONG_BAKE | {"bakeControlPercent": 0})()
    pass_on(world, 5)
    assert "going from 100% back to 80%" in ask(written_beyond(world, 80), "skip")


def approve_when_asked(world: DecisionWorld) -> DecisionWorld:
    until(world, Stage.AWAITING_APPROVAL)
    world.act("approve")
    return pass_on(world, 1)


def required(*weights: int) -> dict[str, object]:
    steps = [{"weight": weight, "approval": "Required"} for weight in weights]
    return {"steps": [{"weight": 5}, *steps]}


def test_a_step_that_was_put_in_below_the_weight_leaves_approval_to_what_waits() -> None:
    world = two_promoted()
    world.ask_for("3", rollout=required(50))
    until(world, Stage.AWAITING_APPROVAL)
    world.ask_for("3", rollout={"steps": [{"weight": 1}, {"weight": 2}, *required(50)["steps"]]})  # type: ignore[misc]
    pass_on(approve_when_asked(world), 20)
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.acked_weight > 5


def test_an_approval_lets_one_step_begin_though_another_was_taken_away() -> None:
    world = two_promoted()
    world.ask_for("3", rollout=required(25, 50))
    pass_on(approve_when_asked(world), 10)
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.acked_weight == 25
    world.ask_for("3", rollout={"steps": required(25, 50)["steps"][1:]})  # type: ignore[index]
    pass_on(world, 60)
    assert world.md.status.rollout.stage is Stage.AWAITING_APPROVAL
    assert world.md.status.rollout.acked_weight == 25


@pytest.mark.parametrize("stage", ["holding", "baking", "paused by action"])
def test_a_promotion_ends_a_pause_of_an_action(stage: str) -> None:
    world = WORLDS[stage]()
    if stage != "paused by action":
        world.act("pause")
        pass_on(world, 5)
    world.act("promote")
    world.settle(100)
    assert world.serving() == "3"
    assert world.md.status.rollout is not None
    assert not world.md.status.rollout.paused


@pytest.mark.parametrize(("verb", "control"), [("skip", 5), ("skip", 0), ("promote", 5)])
def test_a_pause_after_it_stops_the_promotion(verb: str, control: int) -> None:
    world = at(Stage.BAKING, rollout=LONG_BAKE | {"bakeControlPercent": control})()

    pass_on(world, 5)
    candidate = name_of(world, "3")
    ready = world.workloads[candidate].ready
    world.workloads[candidate].ready = 0  # the promotion waits for its pods
    world._run_pods = lambda: None  # type: ignore[method-assign]
    world.act(verb)
    world.reconcile()
    world.act("pause")
    world.workloads[candidate].ready = ready
    pass_on(world, 30)

    assert world.md.status.candidate is not None
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.stage is Stage.PAUSED

    world.act("resume")
    pass_on(world, 30)
    assert world.serving() == "3"


def unchecked() -> DecisionWorld:
    """The check could not be made, and its next attempt waits."""
    world = two_promoted()
    world._checked = lambda _job: None  # type: ignore[assignment,return-value,method-assign]
    world.ask_for("3", **GOLDEN)
    until(world, Stage.CHECKING)
    for _ in range(200):
        pass_on(world, 1)
        jobs = [job for job in world.jobs if job.component == "check"]
        if jobs and jobs[-1].attempt == 3 and jobs[-1].state is JobState.COMPLETE:
            return world
    raise AssertionError(world.jobs)


def test_a_retry_makes_a_check_again_at_once() -> None:
    world = unchecked()
    before = len(world.jobs)

    pass_on(world, 2)
    assert len(world.jobs) == before

    world.act("retry")
    world.reconcile()
    assert len(world.jobs) == before + 1

    last = world.md.status.last_action
    assert last is not None
    assert last.result == "Done"

    for _ in range(20):
        pass_on(world, 1)
        if world.jobs[-1].state is JobState.COMPLETE:
            break
    pass_on(world, 5)
    assert len(world.jobs) == before + 1, "the next back-off is waited for again"


def test_a_retry_counts_until_its_job_is_there() -> None:
    world = unchecked()
    world.act("retry")
    facts = world.facts()
    world.reconcile()
    world.jobs = list(facts.jobs)  # a quota refused the new one
    pass_on(world, 3)
    assert len(world.jobs) == len(facts.jobs) + 1


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_retry_is_done_though_its_job_is_there_already(is_killed: bool) -> None:
    world = unchecked()
    world.act("retry")
    world.reconcile(kill_after=1 if is_killed else None)
    world.reconcile()
    last = world.md.status.last_action
    assert last is not None
    assert last.result == "Done"


# ── ids ──

NOW_ID = to_millis(NOON)
HOUR = 3_600_000


def ask_with(world: DecisionWorld, text: str) -> list[str]:
    """Ask with an id of one's own, and return what the events of three passes say of it."""
    meta = world.md.metadata.model_copy(update={"annotations": {ANNOTATION_ACTION: text}})
    world.md = world.md.model_copy(update={"metadata": meta})
    told = [event for _ in range(3) for event in world.reconcile().events]
    return [event.message for event in told if event.reason == "Action"]


def last_of(world: DecisionWorld) -> LastAction:
    last = world.md.status.last_action
    assert last is not None
    return last


def test_an_id_far_ahead_is_refused_and_outruns_nobody() -> None:
    world = holding()
    [told] = ask_with(world, "pause#9999999999999")
    assert "Refused: its id is more than 5 min ahead" in told
    assert world.md.status.last_action is None
    assert ask_with(world, f"pause#{NOW_ID + HOUR}")
    assert ask_with(world, f"pause#{to_millis(world.now)}") == ["pause by unverified: Done"]


def test_an_id_that_was_refused_does_not_count_later_either() -> None:
    world = holding()
    text = f"abort#{to_millis(world.now) + HOUR}"
    assert len(ask_with(world, text)) == 1
    world.now += timedelta(hours=2)
    assert ask_with(world, text) == []
    assert world.md.status.candidate is not None


def test_a_clock_that_is_a_little_ahead_counts_and_so_does_who_comes_next() -> None:
    world = holding()
    ahead = to_millis(world.now) + 4 * 60_000
    assert ask_with(world, f"pause#{ahead}") == ["pause by unverified: Done"]
    assert ask_with(world, f"resume#{ahead + 1}") == ["resume by unverified: Done"]
    world.now -= timedelta(hours=1)  # the operator's clock was wrong as well
    assert ask_with(world, f"pause#{ahead + 2}") == ["pause by unverified: Done"]


def test_an_old_id_is_said_once_and_one_that_was_consumed_never_again() -> None:
    world = holding()

    ask_with(world, "pause#1000")
    ask_with(world, "resume#2000")

    assert ask_with(world, "pause#1000") == [], "a GitOps tool applies what it has"
    assert ask_with(world, "pause#1500") == [
        "pause by unverified: Refused: its id is not newer than that of the last action, 2000"
    ]
    assert ask_with(world, "pause#1400")
    for text in ("pause#1500", "pause#1000", "resume#2000", "pause#1400"):
        before = world.writes
        assert ask_with(world, text) == []
        assert world.writes == before
    assert last_of(world).id == 2000


def test_the_ids_that_are_kept_are_few() -> None:
    world = holding()
    for number in range(1, 40):
        ask_with(world, f"{'pause' if number % 2 else 'resume'}#{number}")
    assert last_of(world).earlier == list(range(29, 39))
    assert len(ask_with(world, "pause#1")) == 1


def test_an_action_from_before_the_object_does_not_count() -> None:
    world = holding()
    meta = world.md.metadata.model_copy(update={"creation_timestamp": to_wire(NOON)})
    world.md = world.md.model_copy(update={"metadata": meta})
    [told] = ask_with(world, f"abort#{NOW_ID - 1}")
    assert "Refused: its id is older than this object" in told
    assert world.md.status.candidate is not None
    assert ask_with(world, f"pause#{NOW_ID}") == ["pause by unverified: Done"]


def test_nobody_promotes_what_an_abort_is_to_withdraw() -> None:
    world = holding()
    world.act("abort")
    remembered = desired_status(
        decide_actions_only(world.facts(), world.now), world.facts(), None, world.now
    )
    world.md = world.md.model_copy(update={"status": remembered})
    assert "being rolled back" in ask(world, "promote")


@pytest.mark.parametrize("stage", ["holding", "baking"])
def test_a_pause_shows_at_once_and_the_step_is_what_goes_on_after_it(stage: str) -> None:
    world = WORLDS[stage]()
    rollout = world.md.status.rollout
    assert rollout is not None

    underlying = rollout.stage
    pass_on(world, 3)
    world.act("pause")
    pass_on(world, 60)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert (rollout.stage, rollout.underlying) == (Stage.PAUSED, underlying)
    assert rollout.message.startswith("paused; ")

    world.act("resume")
    pass_on(world, 1)
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.stage is underlying


def test_a_fail_brings_the_traffic_back_also_in_a_paused_hold() -> None:
    world = holding()
    world.act("pause")
    pass_on(world, 3)
    world.faults["3"] = "errors"
    pass_on(world, 60)
    assert world.outcomes()[-1] == ("3", Outcome.ROLLED_BACK)
