"""GitOps by the real Flux: commits roll out, and nothing of a rollout is drift.

The tests build on each other: one repository, one model, one commit after the other.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome, Stage
from slipway.api.names import ANNOTATION_ACTION, LABEL_OWNER

from tests.e2e import flux
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow, is_at
from tests.e2e.figures import Figures
from tests.e2e.flux import Synced
from tests.e2e.objects import HELD, NAMESPACE, Model, step
from tests.e2e.repository import PRODUCTION, Repository
from tests.kubectl import CLONE, Kubectl, Manifest, until

pytestmark = pytest.mark.gitops

NAME = "digits"
"""Of the sample."""
OBJECT = f"ModelDeployment/{NAMESPACE}/{NAME}"
"""As Flux writes it."""
WAIT_SECONDS = 180.0
LONG_ENOUGH_SECONDS = 20.0
"""A revert that nothing holds up is in force after five."""
EMPTY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [note.yaml]
"""
NOTE = "environments/production/note.yaml"
NOTE_TEXT = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: note, namespace: default}
"""


def model(version: str, file: str = "digits-2.onnx", *steps: Manifest) -> Model:
    return Model(
        name=NAME,
        version=version,
        file=file,
        golden=True,
        mode="Fetch",
        scaling={"minReplicas": 1, "maxReplicas": 1},
        steps=steps or (step(25), step(50)),
    )


@dataclass(frozen=True, slots=True)
class Team:
    """A team that has Git, and Flux between it and its model."""

    repository: Repository
    synced: Synced
    deployed: Deployed
    kubectl: Kubectl
    figures: Figures

    def commit(self, model: Model) -> str:
        """Commit a version, and let Flux know."""
        commit = self.repository.commit_model(model)
        self.synced.fetch()
        return commit

    def commit_note(self) -> None:
        """Commit what is nothing of the model; Flux compares and applies all again."""
        commit = self.repository.commit("a note", {"README.md": str(time.time())})
        self.synced.fetch()
        self.synced.wait_until_attempted(commit, WAIT_SECONDS)

    def revert(self) -> str:
        """Revert the newest commit, and let Flux know."""
        commit = self.repository.revert()
        self.synced.fetch()
        return commit

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long the body takes."""
        began = time.time()
        yield
        self.figures.seconds[f"Flux: from the commit to {what}"] = time.time() - began

    @property
    def live(self) -> Manifest:
        """Metadata of the object as the cluster has it."""
        found = self.kubectl.get(NAMESPACE, "modeldeployment", NAME)
        assert found is not None
        return dict(found["metadata"])

    @property
    def action(self) -> str:
        """The action that stands in the live object; empty without one."""
        return str(self.live.get("annotations", {}).get(ANNOTATION_ACTION, ""))


@pytest.fixture(scope="module")
def team(files: Kubectl, follow: Follow, figures: Figures) -> Iterator[Team]:
    """A team with an empty repository, and a Flux that knows nothing of it."""
    repository = Repository(files)
    repository.start()
    flux.remove(files)
    with flux.running(files):
        yield Team(repository, Synced(files, repository), follow(NAME), files, figures)


@pytest.fixture(scope="module")
def steady(team: Team, start_load: StartLoad) -> Iterator[Client]:
    with start_load(Plan(team.deployed.name)) as client:
        yield client


def has_settled_on(version: str) -> Callable[[ModelDeploymentStatus], bool]:
    def fits(status: ModelDeploymentStatus) -> bool:
        serves = status.stable is not None and status.stable.version == version
        return serves and status.candidate is None

    return fits


def test_a_first_commit_is_served(team: Team) -> None:
    crds = {f"crds/{path.name}": path.read_text() for path in (CLONE / "crds").iterdir()}
    team.repository.commit("the CRDs", crds)
    with team.timed("Ready, a first version"):
        commit = team.repository.commit_model(model("1", "digits-1.onnx"))
        team.synced.begin()
        team.synced.wait_until_ready(commit, WAIT_SECONDS)
    assert has_settled_on("1")(team.deployed.status)


def test_a_new_version_is_ready_once_it_is_promoted(team: Team, steady: Client) -> None:
    before = team.synced.changes()
    with steady.loses_nothing(), team.timed("Ready, a good version"):
        commit = team.commit(model("2"))
        team.synced.wait_until_attempted(commit, WAIT_SECONDS)
        assert team.synced.condition("Ready")[0] != "True"
        team.synced.wait_until_ready(commit, WAIT_SECONDS)
    assert has_settled_on("2")(team.deployed.status)
    assert team.synced.changes() - before == Counter([f"{OBJECT} configured"])


def test_no_stage_of_a_rollout_is_drift_and_what_a_person_did_stays(
    team: Team, steady: Client
) -> None:
    deployed = team.deployed
    steps = (step(25, hold=HELD), step(50, approval=True))
    held = replace(model("3", "digits-2.onnx", *steps), bake_seconds=HELD)
    team.synced.wait_until_attempted(team.commit(held), WAIT_SECONDS)
    changes, generation = team.synced.changes(), team.live["generation"]

    def is_no_drift() -> None:
        team.commit_note()
        assert team.synced.changes() == changes
        assert team.live["generation"] == generation

    with steady.loses_nothing():
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


def test_what_kubectl_annotate_wrote_is_taken_away_and_counts_all_the_same(team: Team) -> None:
    """Flux takes the fields of every manager whose name begins with `kubectl`."""
    deployed = team.deployed
    team.commit(model("by-hand", "digits-2.onnx", step(25, hold=HELD)))
    deployed.wait_for_stage(Stage.PROGRESSING, 25)
    deployed.act("pause", manager="kubectl-annotate")
    deployed.wait_for_stage(Stage.PAUSED)

    before = team.synced.changes()
    team.commit_note()
    assert team.synced.changes() - before == Counter([f"{OBJECT} configured"])
    assert team.action == ""
    assert is_at(deployed.status, Stage.PAUSED)

    deployed.act("promote")
    deployed.wait_for(has_settled_on("by-hand"), "the version")


def test_a_rejected_version_fails_until_it_is_reverted(team: Team, steady: Client) -> None:
    with steady.loses_nothing():
        with team.timed("HealthCheckFailed, a bad version"):
            commit = team.commit(model("4", "digits-3.onnx"))
            said = team.synced.wait_until_failed(commit, WAIT_SECONDS)
        team.figures.notes["Flux of a bad version"] = said
        assert f"{OBJECT} status: 'Failed'" in said
        assert team.deployed.wait_for_end("4").outcome is Outcome.REJECTED_BY_GOLDEN_SET

        with team.timed("Ready, its revert"):
            team.synced.wait_until_ready(team.revert(), WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_a_revert_in_the_middle_of_a_rollout_is_not_waited_for(team: Team, steady: Client) -> None:
    with steady.loses_nothing():
        team.commit(model("5", "digits-2.onnx", step(25, hold=HELD)))
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        with team.timed("no candidate, a revert at 25%"):
            reverted = team.revert()
            team.deployed.wait_for(lambda status: status.candidate is None, "no candidate")
        team.synced.wait_until_ready(reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_flux_as_it_comes_keeps_a_revert_waiting_until_the_rollout_ends(team: Team) -> None:
    with flux.waiting_for_health(team.kubectl):
        team.commit(model("6", "digits-2.onnx", step(25, hold=HELD)))
        team.deployed.wait_for_stage(Stage.PROGRESSING, 25)
        reverted = team.revert()
        until(lambda: team.synced.has_fetched(reverted), "the revert", WAIT_SECONDS)
        team.deployed.stays(lambda status: status.candidate is not None, LONG_ENOUGH_SECONDS)

        team.deployed.act("abort")
        team.synced.wait_until_ready(reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(team.deployed.status)


def test_pruning_takes_the_model_with_its_children_and_leaves_the_crds(team: Team) -> None:
    selector = f"{LABEL_OWNER}={NAME}"
    assert team.kubectl.items(NAMESPACE, "deployments", selector)
    commit = team.repository.commit("no model", {PRODUCTION: EMPTY, NOTE: NOTE_TEXT})
    team.synced.fetch()
    team.synced.wait_until_ready(commit, WAIT_SECONDS)

    pruned = {line for line in team.synced.changes() if line.endswith((" deleted", " skipped"))}
    crds = ("modeldeployments.slipway.dev", "modelroutes.slipway.dev")
    kept = {f"CustomResourceDefinition/{name} skipped" for name in crds}
    assert pruned == {f"{OBJECT} deleted"} | kept

    def are_gone() -> bool:
        kinds = "deployments,services,modelroutes,pods"
        return not team.kubectl.items(NAMESPACE, kinds, selector)

    until(are_gone, "no children", WAIT_SECONDS)
    assert team.kubectl.get(NAMESPACE, "modeldeployment", NAME) is None
    team.kubectl.run("get", "crds", *crds)
