"""kubectl-slipway as the plugin of the real kubectl, on the running cluster with its operator."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from slipway.api.names import API_VERSION

from tests.kubectl import CLONE, CLUSTER, Kubectl, until

pytestmark = pytest.mark.cluster

PROGRAMS = {
    "kubectl-slipway": "slipway.cli",
    "kubectl_complete-slipway": "slipway.cli.kubectl_completion",
}
SECONDS = 120


@dataclass
class Plugin:
    """`kubectl slipway` in a shell of its own."""

    env: dict[str, str]
    namespace: str

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.kubectl("slipway", *words, "-n", self.namespace)

    def kubectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *words]
        return subprocess.run(
            command, capture_output=True, text=True, env=self.env, timeout=SECONDS, check=False
        )


@pytest.fixture(scope="module")
def kubectl() -> Kubectl:
    found = Kubectl()
    if not found.kubeconfig.exists():
        pytest.skip("no cluster (make cluster)")
    if found.get("slipway-system", "deployment", "slipway") is None:
        pytest.skip("no operator on the cluster (make images install)")
    return found


@pytest.fixture(scope="module")
def plugin(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """A namespace with one ModelDeployment, whose model is nowhere: it never gets to serve."""
    programs = tmp_path_factory.mktemp("bin")
    for name, module in PROGRAMS.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)

    namespace = f"cli-{uuid.uuid4().hex[:8]}"
    source = {"uri": "https://models.invalid/1.onnx"}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {"model": {"version": "1", "source": source}, "packaging": {"mode": "Fetch"}},
    }

    kubectl.run("create", "namespace", namespace)
    kubectl.apply(manifest)
    until(
        lambda: (kubectl.get(namespace, "modeldeployment", "digits") or {}).get("status"),
        "the operator to look at it",
        SECONDS,
    )

    path = f"{programs}:{CLUSTER / 'bin'}:{Path(shutil.which('sh') or '/bin/sh').parent}"
    python = f"{CLONE / 'operator'}"
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}
    env = {"PATH": path, "PYTHONPATH": python, "KUBECONFIG": str(kubectl.kubeconfig), **home}

    yield Plugin({**env, "LANG": os.environ.get("LANG", "C.UTF-8")}, namespace)
    kubectl.delete_namespace(namespace, wait_seconds=0)


def test_kubectl_finds_it_and_it_finds_the_cluster(plugin: Plugin) -> None:
    listed = plugin("get")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[1].split()[0] == "digits"
    shown = plugin("describe", "digits")
    assert shown.stdout.startswith(f"{plugin.namespace}/digits   ")
    assert "  next  " in shown.stdout
    [item] = json.loads(plugin("get", "--json").stdout)["items"]
    assert (item["name"], item["version"], item["stable"]) == ("digits", "1", None)


def test_an_action_is_answered_and_names_who_asked(plugin: Plugin) -> None:
    me = json.loads(plugin.kubectl("auth", "whoami", "-o", "json").stdout)
    paused = plugin("pause", "digits", "--wait=30s", "--json")
    assert paused.returncode == 0, paused.stderr
    said = json.loads(paused.stdout)
    assert (said["verb"], said["result"]) == ("pause", "Done")
    assert said["by"] in {me["status"]["userInfo"]["username"], "unverified"}
    assert plugin("resume", "digits", "--wait=30s").returncode == 0


def test_a_refused_action_ends_with_five(plugin: Plugin) -> None:
    refused = plugin("approve", "digits", "--wait=30s")
    assert refused.returncode == 5
    assert "approve was refused: no step is waiting for approval" in refused.stderr


def test_wait_ends_in_time(plugin: Plugin) -> None:
    late = plugin("wait", "digits", "--for=promoted", "--timeout=1s")
    assert late.returncode == 4
    assert "digits did not reach promoted within 1s" in late.stderr


def test_a_name_that_is_nearly_right(plugin: Plugin) -> None:
    wrong = plugin("describe", "digit")
    assert wrong.returncode == 6
    assert "did you mean 'digits'?" in wrong.stderr
    assert plugin("wait", "digit", "--for=ready").returncode == 6


def test_who_may_not_is_told_so(plugin: Plugin) -> None:
    denied = plugin("get", "--as=nobody")
    assert denied.returncode == 1
    assert "forbidden: " in denied.stderr
    assert "kubectl auth can-i list modeldeployments.slipway.dev" in denied.stderr


def test_a_cluster_that_does_not_answer(plugin: Plugin) -> None:
    lost = plugin("get", "--server=https://127.0.0.1:9")
    assert lost.returncode == 1
    assert "cannot reach the cluster" in lost.stderr


def test_an_unknown_context(plugin: Plugin) -> None:
    unknown = plugin("get", "--context=nowhere")
    assert unknown.returncode == 1
    assert "kubectl config get-contexts" in unknown.stderr


def test_kubectls_own_completion_completes_names(plugin: Plugin) -> None:
    answered = plugin.kubectl("__complete", "slipway", "describe", "-n", plugin.namespace, "di")
    assert answered.stdout.splitlines()[0] == "digits"


def test_wait_for_the_end_of_it(plugin: Plugin, kubectl: Kubectl) -> None:
    kubectl.run("delete", "modeldeployment", "digits", "-n", plugin.namespace, "--wait=false")
    gone = plugin("wait", "digits", "--for=deleted", "--timeout=30s")
    assert gone.returncode == 0, gone.stderr
