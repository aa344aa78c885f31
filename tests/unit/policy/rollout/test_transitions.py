"""Every arrow of the state machine: from a stage, by what is found, to a stage, with its reason.

Version 1 serves, version 2 is rolled out over 5% and 50%. A row is one pass: the stage it found,
what else it found, the stage that people see afterwards, the reason, and the candidate's weight as
the pass wants it. `*` behind the reason: it says that a person is needed. A candidate that never
had traffic ends within the pass that decides it; one with traffic goes by way of RollingBack.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from slipway.api.modeldeployment import (
    LastRollback,
    ModelDeploymentStatus,
    Outcome,
    Rejected,
    RevisionStatus,
    RolloutStatus,
    ShadowState,
    ShadowStatus,
    Stage,
)
from slipway.api.reasons import Reason
from slipway.api.result import CheckResult, CheckVerdict, JobError, PackageResult
from slipway.api.times import to_wire
from slipway.api.verdict import Verdict
from slipway.policy.decision import Decision
from slipway.policy.facts import ContainerExit, Facts, JobFact, JobState, TrafficReading
from slipway.policy.identity import input_hash
from slipway.policy.invariants import find_violations
from slipway.policy.judgement import Judgement
from slipway.policy.rollout.checking import check_subject
from slipway.policy.rollout.decide import decide
from slipway.policy.shadow.counts import PairCounts
from slipway.policy.shadow.finding import PairsFinding

from tests.builders import (
    NOON,
    a_model_deployment,
    a_pod,
    a_revision,
    a_route,
    a_workload,
    facts_about,
    meta,
)

ROLLOUT = {"steps": [{"weight": 5}, {"weight": 50}], "bakeSeconds": 60, "deadlineSeconds": 600}
GOLDEN = {"goldenSet": {"uri": "https://models.example/golden.tar"}}


def ask_for(version: str, status: ModelDeploymentStatus | None = None, **changes: Any) -> Any:
    rollout = {**ROLLOUT, **changes.pop("rollout", {})}
    return a_model_deployment(version, status=status, rollout=rollout, model=GOLDEN, **changes)


STABLE = a_revision(ask_for("1"), outcome=Outcome.PROMOTED)
CANDIDATE = a_revision(ask_for("2"))
S, C = STABLE.name, CANDIDATE.name
NOW = NOON + timedelta(seconds=30)

Change = Callable[[Facts], Facts]


# ── stages, as a pass finds them ──


def idle() -> Facts:
    status = ModelDeploymentStatus(
        stable=RevisionStatus(revision=S, version="1"),
        rollout=RolloutStatus(stage=Stage.IDLE, input=STABLE.snapshot.input),
    )
    return facts_about(
        ask_for("1", status),
        revisions={S: STABLE},
        workloads={S: a_workload(S)},
        route=a_route({S: 100}),
        traffic=TrafficReading(),
    )


def packaging() -> Facts:
    facts = idle()
    status = replace_rollout(facts, stage=Stage.PACKAGING)
    return about(facts, ask_for("2", status))


def in_rollout(stage: Stage, weight: int, *, is_routed: bool = True) -> Facts:
    status = ModelDeploymentStatus(
        stable=RevisionStatus(revision=S, version="1"),
        candidate=RevisionStatus(revision=C, version="2"),
        rollout=RolloutStatus(
            stage=stage,
            input=CANDIDATE.snapshot.input,
            started_at=to_wire(NOON),
            step_started_at=to_wire(NOON),
            clock_at=to_wire(NOON),
            acked_weight=weight,
        ),
    )
    return facts_about(
        ask_for("2", status),
        revisions={S: STABLE, C: CANDIDATE},
        workloads={S: a_workload(S), C: a_workload(C)},
        pods={C: (a_pod("candidate", C),)},
        route=a_route({S: 100 - weight, C: weight} if is_routed else {S: 100}),
        traffic=TrafficReading(),
    )


def shadowing() -> Facts:
    facts = in_rollout(Stage.SHADOWING, 0)
    shadow = ShadowStatus(state=ShadowState.COMPARING, since=to_wire(NOON), replicas_percent=100)
    assert facts.route is not None
    route = replace(facts.route, shadow=C)
    return replace(about(facts, ask_for("2", replace_rollout(facts, shadow=shadow))), route=route)


def rolling_back() -> Facts:
    facts = in_rollout(Stage.ROLLING_BACK, 5)
    status = replace_rollout(facts, outcome=Outcome.ROLLED_BACK, cause="ErrorRatio: many")
    return about(facts, ask_for("2", status))


def first_revision() -> Facts:
    facts = in_rollout(Stage.PROGRESSING, 100)
    status = facts.status.model_copy(update={"stable": None})
    return replace(
        about(facts, ask_for("2", status)),
        revisions={C: CANDIDATE},
        workloads={C: a_workload(C)},
        route=a_route({C: 100}),
    )


STAGES: dict[str, Callable[[], Facts]] = {
    "idle": idle,
    "packaging": packaging,
    "starting": lambda: in_rollout(Stage.STARTING, 0, is_routed=False),
    "checking": lambda: in_rollout(Stage.CHECKING, 0, is_routed=False),
    "shadowing": shadowing,
    "progressing": lambda: in_rollout(Stage.PROGRESSING, 5),
    "at its last step": lambda: in_rollout(Stage.PROGRESSING, 50),
    "baking": lambda: in_rollout(Stage.BAKING, 95),
    "baking at 80%": lambda: in_rollout(Stage.BAKING, 80),
    "rolling back": rolling_back,
    "first revision": first_revision,
}


# ── what else a pass finds ──


def about(facts: Facts, md: Any) -> Facts:
    return replace(facts, md=md, input=input_hash(md.spec))


def replace_rollout(facts: Facts, **changes: Any) -> ModelDeploymentStatus:
    rollout = facts.status.rollout
    assert rollout is not None
    return facts.status.model_copy(update={"rollout": rollout.model_copy(update=changes)})


def asks(version: str = "2", **spec: Any) -> Change:
    return lambda facts: about(facts, ask_for(version, facts.status, **spec))


def remembers(**rollout: Any) -> Change:
    return lambda facts: about(facts, ask_for("2", replace_rollout(facts, **rollout)))


def says(verdict: Verdict, reason: Reason) -> Change:
    judgement = Judgement("errors", verdict, reason, "12/310 vs 57/5,900")
    return lambda facts: replace(facts, judgements=(judgement,))


def pairs_say(verdict: Verdict, reason: Reason, *, first_weight: int = 0) -> Change:
    judgement = Judgement("pair-errors", verdict, reason, "25 of 400 pairs")
    finding = PairsFinding(
        (judgement,), counts=PairCounts(pairs=400), first_weight=first_weight, is_measured=True
    )
    return lambda facts: replace(facts, pairs=finding)


def has(**changes: Any) -> Change:
    return lambda facts: replace(facts, **changes)


def a_job(component: str, state: JobState, **result: Any) -> Change:
    def change(facts: Facts) -> Facts:
        is_package = component == "package"
        subject = facts.input if is_package else check_subject(C, facts.golden)
        job = JobFact(
            meta(component), component, subject, 1, state, NOW, result.get("package"),
            result.get("check"), result.get("crash"),
        )  # fmt: skip
        return replace(facts, jobs=(job,))

    return change


def package_failed(reason: Reason, *, transient: bool) -> Change:
    error = JobError(reason=reason, message="why", transient=transient)
    return a_job("package", JobState.FAILED, package=PackageResult(error=error))


def checked(verdict: CheckVerdict, reason: Reason) -> Change:
    result = CheckResult(verdict=verdict, reason=reason, message="3 of 50", cases=50)
    return a_job("check", JobState.COMPLETE, check=result)


def stable_is_down(facts: Facts) -> Facts:
    since = to_wire(NOON - timedelta(minutes=5))
    down = remembers(stable_down_since=since)(facts)
    return replace(down, workloads={**facts.workloads, S: a_workload(S, ready=0)})


def crashes(facts: Facts) -> Facts:
    end = ContainerExit(139, "Error", "segmentation fault")
    return replace(facts, pods={C: (a_pod("candidate", C, exits=2, last_exit=end),)})


def is_rejected(facts: Facts) -> Facts:
    rejection = Rejected(
        revision=C, version="2", outcome=Outcome.ROLLED_BACK, reason="why", at=to_wire(NOON)
    )
    status = facts.status.model_copy(update={"rejected": [rejection]})
    return replace(about(facts, ask_for("2", status)), revisions={S: STABLE, C: CANDIDATE})


def is_made(facts: Facts) -> Facts:
    return replace(asks()(facts), revisions={S: STABLE, C: CANDIDATE})


def not_acknowledged(facts: Facts) -> Facts:
    assert facts.route is not None
    return replace(facts, route=a_route(dict(facts.route.weights), generation=2, acknowledged=1))


def weight_is_gone(facts: Facts) -> Facts:
    return replace(facts, route=a_route({S: 100, C: 0}))


def passes(**spec: Any) -> Change:
    return lambda facts: says(Verdict.PASS, Reason.WITHIN_HARM)(asks(**spec)(facts))


def lacks_replicas(facts: Facts) -> Facts:
    workloads = {S: a_workload(S, replicas=4), C: a_workload(C)}
    return passes(scaling={"minReplicas": 4})(replace(facts, workloads=workloads))


def bake_is_over(facts: Facts) -> Facts:
    return remembers(active_seconds=90, judged_weight=50)(facts)


def suspected(reason: Reason, *, active_seconds: int, bake_seconds: int = 60) -> Change:
    """What a metric says after so many seconds of the bake, and 30 s more."""

    def change(facts: Facts) -> Facts:
        found = remembers(active_seconds=active_seconds, judged_weight=50)(facts)
        asked = asks(rollout={"bakeSeconds": bake_seconds})(found)
        return says(Verdict.INCONCLUSIVE, reason)(asked)

    return change


def bakes_long(*, active_seconds: int) -> Change:
    """A bake of ten minutes, of which so many seconds are over, and 30 s more."""
    return suspected(Reason.UNDECIDED, active_seconds=active_seconds, bake_seconds=600)


def decided_long_ago(facts: Facts) -> Facts:
    last = LastRollback(from_=C, to=S, trigger="why", decided_at=to_wire(NOW - timedelta(hours=1)))
    status = facts.status.model_copy(update={"last_rollback": last})
    return about(facts, ask_for("2", status))


FOUND: dict[str, Change] = {
    "nothing": has(),
    "another version": asks("3"),
    "its revision": is_made,
    "a rejection": is_rejected,
    "a spec that is wrong": lambda facts: replace(asks()(facts), spec_error="wrong"),
    "a package": a_job("package", JobState.COMPLETE, package=PackageResult()),
    "an absent source": package_failed(Reason.SOURCE_UNAVAILABLE, transient=True),
    "an unknown layout": package_failed(Reason.LAYOUT_UNKNOWN, transient=False),
    "no replicas": lambda facts: replace(
        facts, workloads={S: a_workload(S), C: a_workload(C, ready=0)}
    ),
    "the deadline": remembers(active_seconds=700),
    "a check that passed": checked(CheckVerdict.PASS, Reason.GOLDEN_SET_PASSED),
    "a check that failed": checked(CheckVerdict.FAIL, Reason.GOLDEN_SET_FAILED),
    "another signature": checked(CheckVerdict.FAIL, Reason.SIGNATURE_CHANGED),
    "a check that crashed": a_job("check", JobState.FAILED, crash="killed"),
    "a late proxy": not_acknowledged,
    "its weight at 0": weight_is_gone,
    "a Pass": says(Verdict.PASS, Reason.WITHIN_HARM),
    "a Fail": says(Verdict.FAIL, Reason.ERROR_RATIO),
    "a Fail, not automatic": lambda facts: says(Verdict.FAIL, Reason.ERROR_RATIO)(
        asks(rollback={"automatic": "Disabled"})(facts)
    ),
    "pairs against it": pairs_say(Verdict.FAIL, Reason.ERRORS_IN_SHADOW),
    "pairs for it": pairs_say(Verdict.PASS, Reason.WITHIN_HARM, first_weight=95),
    "too few pairs": pairs_say(Verdict.INCONCLUSIVE, Reason.TOO_FEW_PAIRS),
    "no verdict": says(Verdict.INCONCLUSIVE, Reason.UNDECIDED),
    "a hold": passes(rollout={"steps": [{"weight": 5, "holdSeconds": 600}]}),
    "a step to approve": passes(
        rollout={"steps": [{"weight": 5}, {"weight": 50, "approval": "Required"}]}
    ),
    "a pause": passes(paused=True),
    "too few replicas": lacks_replicas,
    "stable down": stable_is_down,
    "crashes": crashes,
    "an abort": remembers(outcome=Outcome.ABORTED, cause="aborted by editor"),
    "a promote": remembers(unjudged="promote by editor"),
    "a long enough bake": bake_is_over,
    "five minutes": bakes_long(active_seconds=300),
    "eight minutes": bakes_long(active_seconds=450),
    "eight minutes, a suspicion": suspected(
        Reason.UNDER_SUSPICION, active_seconds=450, bake_seconds=600
    ),
    "a suspicion at the end": suspected(Reason.UNDER_SUSPICION, active_seconds=90),
    "noise at the end": suspected(Reason.ARM_NOISE, active_seconds=90),
    "a bad pod at the end": suspected(Reason.POD_STANDS_OUT, active_seconds=90),
    "a bad pod for too long": suspected(Reason.POD_STANDS_OUT, active_seconds=700),
    "memory at the end": suspected(Reason.MEMORY_GROWS, active_seconds=90),
    "memory for too long": suspected(Reason.MEMORY_GROWS, active_seconds=700),
    "a suspicion late": suspected(Reason.UNDER_SUSPICION, active_seconds=1000, bake_seconds=990),
    "a suspicion for too long": suspected(Reason.UNDER_SUSPICION, active_seconds=700),
    "a bake without a Pass": remembers(active_seconds=90),
    "no Pass in time": remembers(active_seconds=700),
    "3, and a promote": lambda facts: asks("3")(remembers(unjudged="promote by editor")(facts)),
    "3, and stable down": lambda facts: asks("3")(stable_is_down(facts)),
    "3, not acknowledged": lambda facts: asks("3")(not_acknowledged(facts)),
    "stable just gone": lambda facts: replace(
        facts, workloads={**facts.workloads, S: a_workload(S, ready=0)}
    ),
    "a proxy that is gone": lambda facts: not_acknowledged(decided_long_ago(facts)),
}

TABLE = """
idle             | nothing               | Idle             | Promoted                |
idle             | another version       | Packaging        | Packaging               |
idle             | its revision          | Starting         | Starting                | 0
idle             | a rejection           | Idle             | RevisionRejected *      |
idle             | a spec that is wrong  | Idle             | InvalidSpec *           |
packaging        | nothing               | Packaging        | Packaging               |
packaging        | a package             | Packaging        | Packaging               |
packaging        | an absent source      | Failed           | SourceUnavailable       |
packaging        | an unknown layout     | Failed           | LayoutUnknown *         |
starting         | no replicas           | Starting         | Starting                | 0
starting         | nothing               | Checking         | Checking                | 0
starting         | the deadline          | Failed           | FailedToStart           | 0
starting         | crashes               | Idle             | RolledBack              | 0
starting         | another version       | Idle             | Superseded              | 0
checking         | a check that passed   | Progressing      | AwaitingAcknowledgement | 0
checking         | a check that failed   | Idle             | RejectedByGoldenSet     | 0
checking         | another signature     | Idle             | RejectedBySignature     | 0
checking         | a check that crashed  | Checking         | CheckFailed             | 0
checking         | the deadline          | Failed           | FailedToStart           | 0
shadowing        | nothing               | Shadowing        | Shadowing               | 0
shadowing        | too few pairs         | Shadowing        | Shadowing               | 0
shadowing        | pairs against it      | Idle             | RejectedByShadow        | 0
shadowing        | pairs for it          | Progressing      | AwaitingAcknowledgement | 95
shadowing        | a late proxy          | Shadowing        | AwaitingAcknowledgement | 0
shadowing        | crashes               | Idle             | RolledBack              | 0
shadowing        | another version       | Idle             | Superseded              | 0
shadowing        | an abort              | Idle             | Aborted                 | 0
shadowing        | a promote             | Progressing      | AwaitingAcknowledgement | 100
shadowing        | stable down           | Progressing      | AwaitingAcknowledgement | 100
progressing      | its weight at 0       | Progressing      | AwaitingAcknowledgement | 5
progressing      | a late proxy          | Progressing      | AwaitingAcknowledgement | 5
progressing      | nothing               | Progressing      | NoData                  | 5
progressing      | no verdict            | Progressing      | Undecided               | 5
progressing      | a Pass                | Progressing      | AwaitingAcknowledgement | 50
progressing      | a hold                | Progressing      | Holding                 | 5
progressing      | a step to approve     | AwaitingApproval | AwaitingApproval        | 5
progressing      | a pause               | Paused           | Paused                  | 5
progressing      | too few replicas      | Progressing      | AwaitingCapacity        | 5
progressing      | a Fail                | RollingBack      | RollingBack             | 0
progressing      | a Fail, not automatic | Progressing      | AnalysisFailed *        | 5
progressing      | the deadline          | Paused           | DeadlineExceeded *      | 5
progressing      | crashes               | RollingBack      | RollingBack             | 0
progressing      | another version       | RollingBack      | RollingBack             | 0
progressing      | an abort              | RollingBack      | RollingBack             | 0
progressing      | a promote             | Progressing      | AwaitingAcknowledgement | 100
progressing      | stable down           | Progressing      | AwaitingAcknowledgement | 100
progressing      | 3, and stable down    | Progressing      | AwaitingAcknowledgement | 100
progressing      | stable just gone      | Progressing      | NoData                  | 5
at its last step | a Pass                | Progressing      | AwaitingAcknowledgement | 95
baking           | nothing               | Baking           | Baking                  | 95
baking           | a suspicion at the end | Baking           | UnderSuspicion          | 95
baking           | noise at the end      | Baking           | ArmNoise                | 95
baking           | a bad pod at the end  | Baking           | PodStandsOut            | 95
baking           | a bad pod for too long | Paused           | DeadlineExceeded *      | 95
baking           | memory at the end    | Baking           | MemoryGrows             | 95
baking           | memory for too long  | Paused           | DeadlineExceeded *      | 95
baking           | a suspicion late      | Baking           | UnderSuspicion          | 95
baking           | a suspicion for too long | Paused           | DeadlineExceeded *      | 95
baking at 80%    | five minutes          | Baking           | Baking                  | 80
baking at 80%    | eight minutes         | Baking           | AwaitingAcknowledgement | 95
baking at 80%    | eight minutes, a suspicion | Baking           | UnderSuspicion          | 80
baking at 80%    | a Fail                | RollingBack      | RollingBack             | 0
baking           | another version       | Baking           | Baking                  | 95
baking           | a late proxy          | Baking           | AwaitingAcknowledgement | 95
baking           | a Fail                | RollingBack      | RollingBack             | 0
baking           | an abort              | RollingBack      | RollingBack             | 0
baking           | stable down           | Baking           | AwaitingAcknowledgement | 100
baking           | 3, and a promote      | Baking           | AwaitingAcknowledgement | 100
baking           | 3, and stable down    | Baking           | AwaitingAcknowledgement | 100
baking           | a bake without a Pass | Baking           | NoData                  | 95
baking           | no Pass in time       | Paused           | DeadlineExceeded *      | 95
baking           | a long enough bake    | Idle             | Promoted                | 100
rolling back     | nothing               | RollingBack      | RollingBack             | 0
rolling back     | its weight at 0       | Idle             | RolledBack              | 0
rolling back     | stable just gone      | RollingBack      | RollingBack             | 5
rolling back     | stable down           | Idle             | RolledBack              | 5
rolling back     | a proxy that is gone  | RollingBack      | RollingBack *           | 0
first revision   | nothing               | Idle             | Promoted                | 100
first revision   | 3, not acknowledged   | Progressing      | AwaitingAcknowledgement | 100
"""
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]


def decide_row(stage: str, found: str) -> tuple[Facts, Decision]:
    facts = FOUND[found](STAGES[stage]())
    return facts, decide(facts, NOW)


@pytest.mark.parametrize(
    ("stage", "found", "shown", "reason", "weight"),
    [pytest.param(*row, id=f"{row[0]} finds {row[1]}") for row in ROWS],
)
def test_an_arrow_leads_where_the_diagram_says(
    stage: str, found: str, shown: str, reason: str, weight: str
) -> None:
    facts, decision = decide_row(stage, found)

    told = f"{decision.reason}{' *' if decision.stalled else ''}"
    assert (decision.stage.value, told) == (shown, reason), decision.message
    if weight:
        assert decision.weights.get(C, 0) == int(weight)
    assert find_violations(decision, facts, NOW) == []


def test_every_stage_and_everything_that_can_be_found_has_a_row() -> None:
    assert {row[0] for row in ROWS} == STAGES.keys()
    assert {row[1] for row in ROWS} == FOUND.keys()
    assert {row[2] for row in ROWS} == {stage.value for stage in Stage}


def test_a_package_becomes_a_revision_and_a_crashed_check_is_made_again() -> None:
    assert decide_row("packaging", "a package")[1].make_revision is not None
    assert decide_row("packaging", "nothing")[1].package == 1
    assert decide_row("starting", "nothing")[1].check == 1


def loading(*, runs: bool = True, found: str = "nothing") -> Decision:
    """Return what follows while the candidate's server is not ready yet."""
    facts = FOUND[found](STAGES["starting"]())
    pod = a_pod("candidate", C, ready=False, ever_ready=False, running=runs)
    workloads = {S: a_workload(S), C: a_workload(C, ready=0)}
    return decide(replace(facts, workloads=workloads, pods={C: (pod,)}), NOW)


def test_a_check_is_prepared_while_the_server_loads_its_model() -> None:
    decision = loading()
    assert (decision.stage, decision.check) == (Stage.STARTING, 1)
    assert loading(runs=False).check is None, "its image may take minutes"


def test_a_check_that_waits_for_the_server_is_not_asked_for_again() -> None:
    for found in ("a check that passed", "a check that failed"):
        decision = loading(found=found)
        assert (decision.stage, decision.check) == (Stage.STARTING, None)


def test_what_no_retry_can_mend_is_not_retried_until_a_person_asks() -> None:
    facts, decision = decide_row("packaging", "an unknown layout")
    assert (decision.package, decision.requeue_after) == (None, None)

    a_day_later = decide(facts, NOW + timedelta(days=1))
    assert a_day_later.package is None

    transient = decide_row("packaging", "an absent source")[0]
    assert decide(transient, NOW + timedelta(days=1)).package == 2
