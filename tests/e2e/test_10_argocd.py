"""GitOps by the real Argo CD: commits roll out, and nothing of a rollout is drift.

The tests build on each other: one repository, one model, one commit after the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.e2e import argocd
from tests.e2e.argocd import Synced
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Follow, is_at
from tests.e2e.figures import Figures
from tests.e2e.objects import HELD, NAMESPACE, step
from tests.e2e.repository import Repository
from tests.e2e.team import (
    CRDS,
    LONG_ENOUGH_SECONDS,
    NAME,
    NOTE_TEXT,
    WAIT_SECONDS,
    Team,
    has_settled_on,
    model,
    remove_model,
)
from tests.kubectl import Kubectl, until

pytestmark = pytest.mark.gitops

ArgoTeam = Team[Synced]
ONE_SYNC = ["Initiated automated sync", "sync: Synced -> OutOfSync", "sync: OutOfSync -> Synced"]
RETRIED_SECONDS = 60.0
"""Without retry.refresh in the sample it takes six minutes."""
AFTER_THE_MODEL = NOTE_TEXT.replace(
    "{name", "{annotations: {argocd.argoproj.io/sync-wave: '1'}, name"
)
"""A note that the same commit brings, one wave later."""


@pytest.fixture(scope="module")
def team(files: Kubectl, follow: Follow, figures: Figures) -> Iterator[ArgoTeam]:
    """A team with an empty repository, and an Argo CD that knows nothing of it."""
    repository = Repository(files)
    repository.start()
    argocd.remove(files)
    remove_model(files)
    with argocd.running(files):
        yield Team(repository, Synced(files, repository), follow(NAME), files, figures)


@pytest.fixture(scope="module")
def steady(team: ArgoTeam, start_load: StartLoad) -> Iterator[Client]:
    with start_load(Plan(team.deployed.name)) as client:
        yield client


@contextmanager
def told(team: ArgoTeam) -> Iterator[list[str]]:
    """Give what Argo CD tells of the Application while the body runs."""
    before = len(team.synced.news())
    news: list[str] = []
    yield news
    news += team.synced.news()[before:]


def syncs(news: list[str]) -> list[str]:
    return [line for line in news if not line.startswith("health")]


def healths(news: list[str]) -> list[str]:
    return [line.rpartition(" ")[2] for line in news if line.startswith("health")]


def note_is_there(team: ArgoTeam) -> bool:
    return team.kubectl.get(NAMESPACE, "configmap", "note") is not None


def test_a_first_commit_is_served(team: ArgoTeam) -> None:
    team.commit_crds()
    with team.timed("Healthy, a first version"):
        commit = team.repository.commit_model(model("1", "digits-1.onnx"), {})
        team.synced.begin()
        team.synced.wait_until("Healthy", commit, WAIT_SECONDS)
    assert has_settled_on("1")(team.deployed.status)


def test_children_are_shown_under_the_model_and_are_not_of_the_application(team: ArgoTeam) -> None:
    nodes = team.synced.shown()
    children = {
        node["kind"]
        for node in nodes
        if any(parent["kind"] == "ModelDeployment" for parent in node.get("parentRefs", ()))
    }
    assert children >= {"Deployment", "Service", "ModelRoute"}
    managed = {(each["kind"], each["name"]) for each in team.synced.status["resources"]}
    crds = {("CustomResourceDefinition", name) for name in CRDS}
    assert managed == {("ModelDeployment", NAME)} | crds


def test_a_new_version_is_healthy_once_it_is_promoted(team: ArgoTeam, steady: Client) -> None:
    losing_nothing = team.losing_nothing(steady, "a version that is promoted")
    with told(team) as news, losing_nothing, team.timed("Healthy, a good version"):
        commit = team.commit(model("2"))
        team.synced.wait_until_applied(commit, WAIT_SECONDS)
        assert team.synced.health == "Progressing"
        team.synced.wait_until("Healthy", commit, WAIT_SECONDS)
    assert has_settled_on("2")(team.deployed.status)
    assert syncs(news) == ONE_SYNC
    assert healths(news) == ["Progressing", "Healthy"]


def test_no_stage_of_a_rollout_is_drift_and_what_a_person_did_stays(
    team: ArgoTeam, steady: Client
) -> None:
    deployed = team.deployed
    steps = (step(25, hold=HELD), step(50, approval=True))
    held = replace(model("3", "digits-2.onnx", *steps), bake_seconds=HELD)
    team.synced.wait_until_applied(team.commit(held), WAIT_SECONDS)
    generation, operation = team.live["generation"], team.synced.operation

    def is_no_drift(health: str = "Progressing") -> None:
        team.commit_nothing()
        assert team.synced.out_of_sync() == set()
        assert team.synced.operation == operation
        assert team.live["generation"] == generation
        until(lambda: team.synced.health == health, health, WAIT_SECONDS)

    losing_nothing = team.losing_nothing(steady, "a rollout through all stages, by hand")
    with told(team) as news, losing_nothing:
        is_no_drift()
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        is_no_drift()

        paused = deployed.act("pause")
        deployed.wait_for_stage(Stage.PAUSED)
        is_no_drift("Suspended")
        assert is_at(deployed.status, Stage.PAUSED)
        assert team.action == f"pause#{paused}"

        deployed.act("resume")
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        deployed.act("skip")
        deployed.wait_for_stage(Stage.AWAITING_APPROVAL)
        is_no_drift("Suspended")
        assert is_at(deployed.status, Stage.AWAITING_APPROVAL)

        deployed.act("approve")
        deployed.wait_for_stage(Stage.BAKING)
        is_no_drift()
        assert is_at(deployed.status, Stage.BAKING)

        deployed.act("promote")
        deployed.wait_for(has_settled_on("3"), "version 3")
        is_no_drift("Healthy")
    assert syncs(news) == []


def test_what_kubectl_annotate_wrote_stays_too(team: ArgoTeam, steady: Client) -> None:
    deployed = team.deployed
    with team.losing_nothing(steady, "an action by kubectl annotate"):
        team.commit(model("by-hand", "digits-2.onnx", step(25, hold=HELD)))
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        paused = deployed.act("pause", manager="kubectl-annotate")
        deployed.wait_for_stage(Stage.PAUSED)

        with told(team) as news:
            team.commit_nothing()
        assert syncs(news) == []
        assert team.action == f"pause#{paused}"
        assert is_at(deployed.status, Stage.PAUSED)

        other_steps = model("by-hand", "digits-2.onnx", step(25), step(50))
        team.synced.wait_until_applied(team.commit(other_steps), WAIT_SECONDS)
        assert team.action == f"pause#{paused}"
        deployed.act("promote")
        deployed.wait_for(has_settled_on("by-hand"), "the version")


def test_a_rejected_version_is_degraded_until_it_is_reverted(
    team: ArgoTeam, steady: Client
) -> None:
    losing_nothing = team.losing_nothing(steady, "a rejected version and its revert")
    with told(team) as news, losing_nothing:
        with team.timed("Degraded, a bad version"):
            commit = team.commit(model("4", "digits-3.onnx"))
            team.synced.wait_until("Degraded", commit, WAIT_SECONDS)
        assert team.deployed.wait_for_end("4").outcome is Outcome.REJECTED_BY_GOLDEN_SET

        health, said = team.synced.shown_health("ModelDeployment", NAME)
        team.figures.notes["Argo CD of a bad version"] = said
        assert health == "Degraded"
        assert "cases agree" in said
        assert said.endswith("(RevisionRejected)")

        with team.timed("Healthy, its revert"):
            team.synced.wait_until("Healthy", team.revert(), WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)
    assert syncs(news) == [*ONE_SYNC, *ONE_SYNC]


def test_a_revert_in_the_middle_of_a_rollout_is_not_waited_for(
    team: ArgoTeam, steady: Client
) -> None:
    with team.losing_nothing(steady, "a revert at 25%"):
        team.commit(model("5", "digits-2.onnx", step(25, hold=HELD)))
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        with team.timed("no candidate, a revert at 25%"):
            reverted = team.revert()
            team.deployed.wait_for(lambda status: status.candidate is None, "no candidate")
        team.synced.wait_until("Healthy", reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_a_later_wave_waits_until_the_version_is_promoted(team: ArgoTeam, steady: Client) -> None:
    with team.losing_nothing(steady, "a version before a later wave"):
        commit = team.commit(model("6"), AFTER_THE_MODEL)
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        assert not note_is_there(team)
        team.synced.wait_until("Healthy", commit, WAIT_SECONDS)
    assert has_settled_on("6")(team.deployed.status)
    assert note_is_there(team)


def test_with_a_later_wave_a_revert_waits_until_the_rollout_ends(
    team: ArgoTeam, steady: Client
) -> None:
    with team.losing_nothing(steady, "a revert that waits for the rollout"):
        team.commit(model("7", "digits-2.onnx", step(25, hold=HELD)), AFTER_THE_MODEL)
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        reverted = team.revert()
        team.synced.wait_until_seen(reverted, WAIT_SECONDS)
        team.deployed.stays(lambda status: status.candidate is not None, LONG_ENOUGH_SECONDS)

        team.deployed.act("abort")
        team.synced.wait_until("Healthy", reverted, RETRIED_SECONDS)
    assert has_settled_on("6")(team.deployed.status)


def test_pruning_takes_the_model_with_its_children_and_leaves_the_crds(
    team: ArgoTeam, steady: Client
) -> None:
    with team.counting_losses(steady, "the model is deleted"):
        commit = team.commit_no_model()
        team.synced.wait_until("Healthy", commit, WAIT_SECONDS)
        team.wait_until_children_are_gone()
    assert note_is_there(team)

    with told(team) as news:
        team.commit_nothing()
    assert team.synced.out_of_sync() == set()
    assert syncs(news) == []
