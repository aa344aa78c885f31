"""`kubectl slipway migrate-storage` on a real API server: refused, broken off, and run again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from slipway.api.names import DEPRECATED_VERSION, GROUP, VERSION
from slipway.cli.migration import CRDS

from tests.kubectl import CLONE, CLUSTER, Kubectl, KubectlError, until

pytestmark = pytest.mark.cluster

NAMESPACE = "test-migration"
OBJECTS = 6
REFUSED = "model-3"
MODELS = CRDS[0]
SECONDS = 120
MANAGERS = {"flux": DEPRECATED_VERSION, "team": VERSION}
"""Who applies the objects, and in which version."""


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """Objects whose fields are owned in both versions; what is stored is as before at the end."""
    kubectl = Kubectl()
    with kubectl.fresh_namespace(NAMESPACE):
        for number in range(OBJECTS):
            for manager, version in MANAGERS.items():
                words = ("apply", "--server-side", f"--field-manager={manager}", "-f", "-")
                kubectl.run(*words, stdin=json.dumps(a_model(f"model-{number}", version, manager)))
        yield kubectl
        migrate("--to", DEPRECATED_VERSION)


def a_model(name: str, version: str, manager: str) -> dict[str, Any]:
    """Return a ModelDeployment that nothing comes of; each manager labels it with its own name."""
    source = {"uri": "https://models.invalid/1.onnx"}
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {manager: "1"}},
        "spec": {"paused": True, "model": {"version": "1", "source": source}},
    }


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "slipway.cli", "migrate-storage", *words]


def environment() -> dict[str, str]:
    kubectl = Kubectl()
    return {
        **os.environ,
        "PATH": f"{CLUSTER / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(CLONE / "operator"),
        "KUBECONFIG": str(kubectl.kubeconfig),
        "PYTHONUNBUFFERED": "1",
    }


def migrate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def stored(kubectl: Kubectl) -> list[str]:
    """Return the versions in which objects may be stored, the one of new writes last."""
    crd = json.loads(kubectl.run("get", "crd", MODELS, "-o", "json"))
    [now] = [each["name"] for each in crd["spec"]["versions"] if each["storage"]]
    others: list[str] = [each for each in crd["status"]["storedVersions"] if each != now]
    return [*others, now]


def owned_in(kubectl: Kubectl) -> set[str]:
    """Return the versions in which people own fields of our objects."""
    words = ("get", "modeldeployments", "-n", NAMESPACE, "--show-managed-fields", "-o", "json")
    found = json.loads(kubectl.run(*words))["items"]
    assert len(found) == OBJECTS
    return {version for each in found for version in versions_of_owners(each)}


def versions_of_owners(found: dict[str, Any]) -> set[str]:
    """Return the versions in which people own fields of an object.

    The operator may write a status at any moment, and goes on with the version that it knows.
    """
    return {
        owner["apiVersion"].removeprefix(f"{GROUP}/")
        for owner in found["metadata"]["managedFields"]
        if owner["manager"] in MANAGERS
    }


@contextmanager
def refusing(kubectl: Kubectl) -> Iterator[None]:
    """Let the API server refuse every change of one of the objects."""
    name = "test-migration"
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["modeldeployments"],
    }

    validation = {"expression": f"object.metadata.name != '{REFUSED}'", "message": "it is frozen"}
    here = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    policy = {
        **kind,
        "kind": "ValidatingAdmissionPolicy",
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
            "validations": [validation],
        },
    }

    binding = {
        **kind,
        "kind": "ValidatingAdmissionPolicyBinding",
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }

    kubectl.apply(policy, binding)
    try:
        until(lambda: is_frozen(kubectl), "the policy to be in force", 30)
        yield
    finally:
        for each in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            kubectl.run("delete", each, name)
        until(lambda: not is_frozen(kubectl), "the policy to be gone", 30)


def is_frozen(kubectl: Kubectl) -> bool:
    words = ("annotate", "modeldeployment", REFUSED, "-n", NAMESPACE, "--dry-run=server")
    try:
        kubectl.run(*words, "--overwrite", "tried=yes")
    except KubectlError as error:
        return "it is frozen" in str(error)
    return False


def test_a_dry_run_says_what_there_is_to_do_and_writes_nothing(kubectl: Kubectl) -> None:
    said = migrate("--dry-run", "--json")
    assert said.returncode == 0, said.stderr
    [models] = [each for each in json.loads(said.stdout)["items"] if each["crd"] == MODELS]
    assert models["to_move"] >= OBJECTS
    assert stored(kubectl)[-1] == DEPRECATED_VERSION
    assert owned_in(kubectl) == {DEPRECATED_VERSION, VERSION}


@pytest.mark.parametrize(
    ("mark", "tool"),
    [
        ("kustomize.toolkit.fluxcd.io/name", "Flux"),
        ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ],
)
def test_a_crd_that_a_tool_keeps_as_git_has_it_is_left_to_that_tool(
    kubectl: Kubectl, mark: str, tool: str
) -> None:
    kubectl.run("annotate", "crd", MODELS, f"{mark}=slipway")
    try:
        said = migrate()
    finally:
        kubectl.run("annotate", "crd", MODELS, f"{mark}-")
    assert said.returncode == 1
    assert f"{tool} would take a change back" in said.stderr
    assert stored(kubectl)[-1] == DEPRECATED_VERSION


def test_an_object_that_is_refused_stops_no_other_and_both_versions_stay(kubectl: Kubectl) -> None:
    with refusing(kubectl):
        said = migrate()
    assert said.returncode == 1
    assert f"1 objects could not be written: {NAMESPACE}/{REFUSED}" in said.stderr
    assert "it is frozen" in said.stderr
    assert stored(kubectl) == [DEPRECATED_VERSION, VERSION]
    words = ("get", "modeldeployment", "model-4", "-n", NAMESPACE, "--show-managed-fields")
    moved = json.loads(kubectl.run(*words, "-o", "json"))
    assert versions_of_owners(moved) == {VERSION}


def test_one_that_is_broken_off_loses_nothing_and_the_next_run_ends_it(kubectl: Kubectl) -> None:
    before = identities(kubectl)
    begun = subprocess.Popen(command(), env=environment(), stderr=subprocess.PIPE, text=True)
    assert begun.stderr is not None
    with begun, begun.stderr:
        said = next(line for line in begun.stderr if "writing" in line)
        begun.kill()
    assert "modeldeployments: writing" in said
    assert stored(kubectl) == [DEPRECATED_VERSION, VERSION]

    again = migrate()
    assert again.returncode == 0, again.stderr
    assert stored(kubectl) == [VERSION]
    assert owned_in(kubectl) == {VERSION}
    assert identities(kubectl) == before


def test_whoever_installed_the_crds_goes_on_to_own_them(kubectl: Kubectl) -> None:
    assert stored(kubectl) == [VERSION]
    words = ("get", "crd", MODELS, "--show-managed-fields", "-o", "json")
    crd = json.loads(kubectl.run(*words))
    owners = [each for each in crd["metadata"]["managedFields"] if "f:spec" in each["fieldsV1"]]
    assert len(owners) == 1

    applied = {
        "apiVersion": crd["apiVersion"],
        "kind": crd["kind"],
        "metadata": {"name": MODELS},
        "spec": crd["spec"],
    }

    as_owner = f"--field-manager={owners[0]['manager']}"
    words = ("apply", "--server-side", "--dry-run=server", as_owner, "-f", "-")
    kubectl.run(*words, stdin=json.dumps(applied))


def test_the_way_back_before_an_older_release_is_the_same_command(kubectl: Kubectl) -> None:
    back = migrate("--to", DEPRECATED_VERSION)
    assert back.returncode == 0, back.stderr
    assert stored(kubectl) == [DEPRECATED_VERSION]
    assert owned_in(kubectl) == {DEPRECATED_VERSION}


def identities(kubectl: Kubectl) -> dict[str, tuple[str, int]]:
    """Return uid and generation of our objects, by name."""
    found = kubectl.items(NAMESPACE, "modeldeployments")
    return {
        each["metadata"]["name"]: (each["metadata"]["uid"], each["metadata"]["generation"])
        for each in found
    }
