"""Wrong decisions are found before they are written."""

from dataclasses import replace
from typing import Any

import pytest
from slipway.api.modeldeployment import (
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    Rejected,
    RevisionStatus,
    RolloutStatus,
    Stage,
)
from slipway.policy.decision import Decision, Ended
from slipway.policy.facts import Facts, TrafficReading
from slipway.policy.invariants import find_violations
from slipway.policy.rollout_memory import RolloutMemory

from tests.builders import (
    NOON,
    a_model_deployment,
    a_revision,
    a_route,
    a_workload,
    facts_about,
)

STABLE = a_revision(a_model_deployment("1"))
CANDIDATE = a_revision(a_model_deployment("2"))
S, C = STABLE.name, CANDIDATE.name
STATUS = ModelDeploymentStatus(stable=RevisionStatus(revision=S, version="1"))


def facts(weight: int = 5, *, ready: int = 2) -> Facts:
    """Return facts in the middle of a rollout of two replicas."""
    md = a_model_deployment("2", scaling={"minReplicas": 2}, status=STATUS)
    return facts_about(
        md,
        revisions={S: STABLE, C: CANDIDATE},
        workloads={S: a_workload(S, replicas=2), C: a_workload(C, replicas=2, ready=ready)},
        route=a_route({S: 100 - weight, C: weight}),
        traffic=TrafficReading({}),
    )


def a_decision(weight: int = 5, **changes: Any) -> Decision:
    decided = Decision(
        memory=RolloutMemory(stage=Stage.PROGRESSING),
        stage=Stage.PROGRESSING,
        stable=S,
        candidate=C,
        weights={S: 100 - weight, C: weight},
        replicas={S: 2, C: 2},
    )
    return replace(decided, **changes)


REFUSED = Rejected(
    revision=C,
    version="2",
    outcome=Outcome.ROLLED_BACK,
    reason="errors",
    at="2026-11-21T12:00:00.000Z",
)
ENTRY = HistoryEntry(
    revision=C, version="2", outcome=Outcome.PROMOTED, at="2026-11-21T12:00:00.000Z"
)
PROMOTED: dict[str, Any] = {"outcomes": (Ended(C, Outcome.PROMOTED),), "history": (ENTRY,)}


def test_a_good_decision_breaks_nothing() -> None:
    assert find_violations(a_decision(50), facts(), NOON) == []


def without_replicas(known: Facts, *names: str) -> Facts:
    gone = {name: a_workload(name, replicas=2, ready=0) for name in names}
    return replace(known, workloads={**known.workloads, **gone})


def test_no_backend_at_all_is_allowed_where_nobody_answers() -> None:
    assert find_violations(a_decision(weights={}), without_replicas(facts(), S, C), NOON) == []


@pytest.mark.parametrize(
    ("weights", "down"),
    [
        pytest.param({}, S, id="no backend at all"),
        pytest.param({S: 100, C: 0}, S, id="back to a stable without a replica"),
        pytest.param({S: 0, C: 100}, C, id="on to a candidate without a replica"),
    ],
)
def test_the_only_server_keeps_its_traffic(weights: dict[str, int], down: str) -> None:
    known = without_replicas(facts(50), down)
    found = find_violations(a_decision(weights=weights), known, NOON)
    assert [line[:3] for line in found if line.startswith("I11")] == ["I11"]


def test_traffic_goes_to_whoever_can_answer() -> None:
    known = without_replicas(facts(50), C)
    assert find_violations(a_decision(weights={S: 100, C: 0}), known, NOON) == []


def test_lowering_a_weight_needs_no_capacity() -> None:
    assert find_violations(a_decision(0), facts(50, ready=0), NOON) == []


@pytest.mark.parametrize(
    ("decision", "known", "promise"),
    [
        pytest.param(a_decision(weights={S: 90, C: 5}), facts(), "I1", id="sum below 100"),
        pytest.param(a_decision(weights={S: 105, C: -5}), facts(), "I1", id="below 0"),
        pytest.param(a_decision(weights={C: 5}), facts(), "I1", id="part of the traffic alone"),
        pytest.param(a_decision(51), facts(ready=1), "I1", id="raised without capacity"),
        pytest.param(a_decision(replicas={S: 1, C: 2}), facts(), "I2", id="stable too small"),
        pytest.param(a_decision(replicas={S: 0, C: 2}), facts(), "I2", id="stable gone"),
        pytest.param(
            a_decision(0, replicas={S: 2, C: 0}),
            facts(5),
            "I3",
            id="candidate gone before weight 0",
        ),
        pytest.param(
            a_decision(0, replicas={S: 2, C: 0}),
            replace(facts(0), traffic=TrafficReading({C: 1})),
            "I3",
            id="candidate gone with a request in flight",
        ),
        pytest.param(a_decision(25, rejected=(REFUSED,)), facts(), "I4", id="refused gets more"),
        pytest.param(a_decision(**PROMOTED), facts(), "I8", id="promoted unseen"),
    ],
)
def test_a_wrong_decision_is_found(decision: Decision, known: Facts, promise: str) -> None:
    assert [line[:2] for line in find_violations(decision, known, NOON) if line[:2] == promise]


def test_a_refused_revision_may_lose_its_weight() -> None:
    assert find_violations(a_decision(0, rejected=(REFUSED,)), facts(5), NOON) == []


def test_a_promotion_that_was_judged_or_says_who_skipped_it_is_fine() -> None:
    rollout = RolloutStatus(stage=Stage.BAKING, judged_weight=50)
    judged = STATUS.model_copy(update={"rollout": rollout})
    known = facts()
    known = replace(known, md=known.md.model_copy(update={"status": judged}))
    assert find_violations(a_decision(**PROMOTED), known, NOON) == []

    skipped = ENTRY.model_copy(update={"unjudged": "promote by editor"})
    decision = a_decision(**{**PROMOTED, "history": (skipped,)})
    assert find_violations(decision, facts(), NOON) == []
