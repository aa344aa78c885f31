"""Who may do what, as a real API server decides it: rights of their own, and two persons."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from slipway.policy.action_grammar import VERBS

from tests.install import base, helm
from tests.kubectl import Kubectl, KubectlError, until

pytestmark = pytest.mark.cluster

NAMESPACE = f"rights-{uuid.uuid4().hex[:6]}"
MAY: dict[str, set[str]] = {
    "view": set(),
    "on-call": {"abort", "rollback", "retry", "pause", "resume"},
    "approver": {"approve"},
    "owner": set(VERBS),
}
PERSONS = {**dict.fromkeys(MAY, ""), "author": "owner", "colleague": "owner"}
"""Users, and whose role they have; empty: the one of their name."""


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """One namespace in which rights are denied and two persons are needed."""
    kubectl = Kubectl()
    with kubectl.fresh_namespace(NAMESPACE):
        values = {
            **base.VALUES,
            "watchNamespaces": [NAMESPACE],
            "admission": {"separateRights": "Deny", "twoPersons": True, "verifyRequestedBy": False},
        }
        shown = ("templates/admission.yaml", "templates/people.yaml")
        for manifest in yaml.safe_load_all(helm.template(values, show_only=shown)):
            if manifest is not None:
                kubectl.apply(manifest)
        for person, role in PERSONS.items():
            words = (f"--role=slipway-{role or person}", f"--user={person}", "-n", NAMESPACE)
            kubectl.run("create", "rolebinding", person, *words)

        kubectl.apply(a_model())
        until(
            lambda: not may_ask(kubectl, "approver", "promote"), "the policies to be in force", 30
        )
        yield kubectl
        for suffix in ("rights", "two-persons"):
            for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
                kubectl.run("delete", kind, f"slipway-{helm.NAMESPACE}-{suffix}")


def a_model() -> dict[str, Any]:
    """A model whose version `author` changed, with a step that needs an approval."""
    sample: dict[str, Any] = yaml.safe_load(
        (helm.ROOT / "manifests/samples/minimal.yaml").read_text()
    )
    sample["metadata"] |= {
        "name": "digits",
        "namespace": NAMESPACE,
        "annotations": {"slipway.dev/changed-by": "author"},
    }
    step = {"weight": 10, "approval": "Required"}
    sample["spec"] |= {"paused": True, "rollout": {"steps": [step]}}
    return sample


def patch(kubectl: Kubectl, person: str, body: dict[str, Any]) -> None:
    """Ask the API server for a change, as a person; nothing is stored."""
    words = ("-n", NAMESPACE, "--type=merge", "--dry-run=server", f"--as={person}")
    kubectl.run("patch", "modeldeployment", "digits", *words, f"--patch={json.dumps(body)}")


def ask(kubectl: Kubectl, person: str, action: str) -> None:
    patch(kubectl, person, {"metadata": {"annotations": {"slipway.dev/action": action}}})


def may_ask(kubectl: Kubectl, person: str, verb: str) -> bool:
    try:
        ask(kubectl, person, f"{verb}#1")
    except KubectlError:
        return False
    return True


def change_version(kubectl: Kubectl, person: str, by: str | None, **spec: object) -> None:
    metadata = {"annotations": {"slipway.dev/changed-by": by}}
    model = {"version": "2"}
    patch(kubectl, person, {"metadata": metadata, "spec": {"model": model, **spec}})


@pytest.mark.parametrize("verb", sorted(VERBS))
@pytest.mark.parametrize("role", MAY)
def test_each_action_is_a_right_of_its_own(kubectl: Kubectl, role: str, verb: str) -> None:
    assert may_ask(kubectl, role, verb) == (verb in MAY[role])


def test_a_refusal_names_the_right_that_is_missing(kubectl: Kubectl) -> None:
    missing = f"to create modeldeployments/promote in namespace {NAMESPACE}"
    with pytest.raises(KubectlError, match=missing):
        ask(kubectl, "approver", "promote@0123abcd/1#1")


@pytest.mark.parametrize("person", ["on-call", "approver"])
def test_who_acts_may_not_edit_the_spec(kubectl: Kubectl, person: str) -> None:
    with pytest.raises(KubectlError, match="right to update modeldeployments/spec"):
        patch(kubectl, person, {"spec": {"paused": False}})
    patch(kubectl, "owner", {"spec": {"paused": False}})


def test_who_acts_may_not_have_it_deleted_with_another_object(kubectl: Kubectl) -> None:
    gone = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": str(uuid.uuid4())}
    with pytest.raises(KubectlError, match="right to update modeldeployments/spec"):
        patch(kubectl, "approver", {"metadata": {"ownerReferences": [gone]}})


def test_who_changes_the_version_says_so(kubectl: Kubectl) -> None:
    for by in (None, "author", "boss"):
        with pytest.raises(KubectlError, match='expected "colleague", who changes the version'):
            change_version(kubectl, "colleague", by)
    change_version(kubectl, "colleague", "colleague")


def test_nobody_else_takes_the_name(kubectl: Kubectl) -> None:
    body = {"metadata": {"annotations": {"slipway.dev/changed-by": "colleague"}}}
    with pytest.raises(KubectlError, match="it changes only with the version"):
        patch(kubectl, "colleague", body)


@pytest.mark.parametrize("verb", ["approve", "promote", "skip"])
def test_who_changed_the_version_may_not_let_it_pass(kubectl: Kubectl, verb: str) -> None:
    with pytest.raises(KubectlError, match=f"author changed the version and may not {verb} it"):
        ask(kubectl, "author", f"{verb}#1")
    ask(kubectl, "colleague", f"{verb}#1")


def test_who_changed_the_version_may_take_it_back(kubectl: Kubectl) -> None:
    ask(kubectl, "author", "abort#1")


def test_who_changes_the_version_may_not_take_its_approvals_away(kubectl: Kubectl) -> None:
    without = {"steps": [{"weight": 10}]}
    with pytest.raises(KubectlError, match=r"may not take approvals out of rollout\.steps"):
        patch(kubectl, "author", {"spec": {"rollout": without}})
    with pytest.raises(KubectlError, match=r"may not take approvals out of rollout\.steps"):
        change_version(kubectl, "colleague", "colleague", rollout=without)
    patch(kubectl, "colleague", {"spec": {"rollout": without}})
