"""An operator with a namespaced release's rights and no others, against the real API server."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway.api import kinds, names
from slipway.manager.wiring import LEASE_NAME

from tests.contract.kube.conftest import KUBECONFIG
from tests.contract.kube.process import Office, Replica
from tests.install import base, helm
from tests.kubectl import Kubectl, KubectlError, restricted_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(helm.find_helm() is None, reason="no Helm")]

SYSTEM = "test-narrow-system"
WATCHED = "test-narrow-a"
LATE = "test-narrow-b"
RIGHTS = {"ServiceAccount", "Role", "RoleBinding"}
SECONDS = 60


@dataclass(frozen=True)
class Narrow:
    """Two namespaces, and a kubeconfig of the operator that watches one of them."""

    kubectl: Kubectl
    kubeconfig: Path


@pytest.fixture(scope="module")
def alone() -> Iterator[Kubectl]:
    """The cluster without the release's operator, which watches all namespaces."""
    kubectl = Kubectl()
    words = ("scale", "deployment", "slipway", "-n", helm.NAMESPACE)
    kubectl.run(*words, "--replicas=0")
    gone = ("wait", "pods", "-l", "app.kubernetes.io/name=slipway", "-n", helm.NAMESPACE)
    kubectl.run(*gone, "--for=delete", "--timeout=90s", seconds=100)
    yield kubectl
    kubectl.run(*words, "--replicas=2")
    kubectl.run(
        *("rollout", "status", "deployment/slipway", "-n", helm.NAMESPACE, "--timeout=90s"),
        seconds=100,
    )


@pytest.fixture(scope="module")
def narrow(alone: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    kubectl = alone
    for namespace in (SYSTEM, WATCHED, LATE):
        kubectl.delete_namespace(namespace)
    for namespace in (SYSTEM, WATCHED):
        kubectl.apply(restricted_namespace(namespace))
    kubectl.apply(*rights(WATCHED))
    token = kubectl.run("create", "token", "slipway", "-n", SYSTEM, "--duration=1h").strip()
    config: dict[str, Any] = yaml.safe_load(KUBECONFIG.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = tmp_path_factory.mktemp("narrow") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield Narrow(kubectl, path)
    for namespace in (SYSTEM, WATCHED, LATE):
        kubectl.delete_namespace(namespace, wait_seconds=0)


def rights(namespace: str) -> list[Any]:
    values = {**base.VALUES, "watchNamespaces": [namespace]}
    rendered = list(yaml.safe_load_all(helm.template(values, namespace=SYSTEM)))
    return [one for one in rendered if one and one["kind"] in RIGHTS]


def office_of(path: Path, *namespaces: str) -> Office:
    office = Office(path, SYSTEM)
    file = path / "settings.yaml"
    settings = {**yaml.safe_load(file.read_text()), "watchNamespaces": list(namespaces)}
    file.write_text(yaml.safe_dump(settings))
    return office


@pytest.fixture
async def replica(narrow: Narrow, tmp_path: Path) -> AsyncIterator[Replica]:
    office = office_of(tmp_path, WATCHED)
    replica = await office.start("narrow", narrow.kubeconfig)
    yield replica
    await office.close()


async def answers(replica: Replica) -> dict[tuple[str, str], float]:
    """Return how many requests got which answer, by method and status."""
    row = r'^slipway_api_requests_total\{code="(\w+)",method="(\w+)"\} ([\d.]+)$'
    found = re.findall(row, await replica.get("metrics"), re.MULTILINE)
    return {(method, code): float(count) for code, method, count in found}


async def test_it_does_all_its_work_with_roles_alone(narrow: Narrow, replica: Replica) -> None:
    await replica.until("is_leader", 1, SECONDS)
    sample = yaml.safe_load((helm.ROOT / "manifests/samples/minimal.yaml").read_text())
    sample["metadata"]["namespace"] = WATCHED
    await asyncio.to_thread(narrow.kubectl.apply, sample)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            while not await asyncio.to_thread(has_router, narrow.kubectl):  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    assert has_router(narrow.kubectl)

    found = await answers(replica)
    refused = {key: count for key, count in found.items() if key[1] in {"401", "403"}}
    assert refused == {}, replica.log.read_text()[-3000:]
    assert found["PATCH", "201"] > 0 or found["PATCH", "200"] > 0
    assert "orbidden" not in replica.log.read_text()
    assert await replica.get("healthz") == "ok\n"


def has_router(kubectl: Kubectl) -> bool:
    """Tell whether all of a namespace's router was made, its rights included."""
    wanted = (kinds.ROLE, kinds.ROLE_BINDING, kinds.DEPLOYMENT, kinds.NETWORK_POLICY)
    return all(
        kubectl.get(WATCHED, f"{kind.plural}.{kind.group}", names.ROUTER_NAME) for kind in wanted
    )


async def test_a_namespace_without_its_role_costs_no_other_and_is_taken_up_when_it_has_one(
    narrow: Narrow, tmp_path: Path
) -> None:
    office = office_of(tmp_path, WATCHED, LATE)
    try:
        replica = await office.start("lacking", narrow.kubeconfig)
        await replica.until("is_leader", 1, SECONDS)
        missing = f'slipway_sweep_failures{{kind="Pod",namespace="{LATE}"}} 1.0'
        assert missing in await replica.get("metrics")
        assert await replica.get("healthz") == "ok\n"
        await asyncio.to_thread(narrow.kubectl.apply, restricted_namespace(LATE))
        await asyncio.to_thread(narrow.kubectl.apply, *rights(LATE))
        assert await asyncio.wait_for(replica.process.wait(), SECONDS) == 1
        again = await office.start("whole", narrow.kubeconfig)
        assert "slipway_sweep_failures{" not in await again.get("metrics")
    finally:
        await office.close()


def test_its_lease_lies_in_its_own_namespace(narrow: Narrow) -> None:
    leases = narrow.kubectl.items(SYSTEM, "leases.coordination.k8s.io")
    assert [lease["metadata"]["name"] for lease in leases] == [LEASE_NAME]


@pytest.mark.parametrize("what", ["pods", "modeldeployments.slipway.dev", "secrets"])
def test_it_may_read_nothing_elsewhere(narrow: Narrow, what: str) -> None:
    words = ("auth", "can-i", "list", what, "-n", "default")
    as_operator = f"--as=system:serviceaccount:{SYSTEM}:slipway"
    with pytest.raises(KubectlError):  # can-i says no with an exit code
        narrow.kubectl.run(*words, as_operator)
