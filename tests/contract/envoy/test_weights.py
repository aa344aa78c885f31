"""Weights, as clients of a real Envoy see them."""

import asyncio
from math import sqrt

import aiohttp
import grpc
import pytest
from slipway.render.envoy import REVISION_HEADER
from tritonclient.grpc import service_pb2, service_pb2_grpc
from yarl import URL

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.unit.agent.waiting import until

REQUESTS = 4_000
PIN = {"candidateHeader": {"name": "x-model-candidate", "value": "true"}, "candidate": CANDIDATE}


def z_score(found: int, requests: int, percent: int) -> float:
    share = percent / 100
    return (found - requests * share) / sqrt(requests * share * (1 - share))


@pytest.mark.parametrize("percent", [1, 5, 50])
async def test_the_split_is_the_weight_that_was_acknowledged(router: Router, percent: int) -> None:
    router.ask({STABLE: 100 - percent, CANDIDATE: percent})
    await router.in_force({STABLE: 100 - percent, CANDIDATE: percent})
    load = await send_many(router.url, REQUESTS)
    assert not load.failures
    assert abs(z_score(load.revisions[CANDIDATE], REQUESTS, percent)) < 4


async def test_weight_zero_is_exact_from_the_acknowledgement_on(router: Router) -> None:
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    router.ask({STABLE: 100, CANDIDATE: 0})
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    load = await send_many(router.url, 500)
    assert (load.revisions, dict(load.failures)) == ({STABLE: 500}, {})


async def test_switching_weights_under_load_fails_no_request(router: Router) -> None:
    async with steady_load(router.url) as load:
        for percent in [5, 50, 95, 0, 100, 0, 30, 0]:
            router.ask({STABLE: 100 - percent, CANDIDATE: percent})
            await router.in_force({STABLE: 100 - percent, CANDIDATE: percent})
    assert not load.failures
    assert load.revisions[CANDIDATE] > 0


async def test_the_header_reaches_the_candidate_at_weight_zero(router: Router) -> None:
    router.ask({STABLE: 100, CANDIDATE: 0}, **PIN)
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    await until("the header route is written", lambda: router.entry()["generation"] == 2)
    pinned = await send_many(router.url, 100, {"x-model-candidate": "true"})
    plain = await send_many(router.url, 100, {"x-model-candidate": "false"})
    assert (pinned.revisions, plain.revisions) == ({CANDIDATE: 100}, {STABLE: 100})
    assert (await router.counters_of(CANDIDATE, pinned=True)).requests == 100
    assert (await router.counters_of(CANDIDATE)).requests == 0


async def test_grpc_takes_the_same_port_and_the_same_weights(router: Router) -> None:
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    seen = {STABLE: 0, CANDIDATE: 0}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(400):
            call = stub.ModelInfer(service_pb2.ModelInferRequest(model_name="digits"))
            await call
            metadata = await call.initial_metadata()
            seen[str(metadata[REVISION_HEADER])] += 1
    assert abs(z_score(seen[CANDIDATE], 400, 50)) < 4


PATHS = {
    "/v2": 200,
    "/v2/health/ready": 200,
    "/v2/models/digits": 200,
    "/v2/models/digits/versions/1/ready": 200,
    "/v2/models/digits/infer": 200,
    "/v2/models/digits/generate_stream?x=1": 200,
    "/v2/models/digits/config": 200,
    "/v2/models/digits/versions/1/config": 200,
    "/v2/models/digits/stats": 404,
    "/v2/models/digits/trace/setting": 404,
    "/v2/models/digits/../../repository/index": 404,
    "/v2/models/digits%2F..%2F..%2Frepository/index": 400,
    "/v2/repository/index": 404,
    "/v2/models/stats": 404,
    "/metrics": 404,
}


async def test_only_paths_of_inference_metadata_and_readiness_pass(router: Router) -> None:
    found = {}
    async with aiohttp.ClientSession() as session:
        for path in PATHS:
            async with session.get(URL(router.url + path, encoded=True)) as answer:
                found[path] = answer.status
                if answer.status == 404:
                    assert "only inference" in (await answer.json())["error"]
    assert found == PATHS


@pytest.mark.parametrize("host", ["", "Host: digits.vision.svc\r\n"], ids=["no host", "a host"])
async def test_http_1_0_is_answered_as_by_triton_itself(router: Router, host: str) -> None:
    address = URL(router.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(f"GET /v2/models/digits HTTP/1.0\r\n{host}\r\n".encode())

    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert answer.split(b"\r\n")[0].endswith(b"200 OK")


async def test_clients_cannot_choose_the_route_or_ask_for_retries(
    router: Router, models: tuple[Model, Model]
) -> None:
    forged = {"x-slipway-route": "other", "x-envoy-retry-on": "5xx", "x-envoy-max-retries": "9"}
    models[0].http_status = 500
    load = await send_many(router.url, 1, forged)
    assert load.failures == {"status 500": 1}
    assert (await router.counters_of(STABLE)).requests == 1
    assert not {"x-slipway-route", "x-envoy-retry-on"} & {
        name.lower() for name in models[0].headers_seen[-1]
    }


async def test_without_backends_the_answer_is_503_and_says_so(router: Router) -> None:
    router.ask({})
    await router.in_force({})
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{router.url}/v2/models/digits") as answer,
    ):
        assert answer.status == 503
        assert "no revision is serving" in (await answer.json())["error"]


async def test_a_timeout_of_the_route_is_kept(router: Router, models: tuple[Model, Model]) -> None:
    models[0].delay_seconds = 5.0
    router.ask({STABLE: 100}, timeoutSeconds=1)
    await router.in_force({STABLE: 100})
    load = await send_many(router.url, 1)
    assert load.failures == {"status 504": 1}
    found = await router.counters_of(STABLE)
    assert (found.requests, found.errors, found.timeouts) == (1, 1, 1)
