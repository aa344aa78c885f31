"""Tools that apply and wait: Helm 4 for real, and nobody fights over a field."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from slipway.api.modeldeployment import Stage

from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed, Follow, promoted
from tests.e2e.objects import HELD, NAMESPACE, Model, step
from tests.install import helm, release
from tests.install.helm import InstallError
from tests.kubectl import Kubectl, Manifest

pytestmark = pytest.mark.e2e

RELEASE = "models"
NAME = "helmed"
WAIT_SECONDS = 600
"""Far longer than what is waited for: who waits for ever runs into it."""
CHART: Manifest = {"apiVersion": "v2", "name": RELEASE, "version": "0.1.0"}


@dataclass(frozen=True, slots=True)
class Charted:
    """A chart of a team, with a ModelDeployment in it."""

    path: Path
    kubectl: Kubectl

    def upgrade(self, model: Model, *words: str) -> str:
        """Install or upgrade the release to this version."""
        (self.path / "templates/model.yaml").write_text(yaml.safe_dump(model.manifest()))
        return helm.run(
            *("upgrade", "--install", RELEASE, str(self.path), "--namespace", NAMESPACE, *words),
            kubeconfig=release.KUBECONFIG,
        )

    def version(self, name: str = NAME) -> str:
        """Return the object's resourceVersion."""
        found = self.kubectl.get(NAMESPACE, "modeldeployment", name)
        assert found is not None
        return str(found["metadata"]["resourceVersion"])


@pytest.fixture(scope="module")
def charted(files: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charted]:
    path = tmp_path_factory.mktemp("chart")
    (path / "templates").mkdir()
    (path / "Chart.yaml").write_text(yaml.safe_dump(CHART))
    yield Charted(path, files)
    helm.run(
        *("uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found"),
        kubeconfig=release.KUBECONFIG,
    )
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def helmed(follow: Follow) -> Deployed:
    return follow(NAME)


WAIT = ("--wait", "--timeout", f"{WAIT_SECONDS}s")


def model(version: str, file: str = "digits-1.onnx") -> Model:
    return Model(name=NAME, version=version, file=file, golden=True, mode="Fetch")


def test_helm_waits_until_a_version_is_promoted(charted: Charted, helmed: Deployed) -> None:
    charted.upgrade(model("1"), *WAIT)
    stable = helmed.status.stable
    assert stable is not None
    assert stable.version == "1"


def test_helm_does_not_wait_for_a_version_that_is_rejected(charted: Charted) -> None:
    with pytest.raises(InstallError, match=r"(?s)helmed.*Failed.*of 150") as caught:
        charted.upgrade(model("shuffled", "digits-3.onnx"), *WAIT)
    assert "deadline exceeded" not in str(caught.value)


def test_helm_again_and_kubectl_change_nothing(charted: Charted) -> None:
    charted.upgrade(model("1"), *WAIT)
    charted.upgrade(model("1"))
    before = charted.version()
    charted.upgrade(model("1"))
    assert charted.version() == before
    text = json.dumps(model("1").manifest())
    words = ("apply", "--server-side", "--filename=-", "--field-manager=flux")
    charted.kubectl.run(*words, stdin=text)  # adds the tool's name to the owners
    before = charted.version()
    charted.kubectl.run(*words, stdin=text)
    assert charted.version() == before


def test_applying_again_in_the_middle_of_a_step_changes_nothing(
    unharmed: Client, digits: Deployed, kubectl: Kubectl
) -> None:
    held = Model(version="held", steps=[step(25, hold=HELD)])

    digits.apply(held)
    digits.wait_for_stage(Stage.PROGRESSING, 25)
    generation = generation_of(kubectl)
    kubectl.apply(held.manifest())
    for _ in range(2):
        kubectl.run(
            *("apply", "--server-side", "--filename=-", "--field-manager=argocd-controller"),
            stdin=json.dumps(held.manifest()),
        )
    unharmed.sends_on(2.0)

    assert generation_of(kubectl) == generation
    assert digits.status.candidate is not None

    digits.act("promote")
    digits.wait_for_end("held")
    digits.comes_to(promoted("held"), "held")


def generation_of(kubectl: Kubectl) -> int:
    found = kubectl.get(NAMESPACE, "modeldeployment", "digits")
    assert found is not None
    return int(found["metadata"]["generation"])
