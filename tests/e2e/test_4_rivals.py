"""What the same swap costs without Slipway: printed beside its figures, and no promise of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway.api.names import LABEL_OWNER, LABEL_VERSION

from tests.cluster import go
from tests.cluster.errors import ClusterError
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.places import ReadyHistory, Scarcity, arrives, plans_for, total_of
from tests.e2e.rivals import DEPLOYMENT, LABEL, NAME, ROLLOUT, Rival, standing, template_of
from tests.kubectl import CLUSTER, Manifest
from tests.peers import argo_rollouts

pytestmark = [pytest.mark.e2e, pytest.mark.capacity]

MODEL = "plain"
"""Triton's name of it, in all pods."""
IN_TURN = Rival("a Deployment without surge", DEPLOYMENT)
IN_TURN_AT_ONCE = Rival(
    "a Deployment without surge, pods that end at SIGTERM", DEPLOYMENT, waits_for_clients=False
)
ARGO = Rival("Argo Rollouts, a canary without surge", ROLLOUT)
ARGO_AT_ONCE = Rival(
    "Argo Rollouts, a canary without surge, pods that end at SIGTERM",
    ROLLOUT,
    waits_for_clients=False,
)


@pytest.fixture(scope="module")
def templates(scarcity: Scarcity) -> Iterator[dict[str, Manifest]]:
    """The pods of both versions, as Slipway makes them; what belongs to them stays."""
    deployed, kubectl = scarcity.follow(MODEL), scarcity.kubectl
    found = {}
    for version in "12":
        rollout = {"strategy": "Recreate"}
        file = f"digits-{version}.onnx"
        deployed.apply(Model(name=MODEL, version=version, file=file, steps=None, rollout=rollout))
        if version == "2":
            deployed.wait_for(lambda status: status.candidate is not None, "a candidate")
            deployed.act("promote")
        arrives(deployed, version)

        for made in kubectl.items(NAMESPACE, "deployments", f"{LABEL_OWNER}={MODEL}"):
            if made["spec"]["template"]["metadata"]["labels"][LABEL_VERSION] == version:
                found[version] = template_of(made)
    yield found
    kubectl.run("delete", "modeldeployment", MODEL, "-n", NAMESPACE)


@pytest.fixture(scope="module")
def argo(scarcity: Scarcity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Argo Rollouts, as a process beside the cluster."""
    try:
        go.require_go()
    except ClusterError as error:
        pytest.skip(str(error))
    kubectl = scarcity.kubectl
    for crd in argo_rollouts.read_crds():
        kubectl.apply_server_side(crd)
    log = tmp_path_factory.mktemp("argo") / "log"
    with argo_rollouts.run_controller(CLUSTER / "kubeconfig", log, namespace=NAMESPACE):
        yield log
    for crd in argo_rollouts.read_crds():
        kubectl.run("delete", "crd", crd["metadata"]["name"])


def measure(
    scarcity: Scarcity, rival: Rival, templates: dict[str, Manifest], replicas: int
) -> tuple[float | None, ...]:
    """Return the seconds of 1 -> 2 -> 1, None where it hung; print them with what was lost."""
    scarcity.accelerators.provide(replicas)
    history = ReadyHistory(scarcity.kubectl, NAMESPACE, NAME, kind=rival.kind, label=LABEL)
    with (
        standing(scarcity.kubectl, rival, templates, replicas) as stands,
        scarcity.watched_by(*plans_for(MODEL, NAME, replicas)) as clients,
        history.recorded(),
    ):
        seconds = tuple(stands.roll_out(version) for version in "21")
        for client in clients:
            client.sends_on(5)

    total = total_of(clients)
    words = " and ".join("hung" if it is None else f"{it:.0f} s" for it in seconds)
    what = f"{rival.what}, {replicas} accelerators for {replicas} replicas"
    scarcity.figures.notes[what] = (
        f"{total.sent:,} requests, {total.lost} lost, {history.lowest} ready at the lowest, {words}"
    )
    return seconds


@pytest.mark.parametrize(
    ("rival", "replicas"),
    [(IN_TURN, 2), (IN_TURN_AT_ONCE, 2), (IN_TURN_AT_ONCE, 4)],
    ids=str,
)
def test_a_deployment_replaces_one_pod_after_the_other(
    scarcity: Scarcity, templates: dict[str, Manifest], rival: Rival, replicas: int
) -> None:
    assert None not in measure(scarcity, rival, templates, replicas)


def test_a_deployment_with_its_defaults_hangs(
    scarcity: Scarcity, templates: dict[str, Manifest]
) -> None:
    rival = Rival("a Deployment with its defaults", DEPLOYMENT, limits={})
    forward, _ = measure(scarcity, rival, templates, 2)
    assert forward is None


@pytest.mark.usefixtures("argo")
@pytest.mark.parametrize(
    ("rival", "replicas"), [(ARGO, 2), (ARGO_AT_ONCE, 2), (ARGO_AT_ONCE, 4)], ids=str
)
def test_argo_rollouts_replaces_pods_by_steps(
    scarcity: Scarcity, templates: dict[str, Manifest], rival: Rival, replicas: int
) -> None:
    assert None not in measure(scarcity, rival, templates, replicas)


@pytest.mark.usefixtures("argo")
def test_argo_rollouts_with_its_defaults_hangs(
    scarcity: Scarcity, templates: dict[str, Manifest]
) -> None:
    rival = Rival("Argo Rollouts, a canary with its defaults", ROLLOUT, limits={})
    forward, _ = measure(scarcity, rival, templates, 2)
    assert forward is None
