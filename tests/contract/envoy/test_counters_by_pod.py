"""What the agent counts by pod, against what pods of a real Envoy did."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many
from tests.contract.envoy.model import Model
from tests.contract.envoy.test_counters import infer_over_grpc
from tests.unit.agent.waiting import until


@pytest.fixture
async def pods(router: Router, models: tuple[Model, Model]) -> AsyncIterator[tuple[Model, Model]]:
    """Two pods of the candidate, which has half of the requests."""
    first, ports = models[1], {"http": models[1].http_port, "grpc": models[1].grpc_port}
    second = Model(CANDIDATE, "127.0.0.2", http_port=ports["http"], grpc_port=ports["grpc"])
    await second.start()
    router.api.put_endpoints(f"digits-{CANDIDATE}", ports, ready=(first.host, second.host))
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    await until("the second pod is asked", lambda: _is_asked(router, second))
    yield first, second
    await second.stop()


async def _is_asked(router: Router, model: Model) -> bool:
    await send_many(router.url, 1)
    return bool(model.headers_seen)


async def by_pod(router: Router, revision: str = CANDIDATE) -> dict[str, tuple[int, int]]:
    """Return requests and errors by address."""
    found = await router.counters_of(revision)
    assert found.pods is not None
    return {pod.address: (pod.requests, pod.errors) for pod in found.pods}


async def gained_by_second(router: Router, count: int, *, over_grpc: bool) -> tuple[int, int]:
    """Send so many requests, and return what the second pod had of them, and its errors."""
    before = (await by_pod(router))["127.0.0.2"]
    await (infer_over_grpc(router, count) if over_grpc else send_many(router.url, count))
    after = (await by_pod(router))["127.0.0.2"]
    return after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize("over_grpc", [False, True])
async def test_a_bad_pod_is_told_from_its_sibling(
    router: Router, pods: tuple[Model, Model], over_grpc: bool
) -> None:
    pods[1].http_status, pods[1].grpc_status = 500, grpc.StatusCode.INTERNAL
    requests, errors = await gained_by_second(router, 80, over_grpc=over_grpc)
    assert requests > 0
    assert errors == requests

    found = await by_pod(router)
    assert set(found) == {"127.0.0.1", "127.0.0.2"}
    assert found["127.0.0.1"][0] > 0
    assert found["127.0.0.1"][1] == 0
    assert (await by_pod(router, STABLE))["127.0.0.1"][1] == 0


@pytest.mark.parametrize("over_grpc", [False, True])
async def test_client_errors_of_a_pod_are_no_errors(
    router: Router, pods: tuple[Model, Model], over_grpc: bool
) -> None:
    pods[1].http_status, pods[1].grpc_status = 400, grpc.StatusCode.INVALID_ARGUMENT
    requests, errors = await gained_by_second(router, 80, over_grpc=over_grpc)
    assert requests > 0
    assert errors == 0


async def test_a_request_that_takes_too_long_is_an_error_of_its_pod(
    router: Router, pods: tuple[Model, Model]
) -> None:
    router.ask({STABLE: 50, CANDIDATE: 50}, timeoutSeconds=1)
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    pods[1].delay_seconds = 3.0
    requests, errors = await gained_by_second(router, 24, over_grpc=False)
    assert requests > 0
    assert errors == requests


async def test_an_answer_that_breaks_off_is_an_error_of_the_revision_and_of_no_pod(
    router: Router, pods: tuple[Model, Model]
) -> None:
    """Envoy takes an answer for a success of the host from its headers on."""
    pods[1].break_off = True
    requests, errors = await gained_by_second(router, 40, over_grpc=False)
    assert requests > 0
    assert errors == 0
    assert (await router.counters_of(CANDIDATE)).errors == requests


async def test_requests_that_clients_gave_up_are_no_errors_of_a_pod(
    router: Router, pods: tuple[Model, Model]
) -> None:
    for pod in pods:
        pod.delay_seconds = 3.0
    before = await by_pod(router)
    running = asyncio.create_task(send_many(router.url, 16))

    async def begun() -> bool:
        found = await by_pod(router)
        return all(found[address][0] > before[address][0] for address in found)

    await until("both pods are asked", begun)
    running.cancel()

    async def none() -> bool:
        return (await router.counters_of(CANDIDATE)).active == 0

    await until("none is in flight", none)
    after = await by_pod(router)
    assert [after[address][1] for address in after] == [before[address][1] for address in before]


async def test_a_route_with_one_revision_tells_no_pods_apart(router: Router) -> None:
    await send_many(router.url, 5)
    assert {each.pods for each in (await router.counters()).routes} == {None}
