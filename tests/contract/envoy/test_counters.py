"""What the agent counts, against what clients of a real Envoy saw."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import grpc
import pytest
from slipway.api.counters import Latency, RouteCounters
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many
from tests.contract.envoy.model import Model
from tests.unit.agent.waiting import until


async def infer_over_grpc(router: Router, count: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(count):
            try:
                request = service_pb2.ModelInferRequest(model_name="digits")
                await stub.ModelInfer(request)
            except grpc.aio.AioRpcError:
                continue


async def settled(router: Router, requests: int) -> RouteCounters:
    """Return stable's counters when Envoy has merged all of its histograms."""

    async def merged() -> bool:
        return sum((await router.counters_of(STABLE)).latency.counts) == requests

    await until(f"{requests} latencies are counted", merged)
    return await router.counters_of(STABLE)


async def counted(router: Router, **numbers: int) -> RouteCounters:
    """Return stable's counters when these have reached their numbers."""

    async def reached() -> bool:
        found = await router.counters_of(STABLE)
        return all(getattr(found, name) == number for name, number in numbers.items())

    await until(f"counters say {numbers}", reached)
    return await router.counters_of(STABLE)


async def test_successes_are_counted_with_their_latency(
    router: Router, models: tuple[Model, Model]
) -> None:
    models[0].delay_seconds = 0.05
    await send_many(router.url, 100)
    found = await settled(router, 100)
    assert (found.requests, found.errors, found.client_errors, found.active) == (100, 0, 0, 0)
    fast = [
        count
        for edge, count in zip(found.latency.edges_millis, found.latency.counts, strict=False)
        if edge < 50
    ]
    assert sum(fast) == 0
    assert (await router.counters_of(CANDIDATE)).requests == 0


@pytest.mark.parametrize(
    ("status", "errors", "client_errors"),
    [(500, 20, 0), (503, 20, 0), (400, 0, 20), (404, 0, 20)],
)
async def test_http_failures_are_blamed_by_their_class(
    router: Router, models: tuple[Model, Model], status: int, errors: int, client_errors: int
) -> None:
    models[0].http_status = status
    await send_many(router.url, 20)
    found = await router.counters_of(STABLE)
    assert (found.requests, found.errors, found.client_errors) == (20, errors, client_errors)


@pytest.mark.parametrize(
    ("status", "refused"), [(400, 20), (404, 20), (401, 0), (403, 0), (429, 0), (500, 0)]
)
async def test_of_client_errors_those_of_gateways_and_rate_limits_are_told_apart(
    router: Router, models: tuple[Model, Model], status: int, refused: int
) -> None:
    models[0].http_status = status
    await send_many(router.url, 20)
    assert (await router.counters_of(STABLE)).refused == refused


@pytest.mark.parametrize(
    ("code", "errors", "client_errors"),
    [
        (grpc.StatusCode.INTERNAL, 10, 0),
        (grpc.StatusCode.UNAVAILABLE, 10, 0),
        (grpc.StatusCode.UNKNOWN, 10, 0),
        (grpc.StatusCode.INVALID_ARGUMENT, 0, 10),
        (grpc.StatusCode.NOT_FOUND, 0, 10),
        (grpc.StatusCode.OK, 0, 0),
    ],
)
async def test_grpc_failures_are_blamed_by_their_code(
    router: Router,
    models: tuple[Model, Model],
    code: grpc.StatusCode,
    errors: int,
    client_errors: int,
) -> None:
    models[0].grpc_status = code
    await infer_over_grpc(router, 10)
    found = await router.counters_of(STABLE)
    assert (found.requests, found.errors, found.client_errors) == (10, errors, client_errors)


async def test_a_pod_that_is_gone_is_one_error_per_request_over_either_protocol(
    router: Router, models: tuple[Model, Model]
) -> None:
    await models[0].stop()
    load = await send_many(router.url, 5)
    await infer_over_grpc(router, 5)
    found = await router.counters_of(STABLE)
    assert load.failures == {"status 503": 5}
    assert (found.requests, found.errors) == (10, 10)


async def test_a_connection_that_breaks_in_the_answer_is_one_error(
    router: Router, models: tuple[Model, Model]
) -> None:
    models[0].break_off = True
    load = await send_many(router.url, 10)
    found = await router.counters_of(STABLE)
    assert load.failures.total() == 10
    assert (found.errors, found.resets) == (10, 10)


async def test_requests_in_flight_are_active(router: Router, models: tuple[Model, Model]) -> None:
    models[0].delay_seconds = 1.0
    running = asyncio.create_task(send_many(router.url, 8))

    async def eight() -> bool:
        return (await router.counters_of(STABLE)).active == 8

    async def none() -> bool:
        return (await router.counters_of(STABLE)).active == 0

    await until("eight requests are in flight", eight)
    await running
    await until("none is in flight", none)


@pytest.mark.parametrize("status", [200, 500])
async def test_what_has_ended_has_begun(
    router: Router, models: tuple[Model, Model], status: int
) -> None:
    models[0].http_status = status
    await send_many(router.url, 20)
    await infer_over_grpc(router, 5)
    found = await router.counters_of(STABLE)
    assert (found.begun, found.requests, found.active) == (25, 25, 0)


async def test_a_request_to_a_pod_that_is_gone_has_begun_once_however_often_it_was_tried(
    router: Router, models: tuple[Model, Model]
) -> None:
    await models[0].stop()
    await send_many(router.url, 5)
    await infer_over_grpc(router, 5)
    found = await router.counters_of(STABLE)
    assert (found.begun, found.requests) == (10, 10)


async def test_a_request_that_the_client_gave_up_has_begun(
    router: Router, models: tuple[Model, Model]
) -> None:
    models[0].delay_seconds = 3.0
    running = asyncio.create_task(send_many(router.url, 8))

    async def in_flight(count: int) -> bool:
        found = await router.counters_of(STABLE)
        return (found.begun, found.requests, found.active) == (8, 0, count)

    await until("eight requests are in flight", lambda: in_flight(8))
    running.cancel()
    await until("none is in flight", lambda: in_flight(0))


async def test_a_stream_is_counted_by_its_messages(
    router: Router, models: tuple[Model, Model]
) -> None:
    models[0].answers_per_message = 2

    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stream = stub.ModelStreamInfer()

        # In flight and not answered: as any request that hangs.
        await stream.wait_for_connection()
        first = await counted(router, begun=1)

        for _ in range(3):
            await stream.write(service_pb2.ModelInferRequest(model_name="digits"))
            for _ in range(2):
                await stream.read()
        answered = await counted(router, stream_responses=6)
        await stream.done_writing()
        await stream.read()
    ended = await settled(router, 1)

    assert (first.begun, first.requests, first.active) == (1, 0, 1)
    assert (answered.begun, answered.requests, answered.active) == (1, 1, 1)
    assert (answered.stream_requests, answered.stream_responses) == (3, 6)
    assert (ended.begun, ended.requests, ended.active, ended.errors) == (1, 1, 0, 0)


async def test_what_a_client_is_slow_to_send_is_its_own_time_and_not_the_models(
    router: Router,
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)  # how long this client takes is what is measured
        yield b"}"

    async with aiohttp.ClientSession() as session:
        await (await session.post(f"{router.url}/v2/models/digits/infer", data=slowly())).read()
    answered = (await settled(router, 1)).latency

    waited = (await router.counters()).clients

    assert waited is not None
    assert sum(waited.counts) == 1
    assert counts_below(answered, 0.3) == 1
    assert counts_below(waited, 0.3) == 0


def counts_below(latency: Latency, seconds: float) -> int:
    edges = zip(latency.edges_millis, latency.counts, strict=False)
    return sum(count for edge, count in edges if edge <= 1000 * seconds)


async def test_prometheus_reads_the_same_numbers(router: Router) -> None:
    await send_many(router.url, 30)
    await settled(router, 30)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{router.agent_port}/metrics") as answer,
    ):
        text = await answer.text()
    labels = f'route="digits",revision="{STABLE}",pinned="false"'
    assert f"slipway_router_requests_total{{{labels}}} 30" in text
    assert f'slipway_router_latency_seconds_bucket{{{labels},le="+Inf"}} 30' in text
    assert f"slipway_router_latency_seconds_count{{{labels}}} 30" in text
    assert "slipway_router_client_latency_seconds_count 30" in text


async def test_churn_of_endpoints_keeps_the_counters(
    router: Router, models: tuple[Model, Model]
) -> None:
    models[0].http_status = 500

    await send_many(router.url, 20)
    await settled(router, 20)
    models[0].http_status = 200
    other = Model(STABLE)
    await other.start()
    router.serve(other)
    await until("the other pod is asked", lambda: _asked(router, other))
    await models[0].stop()
    before = (await router.counters_of(STABLE)).requests
    load = await send_many(router.url, 20)
    await settled(router, before + 20)
    found = await router.counters_of(STABLE)
    await other.stop()

    assert not load.failures
    assert (found.requests, found.errors) == (before + 20, 20)


async def _asked(router: Router, model: Model) -> bool:
    await send_many(router.url, 1)
    return bool(model.headers_seen)
