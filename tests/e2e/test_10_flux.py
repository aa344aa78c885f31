"""GitOps by the real Flux: commits roll out, and nothing of a rollout is drift.

The tests build on each other: one repository, one model, one commit after the other.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

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


@pytest.fixture(scope="module")
def repository(files: Kubectl) -> Repository:
    repository = Repository(files)
    repository.start()
    return repository


@pytest.fixture(scope="module")
def synced(repository: Repository, kubectl: Kubectl) -> Iterator[Synced]:
    """Flux with the objects of the sample, and a first version of the model."""
    flux.remove(kubectl)
    with flux.running(kubectl):
        synced = Synced(kubectl, repository)
        yield synced


@pytest.fixture(scope="module")
def deployed(follow: Follow) -> Deployed:
    return follow(NAME)


@pytest.fixture(scope="module")
def steady(deployed: Deployed, start_load: StartLoad) -> Iterator[Client]:
    with start_load(Plan(deployed.name)) as client:
        yield client


def generation(kubectl: Kubectl) -> int:
    found = kubectl.get(NAMESPACE, "modeldeployment", NAME)
    assert found is not None
    return int(found["metadata"]["generation"])


def action(kubectl: Kubectl) -> str:
    """Return the action that stands in the live object; empty without one."""
    found = kubectl.get(NAMESPACE, "modeldeployment", NAME) or {}
    return str(found["metadata"].get("annotations", {}).get(ANNOTATION_ACTION, ""))


def has_settled_on(version: str) -> Callable[[ModelDeploymentStatus], bool]:
    def fits(status: ModelDeploymentStatus) -> bool:
        serves = status.stable is not None and status.stable.version == version
        return serves and status.candidate is None

    return fits


def commit_and_fetch(repository: Repository, synced: Synced, model: Model) -> str:
    commit = repository.commit_model(model)
    synced.fetch()
    return commit


def test_a_first_commit_is_served(
    synced: Synced, repository: Repository, deployed: Deployed, figures: Figures
) -> None:
    crds = {f"crds/{path.name}": path.read_text() for path in (CLONE / "crds").iterdir()}
    repository.commit("the CRDs", crds)
    began = time.time()
    commit = repository.commit_model(model("1", "digits-1.onnx"))
    synced.begin()

    synced.wait_until_ready(commit, WAIT_SECONDS)
    figures.seconds["Flux: a first version, from the commit to Ready"] = time.time() - began
    assert has_settled_on("1")(deployed.status)


def test_a_new_version_is_ready_once_it_is_promoted(
    synced: Synced,
    repository: Repository,
    deployed: Deployed,
    steady: Client,
    figures: Figures,
) -> None:
    before = synced.changes()
    with steady.loses_nothing():
        began = time.time()
        commit = commit_and_fetch(repository, synced, model("2"))
        synced.wait_until_attempted(commit, WAIT_SECONDS)
        assert synced.condition("Ready")[0] != "True"
        synced.wait_until_ready(commit, WAIT_SECONDS)
        figures.seconds["Flux: a good version, from the commit to Ready"] = time.time() - began
    assert has_settled_on("2")(deployed.status)
    assert synced.changes() - before == Counter([f"{OBJECT} configured"])


def test_no_stage_of_a_rollout_is_drift_and_what_a_person_did_stays(
    synced: Synced,
    repository: Repository,
    deployed: Deployed,
    steady: Client,
    kubectl: Kubectl,
) -> None:
    """Another commit that changes nothing of the model: Flux compares and applies all again."""
    held = replace(
        model("3", "digits-2.onnx", step(25, hold=HELD), step(50, approval=True)),
        bake_seconds=HELD,
    )
    commit = commit_and_fetch(repository, synced, held)
    synced.wait_until_attempted(commit, WAIT_SECONDS)
    changes, asked = synced.changes(), generation(kubectl)

    def is_applied_again(number: int) -> None:
        again = repository.commit("a note", {"README.md": f"note {number}"})
        synced.fetch()
        synced.wait_until_attempted(again, WAIT_SECONDS)
        assert synced.changes() == changes
        assert generation(kubectl) == asked

    with steady.loses_nothing():
        is_applied_again(0)
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        is_applied_again(1)

        paused = deployed.act("pause")
        deployed.wait_for_stage(Stage.PAUSED)
        is_applied_again(2)
        assert is_at(deployed.status, Stage.PAUSED)
        assert action(kubectl) == f"pause#{paused}"

        deployed.act("resume")
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        deployed.act("skip")
        deployed.wait_for_stage(Stage.AWAITING_APPROVAL)
        is_applied_again(3)
        assert is_at(deployed.status, Stage.AWAITING_APPROVAL)

        deployed.act("approve")
        deployed.wait_for_stage(Stage.BAKING)
        is_applied_again(4)
        assert is_at(deployed.status, Stage.BAKING)

        deployed.act("promote")
        deployed.wait_for(has_settled_on("3"), "version 3")


def test_what_kubectl_annotate_wrote_is_taken_away_and_counts_all_the_same(
    synced: Synced, repository: Repository, deployed: Deployed, kubectl: Kubectl
) -> None:
    """Flux takes the fields of every manager whose name begins with `kubectl`."""
    commit_and_fetch(repository, synced, model("by-hand", "digits-2.onnx", step(25, hold=HELD)))
    deployed.wait_for_stage(Stage.PROGRESSING, 25)
    deployed.act("pause", manager="kubectl-annotate")
    deployed.wait_for_stage(Stage.PAUSED)

    before = synced.changes()
    again = repository.commit("a note", {"README.md": "note"})
    synced.fetch()
    synced.wait_until_attempted(again, WAIT_SECONDS)
    assert synced.changes() - before == Counter([f"{OBJECT} configured"])
    assert action(kubectl) == ""
    assert is_at(deployed.status, Stage.PAUSED)

    deployed.act("promote")
    deployed.wait_for(has_settled_on("by-hand"), "the version")


def test_a_rejected_version_fails_with_its_reason_until_it_is_reverted(
    synced: Synced,
    repository: Repository,
    deployed: Deployed,
    steady: Client,
    figures: Figures,
) -> None:
    with steady.loses_nothing():
        began = time.time()
        commit = commit_and_fetch(repository, synced, model("4", "digits-3.onnx"))
        said = synced.wait_until_failed(commit, WAIT_SECONDS)
        figures.seconds["Flux: a bad version, from the commit to Failed"] = time.time() - began
        figures.notes["Flux of a bad version"] = said
        assert OBJECT in said
        assert "Failed" in said
        assert deployed.wait_for_end("4").outcome is Outcome.REJECTED_BY_GOLDEN_SET

        began = time.time()
        reverted = repository.revert()
        synced.fetch()
        synced.wait_until_ready(reverted, WAIT_SECONDS)
        figures.seconds["Flux: its revert, from the commit to Ready"] = time.time() - began
    assert has_settled_on("by-hand")(deployed.status)


def test_a_revert_in_the_middle_of_a_rollout_is_not_waited_for(
    synced: Synced,
    repository: Repository,
    deployed: Deployed,
    steady: Client,
    figures: Figures,
) -> None:
    with steady.loses_nothing():
        commit_and_fetch(repository, synced, model("5", "digits-2.onnx", step(25, hold=HELD)))
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        began = time.time()
        reverted = repository.revert()
        synced.fetch()
        deployed.wait_for(lambda status: status.candidate is None, "no candidate")
        figures.seconds["Flux: a revert at 25%, from the commit to no candidate"] = (
            time.time() - began
        )
        synced.wait_until_ready(reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(deployed.status)


def test_flux_as_it_comes_keeps_a_revert_waiting_until_the_rollout_ends(
    synced: Synced, repository: Repository, deployed: Deployed, kubectl: Kubectl
) -> None:
    with flux.waiting_for_health(kubectl):
        held = model("6", "digits-2.onnx", step(25, hold=HELD))
        commit_and_fetch(repository, synced, held)
        deployed.wait_for_stage(Stage.PROGRESSING, 25)
        reverted = repository.revert()
        synced.fetch()
        until(lambda: synced.has_fetched(reverted), "the revert", WAIT_SECONDS)
        deployed.stays(lambda status: status.candidate is not None, LONG_ENOUGH_SECONDS)

        deployed.act("abort")
        synced.wait_until_ready(reverted, WAIT_SECONDS)
    assert has_settled_on("by-hand")(deployed.status)


def test_pruning_takes_the_model_with_its_children_and_leaves_the_crds(
    synced: Synced, repository: Repository, kubectl: Kubectl
) -> None:
    assert kubectl.items(NAMESPACE, "deployments", f"{LABEL_OWNER}={NAME}")
    commit = repository.commit("no model", {PRODUCTION: EMPTY, NOTE: NOTE_TEXT})
    synced.fetch()
    synced.wait_until_ready(commit, WAIT_SECONDS)
    pruned = {line for line in synced.changes() if line.endswith((" deleted", " skipped"))}
    crds = ("modeldeployments.slipway.dev", "modelroutes.slipway.dev")
    kept = {f"CustomResourceDefinition/{name} skipped" for name in crds}
    assert pruned == {f"{OBJECT} deleted"} | kept

    def are_gone() -> bool:
        selector = f"{LABEL_OWNER}={NAME}"
        kinds = "deployments,services,modelroutes,pods"
        return not kubectl.items(NAMESPACE, kinds, selector)

    until(are_gone, "no children", WAIT_SECONDS)
    assert kubectl.get(NAMESPACE, "modeldeployment", NAME) is None
    kubectl.run("get", "crds", *crds)
