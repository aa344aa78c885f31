"""The commands that the pages show, against the cluster with the release that `make install` made.

What would change or delete something is a dry run on the server; what waits is ended after a while.
"""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway.api.kinds import MODEL_DEPLOYMENT, MODEL_ROUTE

from tests.kubectl import CLUSTER, Kubectl, Manifest
from tests.pages import ROOT, blocks, commands_run_by

pytestmark = pytest.mark.cluster

QUICKSTART = ROOT / "docs/quickstart.md"
SHOWN = "vision"
"""The namespace of the pages; the test has one of its own."""
CHANGES = ("annotate", "apply", "create", "delete", "patch")
WAITS = (" --watch", " wait ")
"""Nothing changes here any more, and digits never serves."""
WAIT_SECONDS = 5
SECONDS = 60


def without_effect(command: str, namespace: str, example: Path) -> str:
    """Return a command of the pages as it is run here."""
    for shown, ours in (
        (f"-n {SHOWN}", f"-n {namespace}"),
        (f"create namespace {SHOWN}", f"create namespace {namespace}-new"),
        ("digits.yaml", str(example)),
    ):
        command = command.replace(shown, ours)
    if command.startswith("helm"):
        return f"{command} --dry-run"
    if not any(f" {word} " in command for word in CHANGES):
        return command
    # the release owns these fields too, and has settings of its own: neither says anything here
    more = " --force-conflicts" if "--server-side" in command else ""
    more += " --ignore-not-found" if " delete " in command else ""
    return f"{command} --dry-run=server{more}"


def an_object(kind: str, namespace: str, spec: Manifest) -> Manifest:
    metadata = {"name": "digits", "namespace": namespace}
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


@pytest.fixture(scope="module")
def kubectl() -> Kubectl:
    found = Kubectl(kubeconfig=Path(os.environ.get("KUBECONFIG", CLUSTER / "kubeconfig")))
    if not found.kubeconfig.exists():
        pytest.skip("no cluster (make cluster)")
    return found


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace with what the pages look at: digits, whose model is nowhere, and its route."""
    name = f"pages-{uuid.uuid4().hex[:8]}"
    model = {"version": "1", "source": {"uri": "https://models.invalid/1.onnx"}}
    kubectl.run("create", "namespace", name)
    kubectl.apply(
        an_object(MODEL_ROUTE.kind, name, {"model": "digits", "port": 10000, "backends": []}),
        an_object(MODEL_DEPLOYMENT.kind, name, {"model": model, "paused": True}),
    )
    yield name
    kubectl.delete_namespace(name, wait_seconds=0)


@pytest.fixture
def example(namespace: str, tmp_path: Path) -> Path:
    """The file digits.yaml of the pages."""
    [shown] = [
        block for block in blocks("yaml") if block.page == QUICKSTART and "kind" in block.text
    ]
    path = tmp_path / "digits.yaml"
    path.write_text(shown.text.replace(f"namespace: {SHOWN}", f"namespace: {namespace}"))
    return path


@pytest.mark.parametrize("command", commands_run_by(__file__))
def test_a_command_of_a_page_works(
    kubectl: Kubectl, namespace: str, example: Path, command: str
) -> None:
    path = f"{kubectl.program.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "KUBECONFIG": str(kubectl.kubeconfig.absolute())}
    waits = any(word in command for word in WAITS)

    with subprocess.Popen(
        ["bash", "-c", f"exec {without_effect(command, namespace, example)}"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            _, said = running.communicate(timeout=WAIT_SECONDS if waits else SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            assert waits, f"not ended after {SECONDS} s"
        else:
            assert running.returncode == 0, said
