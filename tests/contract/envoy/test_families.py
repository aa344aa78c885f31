"""Clients and pods of either IP family, on ::1 and on 127.0.0.1."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.envoy.conftest import STABLE
from tests.contract.envoy.harness import Router, send_many
from tests.contract.envoy.model import Model, bracketed
from tests.unit.agent.fake_api import FakeApi

LOOPBACKS = ("127.0.0.1", "::1")


@pytest.fixture(params=LOOPBACKS)
async def pod(request: pytest.FixtureRequest) -> AsyncIterator[Model]:
    pod = Model(STABLE, host=request.param)
    await pod.start()
    yield pod
    await pod.stop()


@pytest.fixture
async def routed(tmp_path: Path, api: FakeApi, pod: Model) -> AsyncIterator[Router]:
    async with Router(tmp_path, api).before(pod) as router:
        yield router


async def test_clients_of_each_family_reach_pods_of_each_family(routed: Router, pod: Model) -> None:
    for host in LOOPBACKS:
        pod.headers_seen.clear()
        load = await send_many(routed.url_at(host), 10)

        assert (load.revisions, dict(load.failures)) == ({STABLE: 10}, {})
        clients = {headers["x-envoy-external-address"] for headers in pod.headers_seen}
        assert clients == {host}
        assert await infer_over_grpc(f"{bracketed(host)}:{routed.port}") == "digits"
        assert await is_agent_ready(f"{bracketed(host)}:{routed.agent_port}")


async def infer_over_grpc(address: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer = await stub.ModelInfer(service_pb2.ModelInferRequest(model_name="digits"))
    return str(answer.model_name)


async def is_agent_ready(address: str) -> bool:
    """Ask as the kubelet does."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/readyz") as answer,
    ):
        return bool(answer.status == 200)


async def test_a_pod_with_an_address_of_each_family_is_one_endpoint(
    tmp_path: Path, api: FakeApi
) -> None:
    four, six = Model(STABLE), Model(STABLE, host="::1")
    router = Router(tmp_path, api)
    for address in (six, four):
        await address.start()
        router.serve(address)
    router.ask({STABLE: 100})

    try:
        await router.start()
        await router.in_force({STABLE: 100})
        load = await send_many(router.url, 20)

        assert (load.revisions, dict(load.failures)) == ({STABLE: 20}, {})
        assert six.headers_seen == []
    finally:
        router.stop()
        await four.stop()
        await six.stop()
