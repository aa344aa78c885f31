"""A team that has Git, and a tool between it and its model: what tests of GitOps tools share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from slipway.api.modeldeployment import ModelDeploymentStatus
from slipway.api.names import ANNOTATION_ACTION, LABEL_OWNER

from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model, step
from tests.e2e.repository import PRODUCTION, Repository
from tests.kubectl import CLONE, Kubectl, Manifest, until

NAME = "digits"
"""Of the sample."""
CRDS = ("modeldeployments.slipway.dev", "modelroutes.slipway.dev")
WAIT_SECONDS = 180.0
LONG_ENOUGH_SECONDS = 20.0
"""A revert that nothing holds up is in force after five."""
EMPTY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [note.yaml]
"""
NOTE = "environments/production/note.yaml"
NOTE_TEXT = f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: note, namespace: {NAMESPACE}}}
"""


def model(version: str, file: str = "digits-2.onnx", *steps: Manifest) -> Model:
    """Return a version of the sample's model, small and quick."""
    return Model(
        name=NAME,
        version=version,
        file=file,
        golden=True,
        mode="Fetch",
        scaling={"minReplicas": 1, "maxReplicas": 1},
        steps=steps or (step(25), step(50)),
    )


def has_settled_on(version: str) -> Callable[[ModelDeploymentStatus], bool]:
    """Return whether a version serves, and no other is on its way."""

    def fits(status: ModelDeploymentStatus) -> bool:
        serves = status.stable is not None and status.stable.version == version
        return serves and status.candidate is None

    return fits


def remove_model(kubectl: Kubectl) -> None:
    """Remove the model that an earlier tool may have left."""
    words = ("modeldeployment", NAME, "-n", NAMESPACE, "--ignore-not-found")
    kubectl.run("delete", *words, seconds=WAIT_SECONDS)


class Tool(Protocol):
    """What brings commits to the cluster."""

    @property
    def tool(self) -> str:
        """Its name."""

    def fetch(self) -> None:
        """Let it look at the repository now."""

    def wait_until_seen(self, commit: str, seconds: float) -> None:
        """Wait until it has compared the cluster with a commit."""


T = TypeVar("T", bound=Tool)


@dataclass(frozen=True, slots=True)
class Team(Generic[T]):
    """The team, and what it has at hand."""

    repository: Repository
    synced: T
    deployed: Deployed
    kubectl: Kubectl
    figures: Figures

    def commit(self, model: Model, note: str | None = None) -> str:
        """Commit a version, beside a note where one is given, and let the tool know."""
        commit = self.repository.commit_model(model, {NOTE: note})
        self.synced.fetch()
        return commit

    def commit_crds(self) -> None:
        """Commit the CRDs, which belong to the same environment."""
        crds = {f"crds/{path.name}": path.read_text() for path in (CLONE / "crds").iterdir()}
        self.repository.commit("the CRDs", crds)

    def commit_nothing(self) -> None:
        """Commit what is nothing of the model; the tool compares all again."""
        commit = self.repository.commit("more words", {"README.md": str(time.time())})
        self.synced.fetch()
        self.synced.wait_until_seen(commit, WAIT_SECONDS)

    def commit_no_model(self) -> str:
        """Commit an environment with a note and nothing else, and let the tool know."""
        commit = self.repository.commit("no model", {PRODUCTION: EMPTY, NOTE: NOTE_TEXT})
        self.synced.fetch()
        return commit

    def revert(self) -> str:
        """Revert the newest commit, and let the tool know."""
        commit = self.repository.revert()
        self.synced.fetch()
        return commit

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long the body takes."""
        began = time.time()
        yield
        name = f"{self.synced.tool}: from the commit to {what}"
        self.figures.seconds[name] = time.time() - began

    @contextmanager
    def losing_nothing(self, client: Client, stage: str) -> Iterator[None]:
        """Fail if the client loses a request in the body; note how many it sent."""
        before = client.load.total
        with client.loses_nothing():
            yield
        self._note_requests(client, stage, before.sent, before.lost)

    @contextmanager
    def counting_losses(self, client: Client, stage: str) -> Iterator[None]:
        """Note how many requests the client sends in the body, and how many it loses.

        Before that it has lost none, between the stages neither.
        """
        before = client.load.total
        assert before.lost == 0
        yield
        client.sends_on()
        self._note_requests(client, stage, before.sent, before.lost)

    def _note_requests(self, client: Client, stage: str, sent: int, lost: int) -> None:
        total = client.load.total
        name = f"{self.synced.tool}, requests, {stage}"
        self.figures.notes[name] = f"{total.sent - sent:,}, {total.lost - lost} lost"

    def wait_until_children_are_gone(self) -> None:
        """Wait until nothing is left of the model, though both CRDs are."""
        selector = f"{LABEL_OWNER}={NAME}"

        def are_gone() -> bool:
            kinds = "deployments,services,modelroutes,pods"
            return not self.kubectl.items(NAMESPACE, kinds, selector)

        until(are_gone, "no children", WAIT_SECONDS)
        assert self.kubectl.get(NAMESPACE, "modeldeployment", NAME) is None
        self.kubectl.run("get", "crds", *CRDS)

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
