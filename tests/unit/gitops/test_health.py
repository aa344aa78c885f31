"""What Helm, Flux and Argo CD make of a ModelDeployment, over recorded statuses of every stage."""

import asyncio

import pytest
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Stage
from slipway.api.names import GROUP

from tests.install.helm import ROOT
from tests.unit.gitops import argocd, kstatus
from tests.unit.gitops.recorded import STORIES, Recorder, record

BOTH = pytest.mark.parametrize("goes_by_ready", [False, True], ids=["older", "newer"])
AGREED = {
    "Current": {"Healthy", "Degraded"},  # promoted; Degraded where its pods are gone
    "Failed": {"Degraded"},
    "InProgress": {"Progressing", "Suspended"},
    "Terminating": {"Progressing"},
}


@pytest.fixture(scope="module")
def recorders() -> dict[str, Recorder]:
    return {name: asyncio.run(record(story)) for name, (story, _, _) in STORIES.items()}


@pytest.fixture(scope="module")
def states(recorders: dict[str, Recorder]) -> list[Manifest]:
    return [as_stored(state) for recorder in recorders.values() for state in recorder.states]


def as_stored(state: Manifest) -> Manifest:
    """Return an object as the API server has it: the CRD's default where there is no status."""
    return {**state, "status": state.get("status") or {"observedGeneration": -1}}


def stage_of(state: Manifest) -> str | None:
    stage: str | None = state["status"].get("rollout", {}).get("stage")
    return stage


def is_observed(state: Manifest) -> bool:
    observed: bool = state["status"]["observedGeneration"] == state["metadata"]["generation"]
    return observed


def claims(state: Manifest) -> set[str]:
    return {
        entry["type"]
        for entry in state["status"].get("conditions", ())
        if entry["status"] == "True"
    }


def test_every_stage_was_recorded(states: list[Manifest]) -> None:
    assert {stage_of(state) for state in states} >= set(Stage)


@BOTH
@pytest.mark.parametrize("story", STORIES)
def test_helm_and_flux_see_how_a_story_ends(
    recorders: dict[str, Recorder], story: str, goes_by_ready: bool
) -> None:
    found = kstatus.compute(as_stored(recorders[story].last), goes_by_ready=goes_by_ready)
    assert found == STORIES[story][1]


@pytest.mark.parametrize("story", STORIES)
def test_argo_cd_sees_how_a_story_ends(recorders: dict[str, Recorder], story: str) -> None:
    assert argocd.health(as_stored(recorders[story].last))[0] == STORIES[story][2]


@BOTH
def test_nothing_is_done_before_it_is(states: list[Manifest], goes_by_ready: bool) -> None:
    """`helm --wait` and Flux return at the first Current, so it must mean promoted."""
    for state in states:
        if kstatus.compute(state, goes_by_ready=goes_by_ready) == "Current":
            assert is_observed(state)
            assert "Ready" in claims(state)


@BOTH
def test_nothing_has_failed_before_it_has(states: list[Manifest], goes_by_ready: bool) -> None:
    for state in states:
        if kstatus.compute(state, goes_by_ready=goes_by_ready) == "Failed":
            assert "Stalled" in claims(state)
            assert "Ready" not in claims(state)


def test_a_true_claim_of_the_three_holds_in_every_observed_state(states: list[Manifest]) -> None:
    for state in filter(is_observed, states):
        assert len(claims(state) & {"Ready", "Reconciling", "Stalled"}) == 1, state["status"]


def test_argo_cd_agrees_with_helm_and_flux(states: list[Manifest]) -> None:
    for state in states:
        health, message = argocd.health(state)
        assert health in AGREED[kstatus.compute(state, goes_by_ready=True)]
        assert message


@pytest.mark.parametrize(
    ("stage", "health"),
    [
        (Stage.PACKAGING, "Progressing"),
        (Stage.STARTING, "Progressing"),
        (Stage.CHECKING, "Progressing"),
        (Stage.PROGRESSING, "Progressing"),
        (Stage.BAKING, "Progressing"),
        (Stage.ROLLING_BACK, "Progressing"),
        (Stage.FAILED, "Progressing"),
        (Stage.AWAITING_APPROVAL, "Suspended"),
        (Stage.PAUSED, "Suspended"),
    ],
)
def test_argo_cd_by_stage(states: list[Manifest], stage: Stage, health: str) -> None:
    found = {
        argocd.health(state)[0]
        for state in states
        if stage_of(state) == stage and is_observed(state) and "Stalled" not in claims(state)
    }
    assert found == {health}


def test_argo_cd_says_why(recorders: dict[str, Recorder]) -> None:
    _, message = argocd.health(recorders["a golden set that fails"].last)
    assert "3 of 50" in message
    assert "RevisionRejected" in message


@pytest.mark.parametrize(
    ("story", "reason", "words"),
    [
        ("a quota", "Refused", "exceeded quota"),
        ("a field", "InvalidSpec", "spec.x"),
        ("a hook elsewhere", "InvalidSpec", "<service>.vision.svc"),
        ("a webhook away", "WebhookUnavailable", "failed calling webhook"),
        ("no right", "Forbidden", "cannot create resource"),
        ("a server that fails", "ClusterUnavailable", "etcdserver"),
        ("a right taken", "Forbidden", "cannot create resource"),
    ],
)
def test_trouble_is_told_with_its_cause(
    recorders: dict[str, Recorder], story: str, reason: str, words: str
) -> None:
    last = as_stored(recorders[story].last)
    [ready] = [entry for entry in last["status"]["conditions"] if entry["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert words in argocd.health(last)[1]


@BOTH
@pytest.mark.parametrize(
    "story", ["a webhook away", "no right", "a server that fails", "a right taken"]
)
def test_what_passes_by_itself_ends_no_wait(
    recorders: dict[str, Recorder], story: str, goes_by_ready: bool
) -> None:
    for state in recorders[story].states:
        assert kstatus.compute(as_stored(state), goes_by_ready=goes_by_ready) != "Failed"


def test_what_serves_stays_available_while_a_right_is_missing(
    recorders: dict[str, Recorder],
) -> None:
    assert "Available" in claims(as_stored(recorders["a right taken"].last))


def test_an_object_that_nobody_has_looked_at_is_not_done() -> None:
    fresh = {"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}
    assert kstatus.compute(fresh, goes_by_ready=False) == "InProgress"
    assert argocd.health({"metadata": {"generation": 1}})[0] == "Progressing"


def test_an_object_that_is_being_deleted(recorders: dict[str, Recorder]) -> None:
    last = recorders["a good version"].last
    going = {**last, "metadata": {**last["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert kstatus.compute(going, goes_by_ready=True) == "Terminating"
    assert argocd.health(going)[0] == "Progressing"


def test_a_promoted_model_whose_pods_are_gone_is_degraded(recorders: dict[str, Recorder]) -> None:
    last = recorders["a good version"].last
    conditions = [
        {**entry, "status": "False", "message": "revision 1 has 0 ready replicas"}
        if entry["type"] == "Available"
        else entry
        for entry in last["status"]["conditions"]
    ]
    gone = {**last, "status": {**last["status"], "conditions": conditions}}
    assert argocd.health(gone) == ("Degraded", "revision 1 has 0 ready replicas")


def test_the_page_shows_the_scripts_own_name() -> None:
    page = (ROOT / "docs/gitops.md").read_text()
    assert f"resource.customizations.health.{GROUP}_ModelDeployment" in page
