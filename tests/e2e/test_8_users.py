"""A platform that chooses the users of all pods, as OpenShift's restricted-v2 does.

After the quiet tests: the setting replaces the routers of all namespaces, which is a write.
"""

from collections.abc import Iterator

import pytest
from slipway.api import kinds
from slipway.api.modeldeployment import Outcome

from tests.e2e.deployed import Deployed
from tests.e2e.figures import Figures
from tests.e2e.objects import Model
from tests.e2e.operators import VALUES, Operators
from tests.install import helm, release
from tests.kubectl import Kubectl, KubectlError, Manifest, restricted_namespace, until

pytestmark = pytest.mark.e2e

NAMESPACE = "slipway-platform"
USERS = {"test.slipway.dev/users": "platform"}
FIRST_USER, LAST_USER = 1_000_660_000, 1_000_669_999
"""The range of one project, as OpenShift writes it into its annotations."""
POLICY = "test-users-of-the-platform"
SERVER: Manifest = {
    "args": ["--http-thread-count=2"],
    "pod": {
        "labels": {"team": "vision"},
        "annotations": {"example.com/note": "what users may set on a pod"},
        "serviceAccountName": "models",
        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}}],
        "volumes": [
            {"name": "words", "mountPath": "/words", "configMap": {"name": "words"}},
            {"name": "key", "mountPath": "/key", "readOnly": True, "secret": {"secretName": "key"}},
            {"name": "cache", "mountPath": "/cache", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        "shmSize": "64Mi",
        "tmpSize": "1Gi",
    },
}
"""All that a user may set on a pod and that this cluster has."""
OURS = "app.kubernetes.io/managed-by=slipway"


@pytest.fixture(scope="module")
def chooses_users(files: Kubectl, operators: Operators) -> Iterator[Kubectl]:
    """The release on a cluster that gives users to pods, and refuses those that name their own."""
    kubectl = files
    kubectl.delete_namespace(NAMESPACE)
    namespace = restricted_namespace(NAMESPACE)
    namespace["metadata"]["labels"] |= USERS
    kubectl.apply(namespace, *policies(), *what_the_pod_names())
    kubectl.run("label", "namespace", helm.NAMESPACE, *(f"{k}={v}" for k, v in USERS.items()))
    release.up({**VALUES, "podUsers": "Platform"})
    operators.wait_ready()
    operators.wait_for_leader()

    yield kubectl

    kubectl.delete_namespace(NAMESPACE, wait_seconds=0)
    kubectl.run("label", "namespace", helm.NAMESPACE, *(f"{name}-" for name in USERS))
    for policy in policies():
        kubectl.run("delete", policy["kind"].lower(), policy["metadata"]["name"])
    release.up(VALUES)
    operators.wait_ready()
    operators.wait_for_leader()


def test_versions_are_packaged_checked_routed_and_fetched_by_users_of_the_platform(
    chooses_users: Kubectl, operators: Operators, figures: Figures
) -> None:
    kubectl = chooses_users
    with Deployed(kubectl, figures, NAMESPACE, "digits") as digits:
        first = Model(
            version="1", file="digits-1.onnx", namespace=NAMESPACE, golden=True, server=SERVER
        )
        digits.apply(first)
        assert digits.wait_for_end("1").outcome is Outcome.PROMOTED
        users = {user_of(pod) for pod in kubectl.items(NAMESPACE, "pods", OURS)}
        [serving] = digits.pods(digits.stable_revision)
        assert serving["metadata"]["labels"]["team"] == "vision"
        assert serving["spec"]["serviceAccountName"] == "models"

        digits.apply(Model(version="2", namespace=NAMESPACE, mode="Fetch", steps=()))
        fetching = digits.wait_for(lambda status: status.candidate is not None, "a candidate")
        assert fetching.candidate is not None
        revision = fetching.candidate.revision
        until(lambda: is_ready(kubectl, revision), "the fetched version to serve", 120)

    operators_users = {user_of(pod) for pod in operators.pods()}
    assert {user for user in users | operators_users if not is_of_platform(user)} == set()


def test_that_platform_refuses_pods_that_name_another_user(chooses_users: Kubectl) -> None:
    with pytest.raises(KubectlError, match="not in the range of this project"):
        chooses_users.apply(a_pod_with_a_user())


def what_the_pod_names() -> list[Manifest]:
    def named(kind: str, name: str, **content: Manifest) -> Manifest:
        metadata = {"name": name, "namespace": NAMESPACE}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}

    return [
        named("ServiceAccount", "models"),
        named("Secret", "key", stringData={"key": "open sesame"}),
        named("ConfigMap", "words", data={"words.txt": "one two"}),
    ]


def is_ready(kubectl: Kubectl, revision: str) -> bool:
    found = kubectl.get(NAMESPACE, kinds.DEPLOYMENT.plural, f"digits-{revision}") or {}
    ready: int = found.get("status", {}).get("readyReplicas", 0)
    return ready > 0


def user_of(pod: Manifest) -> int | None:
    user: int | None = pod["spec"].get("securityContext", {}).get("runAsUser")
    return user


def is_of_platform(user: int | None) -> bool:
    return user is not None and FIRST_USER <= user <= LAST_USER


def a_pod_with_a_user() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "own-user", "namespace": NAMESPACE},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "one",
                    "image": release.images().operator,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def policies() -> list[Manifest]:
    """Return what gives pods without a user one of the range, and refuses other users."""
    resources = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    ]
    matches = {"namespaceSelector": {"matchLabels": USERS}, "resourceRules": resources}
    group = "admissionregistration.k8s.io"
    given = (
        "Object{spec: Object.spec{securityContext: Object.spec.securityContext{"
        f"runAsUser: {FIRST_USER}, fsGroup: {FIRST_USER}}}}}}}"
    )
    in_range = (
        f"object.spec.securityContext.runAsUser >= {FIRST_USER} && "
        f"object.spec.securityContext.runAsUser <= {LAST_USER}"
    )

    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "matchConstraints": matches,
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConditions": [
                    {
                        "name": "names-no-user",
                        "expression": "!has(object.spec.securityContext) || "
                        "!has(object.spec.securityContext.runAsUser)",
                    }
                ],
                "mutations": [
                    {
                        "patchType": "ApplyConfiguration",
                        "applyConfiguration": {"expression": given},
                    }
                ],
            },
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": {"policyName": POLICY},
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "matchConstraints": matches,
                "failurePolicy": "Fail",
                "validations": [
                    {
                        "expression": "has(object.spec.securityContext) && "
                        f"has(object.spec.securityContext.runAsUser) && {in_range}",
                        "message": "runAsUser is not in the range of this project",
                    }
                ],
            },
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
        },
    ]
