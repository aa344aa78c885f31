"""Uninstalled and installed again while models serve."""

import pytest
from slipway.api.modeldeployment import Outcome

from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed, promoted
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.operators import LEASE_TIMES, Operators, is_ready
from tests.install import release
from tests.kubectl import Kubectl, until

pytestmark = pytest.mark.e2e


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
        release.up(LEASE_TIMES)
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
