"""Upgraded, uninstalled and installed again while models serve."""

import pytest
from slipway.api.modeldeployment import Outcome

from tests.e2e.audit import AuditLog
from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed, promoted
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.operators import VALUES, Operators, is_ready
from tests.e2e.quiet import settle
from tests.e2e.unchanged import changed, leaving, versions
from tests.install import helm, release
from tests.install.another import another_image
from tests.kubectl import Kubectl, until

pytestmark = pytest.mark.e2e


def test_an_upgrade_of_operator_and_chart_leaves_all_that_serves_alone(
    unharmed: Client, digits: Deployed, operators: Operators, kubectl: Kubectl, audit: AuditLog
) -> None:
    digits.apply(Model(version="upgraded-over"))

    assert digits.wait_for_end("upgraded-over").outcome is Outcome.PROMOTED

    digits.comes_to(promoted("upgraded-over"), "upgraded-over")
    until(lambda: not leaving(kubectl, NAMESPACE), "the pods that leave to be gone", 90)
    mark = settle(audit, NAMESPACE)
    before = versions(kubectl, NAMESPACE)
    ran = {pod["metadata"]["name"] for pod in operators.pods()}
    release.up(upgraded_values())
    try:
        operators.wait_ready()
        operators.wait_for_leader()
        assert not ran & {pod["metadata"]["name"] for pod in operators.pods()}
        unharmed.sends_on(5.0)
        settle(audit, NAMESPACE)
        assert changed(before, versions(kubectl, NAMESPACE)) == {}
        written = [w for w in audit.writes_of_operator(mark) if w.namespace == NAMESPACE]
        assert [str(write) for write in written] == []
        digits.apply(Model(version="after-the-upgrade"))
        assert digits.wait_for_end("after-the-upgrade").outcome is Outcome.PROMOTED
    finally:
        release.up(VALUES)
    operators.wait_for_leader()


def upgraded_values() -> helm.Values:
    """Return values with another operator image, more labels and other settings.

    The agent of the routers is left to the operator, as it is where nobody sets it.
    """
    images = release.images()
    repository, _, digest = another_image(images.operator).partition("@")
    return {
        **VALUES,
        "image": {"repository": repository, "digest": digest},
        "router": {"envoyImage": images.envoy},
        "commonLabels": {"upgraded": "yes"},
        "podAnnotations": {"upgraded": "yes"},
        "workers": 8,
    }


def test_the_chart_tests_itself(operators: Operators) -> None:
    operators.wait_for_leader()
    said = helm.run(
        *("test", helm.RELEASE, "--namespace", helm.NAMESPACE, "--timeout", "3m"),
        kubeconfig=release.KUBECONFIG,
    )
    assert "Succeeded" in said


def test_models_serve_on_without_the_release_and_are_known_again_with_it(
    unharmed: Client, digits: Deployed, operators: Operators, kubectl: Kubectl
) -> None:
    digits.apply(Model(version="lasting"))
    assert digits.wait_for_end("lasting").outcome is Outcome.PROMOTED

    revision = digits.stable_revision
    release.down()
    operators.wait_ready(0)
    try:
        first = move_to_another_pod(digits, kubectl, revision)
        unharmed.sends_on(5.0)
    finally:
        release.up(VALUES)
    operators.wait_for_leader()
    digits.comes_to(promoted("lasting"), "lasting")

    assert digits.stable_revision == revision
    assert first not in names(digits, revision)


def move_to_another_pod(deployed: Deployed, kubectl: Kubectl, revision: str) -> str:
    """Replace the server's pod, as a drain of its node does; return the old one's name."""
    name = f"deployment/{deployed.name}-{revision}"
    old = names(deployed, revision)[0]
    kubectl.run("scale", name, "-n", NAMESPACE, "--replicas=2")
    until(lambda: ready_pods(deployed, revision) == 2, "a second pod", 90)
    kubectl.run(
        "annotate", "pod", old, "-n", NAMESPACE, "controller.kubernetes.io/pod-deletion-cost=-1"
    )
    kubectl.run("scale", name, "-n", NAMESPACE, "--replicas=1")
    until(lambda: old not in names(deployed, revision), f"pod {old} to go", 60)
    return old


def names(deployed: Deployed, revision: str) -> list[str]:
    """Return the names of a revision's pods."""
    return [pod["metadata"]["name"] for pod in deployed.pods(revision)]


def ready_pods(deployed: Deployed, revision: str) -> int:
    """Return how many of them are ready."""
    return sum(is_ready(pod) for pod in deployed.pods(revision))
