"""What a cluster refuses, takes away or breaks ends in a condition, and heals by itself."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from slipway.api import names

from tests.kubectl import Kubectl, KubectlError, Manifest, restricted_namespace, until

pytestmark = pytest.mark.cluster

NAMESPACE = "test-trouble"
PINNED = "sha256:" + "0f" * 32
NOWHERE = {"slipway.dev/test": "nowhere"}
"""No node has this label: the pods of these models never run, and cost nothing."""
SAID_SECONDS = 60.0
HEALED_SECONDS = 120.0
GOOD = 10
AWAY = 'webhook "away.slipway.dev"'

Trouble = Callable[[Kubectl], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    kubectl = Kubectl()
    kubectl.apply(restricted_namespace(NAMESPACE))
    yield kubectl
    kubectl.delete_namespace(NAMESPACE)


def a_model(name: str, version: str = "1") -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": {
                "version": version,
                "source": {"uri": "https://models.example/1.onnx", "digest": PINNED},
            },
            "packaging": {"mode": "Fetch"},
            "server": {"pod": {"nodeSelector": NOWHERE}},
        },
    }


def conditions(kubectl: Kubectl, name: str) -> dict[str, Manifest]:
    found = kubectl.get(NAMESPACE, "modeldeployments.slipway.dev", name) or {}
    return {entry["type"]: entry for entry in found.get("status", {}).get("conditions", ())}


def stalled(kubectl: Kubectl, name: str) -> tuple[str, str]:
    return claimed(kubectl, name, "Stalled")


def claimed(kubectl: Kubectl, name: str, kind: str) -> tuple[str, str]:
    """Return reason and message of a condition; empty where it does not hold."""
    entry = conditions(kubectl, name).get(kind, {})
    return entry.get("reason", ""), entry.get("message", "")


def workloads(kubectl: Kubectl) -> set[str]:
    """Return the models that have a Deployment."""
    label = names.LABEL_OWNER
    items = kubectl.items(NAMESPACE, "deployments", label)
    return {item["metadata"]["labels"][label] for item in items}


def _only_here(resource: str, group: str) -> Manifest:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
        "rules": [
            {
                "apiGroups": [group],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": [resource],
            }
        ],
    }


@contextmanager
def a_quota(kubectl: Kubectl) -> Iterator[None]:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-revisions", "namespace": NAMESPACE},
        "spec": {"hard": {"count/controllerrevisions.apps": "0"}},
    }

    kubectl.apply(quota)
    try:
        until(
            lambda: (kubectl.get(NAMESPACE, "resourcequota", "no-revisions") or {}).get("status"),
            "the quota to be in force",
            30,
        )
        yield
    finally:
        kubectl.run("delete", "resourcequota", "no-revisions", "-n", NAMESPACE)


@contextmanager
def a_policy(kubectl: Kubectl) -> Iterator[None]:
    only_here = _only_here("deployments", "apps")
    denies = "!has(object.metadata.labels) || !('slipway.dev/modeldeployment' in "
    denies += "object.metadata.labels) || object.metadata.labels['slipway.dev/modeldeployment']"

    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "slipway-test-denies"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": only_here["namespaceSelector"],
                "resourceRules": only_here["rules"],
            },
            "validations": [
                {"expression": f"{denies} != 'denied'", "message": "nobody may run this model"}
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "slipway-test-denies"},
        "spec": {"policyName": "slipway-test-denies", "validationActions": ["Deny"]},
    }

    kubectl.apply(policy, binding)
    probe = json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "probe",
                "namespace": NAMESPACE,
                "labels": {names.LABEL_OWNER: "denied"},
            },
            "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "a", "image": "a"}]},
                },
            },
        }
    )

    try:
        until(lambda: _is_denied(kubectl, probe), "the policy to be in force", 60)
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            kubectl.run("delete", kind, "slipway-test-denies")


def _is_denied(kubectl: Kubectl, manifest: str) -> bool:
    try:
        kubectl.run("create", "--dry-run=server", "-f", "-", stdin=manifest)
    except KubectlError as error:
        return "nobody may run this model" in str(error)
    return False


@contextmanager
def a_webhook_that_is_away(kubectl: Kubectl) -> Iterator[None]:
    hook = {
        "name": "away.slipway.dev",
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "away", "namespace": NAMESPACE}},
        **_only_here("controllerrevisions", "apps"),
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "slipway-test-away"},
        "webhooks": [hook],
    }

    kubectl.apply(configuration)
    try:
        yield
    finally:
        kubectl.run("delete", "validatingwebhookconfiguration", "slipway-test-away")


@contextmanager
def no_right(kubectl: Kubectl) -> Iterator[None]:
    """Take from the operator what lets it make revisions."""
    role = json.loads(kubectl.run("get", "clusterrole", "slipway", "-o", "json"))
    fewer: list[dict[str, Any]] = []
    for rule in role["rules"]:
        verbs = [verb for verb in rule["verbs"] if verb != "create"]
        is_it = "controllerrevisions" in rule["resources"]
        fewer.append({**rule, "verbs": verbs} if is_it else rule)
    _set_rules(kubectl, fewer)
    try:
        yield
    finally:
        _set_rules(kubectl, role["rules"])


def _set_rules(kubectl: Kubectl, rules: list[dict[str, Any]]) -> None:
    patch = json.dumps([{"op": "replace", "path": "/rules", "value": rules}])
    kubectl.run("patch", "clusterrole", "slipway", "--type=json", "-p", patch)


@pytest.mark.parametrize(
    ("name", "trouble", "kind", "reason", "words"),
    [
        ("full", a_quota, "Stalled", "Refused", "exceeded quota: no-revisions"),
        ("away", a_webhook_that_is_away, "Reconciling", "WebhookUnavailable", AWAY),
        ("mute", no_right, "Reconciling", "Forbidden", "cannot create resource"),
    ],
)
def test_a_cause_is_named_in_a_condition_and_heals_by_itself(  # noqa: PLR0917 -- a table
    kubectl: Kubectl, name: str, trouble: Trouble, kind: str, reason: str, words: str
) -> None:
    def said() -> tuple[str, str]:
        return claimed(kubectl, name, kind)

    with trouble(kubectl):
        if trouble is a_webhook_that_is_away:
            until(lambda: _webhook_is_known(kubectl), "the webhook to be asked", 60)
        kubectl.apply(a_model(name))
        until(lambda: said()[0] == reason, f"{name} to say {reason}", SAID_SECONDS)
        assert words in said()[1]
        assert conditions(kubectl, name)["Ready"]["status"] == "False"
        assert bool(stalled(kubectl, name)[0]) is (kind == "Stalled")
        assert name not in workloads(kubectl)
    until(lambda: name in workloads(kubectl), f"{name} to heal", HEALED_SECONDS)
    until(lambda: said()[0] != reason, "the condition to go", HEALED_SECONDS)
    kubectl.run("delete", "modeldeployment", name, "-n", NAMESPACE)


def _webhook_is_known(kubectl: Kubectl) -> bool:
    probe = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "probe", "namespace": NAMESPACE},
        "revision": 1,
        "data": {},
    }
    try:
        kubectl.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe))
    except KubectlError as error:
        return "away.slipway.dev" in str(error)
    return False


def test_one_that_is_denied_among_ten_that_are_not_delays_nobody(kubectl: Kubectl) -> None:
    good = {f"good-{number}" for number in range(GOOD)}
    with a_policy(kubectl):
        kubectl.apply(a_model("denied"), *(a_model(name) for name in sorted(good)))
        until(lambda: good <= workloads(kubectl), "the ten to have their workloads", SAID_SECONDS)
        until(lambda: stalled(kubectl, "denied")[0] == "Refused", "the one to say so", SAID_SECONDS)
        assert "nobody may run this model" in stalled(kubectl, "denied")[1]
        assert "denied" not in workloads(kubectl)
        assert not any(stalled(kubectl, name)[0] for name in good)
    until(lambda: "denied" in workloads(kubectl), "the one to heal", HEALED_SECONDS)
    until(lambda: not stalled(kubectl, "denied")[0], "the condition to go", HEALED_SECONDS)


def test_what_only_kubernetes_refuses_is_named_before_a_revision_exists(kubectl: Kubectl) -> None:
    wrong = a_model("wrong")
    wrong["spec"]["server"]["pod"]["tolerations"] = [
        {"key": "a", "operator": "Exists", "value": "never beside Exists"}
    ]

    kubectl.apply(wrong)
    until(lambda: stalled(kubectl, "wrong")[0] == "InvalidSpec", "the refusal", SAID_SECONDS)

    assert "tolerations[0]" in stalled(kubectl, "wrong")[1]

    selector = f"{names.LABEL_OWNER}=wrong"
    assert not kubectl.items(NAMESPACE, "controllerrevisions", selector)

    wrong["spec"]["server"]["pod"]["tolerations"] = [{"key": "a", "operator": "Exists"}]
    kubectl.apply(wrong)
    until(lambda: "wrong" in workloads(kubectl), "the corrected one to run", HEALED_SECONDS)


def test_a_namespace_that_goes_takes_its_models_along(kubectl: Kubectl) -> None:
    """Last of these: the models above are still there, and so is whatever waits."""
    kubectl.delete_namespace(NAMESPACE)
    found = kubectl.run("get", "modeldeployments", "-n", NAMESPACE, "-o", "name")
    assert not found.strip()
