"""Models that do not load, are not there, or go away with their last server."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from slipway.api.modeldeployment import Outcome

from tests.e2e.deployed import Deployed, Follow, promoted, refused
from tests.e2e.objects import NAMESPACE, Model
from tests.install import release
from tests.kubectl import Kubectl, restricted_namespace, until
from tests.models.samples import Samples
from tests.models.server import serve_files

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("unharmed")]

SHELF = "slipway-e2e-shelf"
Put = Callable[[Mapping[str, bytes]], None]


@pytest.fixture(scope="module")
def put(kubectl: Kubectl) -> Put:
    """Put files on a shelf of their own, in the place of those that lie there."""
    kubectl.apply(restricted_namespace(SHELF))
    image = release.images().operator

    def serve(files: Mapping[str, bytes]) -> None:
        serve_files(kubectl, SHELF, image, files)

    return serve


def test_a_model_that_does_not_load_is_refused_in_tritons_words(digits: Deployed) -> None:
    stable = digits.status.stable
    assert stable is not None
    digits.apply(Model(version="broken", file="broken.tar.gz"))
    ended = digits.wait_for_end("broken")
    assert ended.outcome is Outcome.ROLLED_BACK
    assert ended.reason.startswith("LoadFailed: ")
    assert "a layer is missing" in ended.reason
    digits.comes_to(refused(Outcome.ROLLED_BACK, stable=stable.version), "broken")


def test_a_refused_model_stays_out_when_the_status_is_lost(digits: Deployed) -> None:
    before = digits.status
    assert before.stable is not None
    assert before.hold is None
    digits.lose_status()
    until(lambda: digits.status.stable is not None, "stable to be known again", 60)
    left = refused(Outcome.ROLLED_BACK, stable=before.stable.version)
    digits.comes_to(replace(left, outcomes=()), "broken")


def test_a_missing_model_is_said_and_served_once_it_is_there(
    put: Put, follow: Follow, samples: Samples
) -> None:
    put({"other.onnx": samples.files["digits-1.onnx"]})
    late = follow("late")
    late.apply(Model(name="late", version="1", file="late.onnx", files_in=SHELF, mode="Fetch"))
    status = late.wait_for(
        lambda status: any(c.reason == "SourceNotFound" for c in status.conditions),
        "the reason SourceNotFound",
    )
    said = {c.type: c for c in status.conditions}

    assert said["Ready"].status == "False"
    assert said["ArtifactReady"].reason == "SourceNotFound"
    assert "late.onnx" in said["Ready"].message

    put({"late.onnx": samples.files["digits-1.onnx"]})
    assert late.wait_for_end("1").outcome is Outcome.PROMOTED

    late.comes_to(promoted("1"), "1")


def test_a_fix_goes_straight_through_where_nothing_serves_any_more(
    put: Put, follow: Follow, kubectl: Kubectl, samples: Samples
) -> None:
    put({"lost.onnx": samples.files["digits-1.onnx"]})
    outage = follow("outage")
    outage.apply(Model(name="outage", version="1", file="lost.onnx", files_in=SHELF, mode="Fetch"))
    outage.wait_for_end("1")
    put({"other.onnx": samples.files["digits-1.onnx"]})
    for pod in outage.pods(outage.stable_revision):
        kubectl.run("delete", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--wait=false")
    until(lambda: not serving(outage, kubectl), "the outage", 60)
    outage.apply(Model(name="outage", version="fix", mode="Fetch"))

    ended = outage.wait_for_end("fix")

    assert ended.outcome is Outcome.PROMOTED
    assert ended.unjudged == "StableDown"

    outage.comes_to(promoted("fix"), "fix")


def serving(deployed: Deployed, kubectl: Kubectl) -> int:
    """Return the ready pods of stable."""
    name = f"{deployed.name}-{deployed.stable_revision}"
    workload = kubectl.get(NAMESPACE, "deployment", name) or {}
    return int(workload.get("status", {}).get("readyReplicas", 0))


def test_models_that_are_gone_leave_nothing_behind(kubectl: Kubectl) -> None:
    """Also makes room for the tests that follow."""
    for name in ("late", "outage"):
        kubectl.run("delete", "modeldeployment", name, "-n", NAMESPACE)
    selector = "slipway.dev/modeldeployment in (late,outage)"
    kinds = "deployments,services,controllerrevisions,modelroutes,jobs"
    until(lambda: not kubectl.items(NAMESPACE, kinds, selector), "the children to be gone", 90)
    kubectl.run("delete", "namespace", SHELF, "--wait=false")
    assert kubectl.get(NAMESPACE, "deployment", "slipway-router") is not None
