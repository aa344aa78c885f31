"""The release as a real API server has it; `make install` put it there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway.api.kinds import DEPLOYMENT, LEASE, ROLE, ROLE_BINDING
from slipway.policy.action_grammar import parse_action
from slipway.render.router import RouterSpec, render_anchor, render_router

from tests.install import helm
from tests.kubectl import Kubectl, KubectlError

pytestmark = pytest.mark.cluster

OPERATOR = f"system:serviceaccount:{helm.NAMESPACE}:slipway"
NAMESPACE = "test-install"
SAMPLES = sorted((helm.ROOT / "manifests/samples").glob("*.yaml"))
ROUTER = RouterSpec(agent_image="agent", envoy_image="envoy", replicas=2, concurrency=1)


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    kubectl = Kubectl()
    with kubectl.fresh_namespace(NAMESPACE):
        yield kubectl


def dry_run(kubectl: Kubectl, manifest: dict[str, Any], *words: str) -> None:
    text = json.dumps(manifest)
    kubectl.run("create", "--dry-run=server", "--filename=-", *words, stdin=text)


def role(rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": ROLE.api_version,
        "kind": ROLE.kind,
        "metadata": {"name": "slipway-router", "namespace": NAMESPACE},
        "rules": rules,
    }


def test_both_operator_pods_run_under_restricted(kubectl: Kubectl) -> None:
    namespace = json.loads(kubectl.run("get", "namespace", helm.NAMESPACE, "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    deployment = kubectl.get(helm.NAMESPACE, "deployment", "slipway")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 2


def test_one_operator_pod_holds_the_lease(kubectl: Kubectl) -> None:
    lease = kubectl.get(helm.NAMESPACE, f"{LEASE.plural}.{LEASE.group}", "slipway-operator")
    pods = kubectl.items(helm.NAMESPACE, "pods", "app.kubernetes.io/name=slipway")
    assert lease is not None
    assert lease["spec"]["holderIdentity"].split("_")[0] in {
        pod["metadata"]["name"] for pod in pods
    }


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_api_server_takes_the_samples(kubectl: Kubectl, path: Path) -> None:
    sample = yaml.safe_load(path.read_text())
    sample["metadata"]["namespace"] = NAMESPACE
    dry_run(kubectl, sample)


def test_operator_may_make_a_router(kubectl: Kubectl) -> None:
    as_operator = ("apply", "--server-side", "--filename=-", f"--as={OPERATOR}")
    anchor = json.dumps(render_anchor(NAMESPACE))
    applied = json.loads(kubectl.run(*as_operator, "--output=json", stdin=anchor))
    for manifest in render_router(NAMESPACE, applied["metadata"]["uid"], ROUTER):
        only_try = ["--dry-run=server"] if manifest["kind"] == DEPLOYMENT.kind else []
        kubectl.run(*as_operator, *only_try, stdin=json.dumps(manifest))


def test_operator_may_not_grant_more_than_it_has(kubectl: Kubectl) -> None:
    secrets = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    with pytest.raises(KubectlError, match="attempting to grant RBAC permissions not currently"):
        dry_run(kubectl, role(secrets), f"--as={OPERATOR}")


def test_operator_may_not_hand_out_the_clusters_roles(kubectl: Kubectl) -> None:
    binding = {
        "apiVersion": ROLE_BINDING.api_version,
        "kind": ROLE_BINDING.kind,
        "metadata": {"name": "slipway-router", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": ROLE.group, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "slipway-router"}],
    }
    with pytest.raises(KubectlError, match="attempting to grant RBAC permissions not currently"):
        dry_run(kubectl, binding, f"--as={OPERATOR}")


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("update", "modeldeployments.slipway.dev"),
        ("patch", "modeldeployments.slipway.dev"),
        ("create", "pods/exec"),
        ("create", "pods"),
        ("update", "leases.coordination.k8s.io"),
    ],
)
def test_operator_may_not(kubectl: Kubectl, verb: str, what: str) -> None:
    assert not may(kubectl, verb, what, OPERATOR)


@pytest.fixture(scope="module")
def editor(kubectl: Kubectl) -> str:
    """A user who may edit the namespace, as the cluster's own role has it."""
    words = ("--clusterrole=edit", "--user=editor", "-n", NAMESPACE)
    kubectl.run("create", "rolebinding", "editor", *words)
    return "editor"


def test_who_may_edit_a_namespace_may_deploy_models_there(kubectl: Kubectl, editor: str) -> None:
    assert may(kubectl, "create", "modeldeployments.slipway.dev", editor)
    assert not may(kubectl, "patch", "modeldeployments.slipway.dev/status", editor)
    assert not may(kubectl, "create", "modeldeployments.slipway.dev", "stranger")


@pytest.mark.parametrize("by", [None, "editor"], ids=["nobody", "themselves"])
def test_an_action_may_name(kubectl: Kubectl, editor: str, by: str | None) -> None:
    dry_run(kubectl, asked_by(by), f"--as={editor}")


def test_an_action_may_not_name_another_person(kubectl: Kubectl, editor: str) -> None:
    sample = asked_by("boss")
    sample["metadata"]["annotations"]["slipway.dev/action"] = "promote#9999999999999"
    with pytest.raises(KubectlError, match="says boss, but the request is from editor"):
        dry_run(kubectl, sample, f"--as={editor}")


def test_a_backup_may_bring_back_who_asked_for_what_before(kubectl: Kubectl, editor: str) -> None:
    """Actions from before the creation are void, whoever they name."""
    dry_run(kubectl, asked_by("boss"), f"--as={editor}")
    bare = asked_by("boss")
    del bare["metadata"]["annotations"]["slipway.dev/action"]
    dry_run(kubectl, bare, f"--as={editor}")


def test_an_editor_may_scale(kubectl: Kubectl, editor: str) -> None:
    assert may(kubectl, "patch", "modeldeployments.slipway.dev/scale", editor)


def test_an_action_may_not_hide_behind_who_acted_before(kubectl: Kubectl, editor: str) -> None:
    admin = json.loads(kubectl.run("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    before = asked_by(admin["username"])
    before["spec"]["paused"] = True
    kubectl.apply(before)
    annotate = ("annotate", "modeldeployment", "digits", "-n", NAMESPACE, f"--as={editor}")
    try:
        kubectl.run(*annotate, "note=harmless")
        with pytest.raises(KubectlError, match="but the request is from editor"):
            kubectl.run(*annotate, "--overwrite", "slipway.dev/action=promote#2")
    finally:
        kubectl.run("delete", "modeldeployment", "digits", "-n", NAMESPACE)


@pytest.fixture
def asked(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    """An object with an action of the administrator's; the editor stands for a GitOps tool."""
    admin = json.loads(kubectl.run("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    before = asked_by(admin["username"])
    before["spec"]["paused"] = True
    annotations = before["metadata"].pop("annotations")
    kubectl.apply_server_side(before)
    words = [f"{key}={value}" for key, value in annotations.items()]
    kubectl.run("annotate", "modeldeployment", "digits", "-n", NAMESPACE, *words)
    yield {**before, "metadata": {**before["metadata"], "annotations": annotations}}
    kubectl.run("delete", "modeldeployment", "digits", "-n", NAMESPACE)


def as_tool(kubectl: Kubectl, manifest: dict[str, Any], editor: str, *words: str) -> None:
    kubectl.run("apply", f"--as={editor}", *words, "--filename=-", stdin=json.dumps(manifest))


def test_a_tool_may_apply_the_object_again_with_the_action_unchanged(
    kubectl: Kubectl, editor: str, asked: dict[str, Any]
) -> None:
    as_tool(kubectl, asked, editor)
    changed = {**asked, "spec": {**asked["spec"], "scaling": {"minReplicas": 2}}}
    as_tool(kubectl, changed, editor)


def test_a_tool_may_apply_what_it_owns_beside_the_action(
    kubectl: Kubectl, editor: str, asked: dict[str, Any]
) -> None:
    bare = {"name": "digits", "namespace": NAMESPACE}
    owned = {**asked, "metadata": bare, "spec": {**asked["spec"], "scaling": {"minReplicas": 2}}}
    as_tool(kubectl, owned, editor, "--server-side", "--force-conflicts")
    live = kubectl.get(NAMESPACE, "modeldeployments.slipway.dev", "digits")
    assert live is not None
    assert live["metadata"]["annotations"]["slipway.dev/action"] == "promote#1"


def test_anybody_who_may_edit_may_take_an_old_action_away(
    kubectl: Kubectl, editor: str, asked: dict[str, Any]
) -> None:
    del asked
    words = ("slipway.dev/action-", "slipway.dev/requested-by-", f"--as={editor}")
    kubectl.run("annotate", "modeldeployment", "digits", "-n", NAMESPACE, *words)


@pytest.mark.parametrize(
    "action", ["promote", "promote#soon", "Promote#1", "rollback=3#1", "skip@0123abcd#1", "a#1\n"]
)
def test_an_action_that_nobody_would_understand_is_refused(
    kubectl: Kubectl, editor: str, action: str
) -> None:
    sample = asked_by(editor)
    sample["metadata"]["annotations"]["slipway.dev/action"] = action
    with pytest.raises(KubectlError, match=r"annotation slipway\.dev/action is not understood"):
        dry_run(kubectl, sample, f"--as={editor}")


@pytest.mark.parametrize(
    "action", ["skip#1763725000123", "rollback=0123abcd#7", "approve@0123abcd/2#8", "retry#9"]
)
def test_an_action_that_the_operator_understands_passes(
    kubectl: Kubectl, editor: str, action: str
) -> None:
    assert parse_action(action) is not None
    sample = asked_by(editor)
    sample["metadata"]["annotations"]["slipway.dev/action"] = action
    dry_run(kubectl, sample, f"--as={editor}")


@pytest.mark.parametrize(
    "words",
    [
        ("slipway.dev/action-reason=better so#1",),
        ("slipway.dev/action=abort#2", "slipway.dev/action-reason=better so#2"),
    ],
    ids=["of their action", "of one in their name"],
)
def test_nobody_gives_a_reason_in_the_name_of_another(
    kubectl: Kubectl, editor: str, asked: dict[str, Any], words: tuple[str, ...]
) -> None:
    del asked
    with pytest.raises(KubectlError, match="but the request is from editor"):
        annotate(kubectl, editor, *words)


@pytest.mark.parametrize(
    "reason", ["why", "why#1", "why#22", "why#2 ", f"{'x' * 2048}#2"], ids=lambda text: text[:8]
)
def test_a_reason_is_of_its_action_and_short(
    kubectl: Kubectl, editor: str, asked: dict[str, Any], reason: str
) -> None:
    del asked
    by, action = f"slipway.dev/requested-by={editor}", "slipway.dev/action=abort#2"
    with pytest.raises(
        KubectlError, match=r"annotation slipway\.dev/action-reason is not understood"
    ):
        annotate(kubectl, editor, by, action, f"slipway.dev/action-reason={reason}")
    annotate(kubectl, editor, by, action, "slipway.dev/action-reason=two\nlines #7#2")
    annotate(kubectl, editor, by, "slipway.dev/action=retry#3")
    annotate(kubectl, editor, "slipway.dev/action-reason-")


def annotate(kubectl: Kubectl, person: str, *words: str) -> None:
    kubectl.run(
        *("annotate", "modeldeployment", "digits", "-n", NAMESPACE, "--overwrite"),
        *(*words, f"--as={person}"),
    )


def asked_by(person: str | None) -> dict[str, Any]:
    sample: dict[str, Any] = yaml.safe_load(
        (helm.ROOT / "manifests/samples/minimal.yaml").read_text()
    )
    annotations = {"slipway.dev/action": "promote#1"}
    if person is not None:
        annotations["slipway.dev/requested-by"] = person
    sample["metadata"] |= {"namespace": NAMESPACE, "annotations": annotations}
    return sample


def may(kubectl: Kubectl, verb: str, what: str, user: str) -> bool:
    resource, _, sub = what.partition("/")
    words = ["auth", "can-i", verb, resource, "-n", NAMESPACE, f"--as={user}"]
    if sub:
        words.append(f"--subresource={sub}")
    try:
        return kubectl.run(*words).strip() == "yes"
    except KubectlError:  # can-i says no with an exit code
        return False
