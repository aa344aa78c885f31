"""GitOps by the real Flux: commits roll out, and nothing of a rollout is drift.

The tests build on each other: one repository, one model, one commit after the other.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from slipway.api.modeldeployment import Outcome, Stage
from slipway.api.names import LABEL_OWNER

from tests.e2e import flux
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Follow, is_at
from tests.e2e.figures import Figures
from tests.e2e.flux import Synced
from tests.e2e.objects import HELD, NAMESPACE, step
from tests.e2e.repository import Repository
from tests.e2e.team import (
    CRDS,
    LONG_ENOUGH_SECONDS,
    NAME,
    WAIT_SECONDS,
    Team,
    has_settled_on,
    model,
    remove_model,
)
from tests.kubectl import Kubectl, until

pytestmark = pytest.mark.gitops

OBJECT = f"ModelDeployment/{NAMESPACE}/{NAME}"
"""As Flux writes it."""
FluxTeam = Team[Synced]


@pytest.fixture(scope="module")
def team(files: Kubectl, follow: Follow, figures: Figures) -> Iterator[FluxTeam]:
    """A team with an empty repository, and a Flux that knows nothing of it."""
    repository = Repository(files)
    repository.start()
    flux.remove(files)
    remove_model(files)
    with flux.running(files):
        yield Team(repository, Synced(files, repository), follow(NAME), files, figures)


@pytest.fixture(scope="module")
def steady(team: FluxTeam, start_load: StartLoad) -> Iterator[Client]:
    with start_load(Plan(team.deployed.name)) as client:
        yield client


def test_a_first_commit_is_served(team: FluxTeam) -> None:
    team.commit_crds()
    with team.timed("Ready, a first version"):
        commit = team.repository.commit_model(model("1", "digits-1.onnx"), {})
        team.synced.begin()
        team.synced.wait_until_ready(commit, WAIT_SECONDS)
    assert has_settled_on("1")(team.deployed.status)


def test_a_new_version_is_ready_once_it_is_promoted(team: FluxTeam, steady: Client) -> None:
    before = team.synced.changes()
    losing_nothing = team.losing_nothing(steady, "a version that is promoted")
    with losing_nothing, team.timed("Ready, a good version"):
        commit = team.commit(model("2"))
        team.synced.wait_until_seen(commit, WAIT_SECONDS)
        assert team.synced.condition("Ready")[0] != "True"
        team.synced.wait_until_ready(commit, WAIT_SECONDS)
    assert has_settled_on("2")(team.deployed.status)
    assert team.synced.changes() - before == Counter([f"{OBJECT} configured"])


def test_no_stage_of_a_rollout_is_drift_and_what_a_person_did_stays(
    team: FluxTeam, steady: Client
) -> None:
    deployed = team.deployed
    steps = (step(25, hold=HELD), step(50, approval=True))
    held = replace(model("3", "digits-2.onnx", *steps), bake_seconds=HELD)
    team.synced.wait_until_seen(team.commit(held), WAIT_SECONDS)
    changes, generation = team.synced.changes(), team.live["generation"]

    def is_no_drift() -> None:
        team.commit_nothing()
        assert team.synced.changes() == changes
        assert team.live["generation"] == generation

    with team.losing_nothing(steady, "a rollout through all stages, by hand"):
        is_no_drift()
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        is_no_drift()

        paused = deployed.act("pause")
        deployed.wait_for_stage(Stage.PAUSED)
        is_no_drift()
        assert is_at(deployed.status, Stage.PAUSED)
        assert team.action == f"pause#{paused}"

        deployed.act("resume")
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        deployed.act("skip")
        deployed.wait_for_stage(Stage.AWAITING_APPROVAL)
        is_no_drift()
        assert is_at(deployed.status, Stage.AWAITING_APPROVAL)

        deployed.act("approve")
        deployed.wait_for_stage(Stage.BAKING)
        is_no_drift()
        assert is_at(deployed.status, Stage.BAKING)

        deployed.act("promote")
        deployed.wait_for(has_settled_on("3"), "version 3")


def test_what_kubectl_annotate_wrote_is_taken_away_and_counts_all_the_same(
    team: FluxTeam, steady: Client
) -> None:
    """Flux takes the fields of every manager whose name begins with `kubectl`."""
    deployed = team.deployed
    with team.losing_nothing(steady, "an action by kubectl annotate"):
        team.commit(model("by-hand", "digits-2.onnx", step(25, hold=HELD)))
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        deployed.act("pause", manager="kubectl-annotate")
        deployed.wait_for_stage(Stage.PAUSED)

        before = team.synced.changes()
        team.commit_nothing()
        assert team.synced.changes() - before == Counter([f"{OBJECT} configured"])
        assert team.action == ""
        assert is_at(deployed.status, Stage.PAUSED)

        deployed.act("promote")
        deployed.wait_for(has_settled_on("by-hand"), "the version")


def test_a_rejected_version_fails_until_it_is_reverted(team: FluxTeam, steady: Client) -> None:
    with team.losing_nothing(steady, "a rejected version and its revert"):
        with team.timed("HealthCheckFailed, a bad version"):
            commit = team.commit(model("4", "digits-3.onnx"))
            said = team.synced.wait_until_failed(commit, WAIT_SECONDS)
        team.figures.notes["Flux of a bad version"] = said
        assert f"{OBJECT} status: 'Failed'" in said
        assert team.deployed.wait_for_end("4").outcome is Outcome.REJECTED_BY_GOLDEN_SET

        with team.timed("Ready, its revert"):
            team.synced.wait_until_ready(team.revert(), WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_a_revert_in_the_middle_of_a_rollout_is_not_waited_for(
    team: FluxTeam, steady: Client
) -> None:
    with team.losing_nothing(steady, "a revert at 25%"):
        team.commit(model("5", "digits-2.onnx", step(25, hold=HELD)))
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        with team.timed("no candidate, a revert at 25%"):
            reverted = team.revert()
            team.deployed.wait_for(lambda status: status.candidate is None, "no candidate")
        team.synced.wait_until_ready(reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_flux_as_it_comes_keeps_a_revert_waiting_until_the_rollout_ends(
    team: FluxTeam, steady: Client
) -> None:
    losing_nothing = team.losing_nothing(steady, "a revert that waits for the rollout")
    with flux.waiting_for_health(team.kubectl), losing_nothing:
        team.commit(model("6", "digits-2.onnx", step(25, hold=HELD)))
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        reverted = team.revert()
        until(lambda: team.synced.has_fetched(reverted), "the revert", WAIT_SECONDS)
        team.deployed.stays(lambda status: status.candidate is not None, LONG_ENOUGH_SECONDS)

        team.deployed.act("abort")
        team.synced.wait_until_ready(reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_pruning_takes_the_model_with_its_children_and_leaves_the_crds(
    team: FluxTeam, steady: Client
) -> None:
    assert team.kubectl.items(NAMESPACE, "deployments", f"{LABEL_OWNER}={NAME}")
    with team.counting_losses(steady, "the model is deleted"):
        team.synced.wait_until_ready(team.commit_no_model(), WAIT_SECONDS)

        pruned = {line for line in team.synced.changes() if line.endswith((" deleted", " skipped"))}
        kept = {f"CustomResourceDefinition/{name} skipped" for name in CRDS}
        assert pruned == {f"{OBJECT} deleted"} | kept
        team.wait_until_children_are_gone()
