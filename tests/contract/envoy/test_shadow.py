"""Copies of requests behind real Envoy: what they show, and that no user notices them."""

import asyncio
import gzip
import io
import json
import os
import signal
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc
import numpy as np
import pytest
import tritonclient.http
from slipway.render import envoy
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.contract.envoy.shadowing import MOST_BYTES, copies_of, order_copies, until_pairs
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

JSON_REQUEST = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}],
}
INFER = "/v2/models/digits/infer"


@pytest.fixture
async def router(
    tmp_path: Path, api: FakeApi, models: tuple[Model, Model]
) -> AsyncIterator[Router]:
    """A router with a comparer; stable has all of the weight."""
    router = Router(tmp_path, api, has_comparer=True)
    for model in models:
        model.output = [0.25, 0.75]
        router.serve(model)
    router.ask({STABLE: 100, CANDIDATE: 0})
    try:
        await router.start()
        yield router
    finally:
        router.stop()


async def post(router: Router, body: bytes, path: str = INFER, **headers: str) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=["accept-encoding"]
        ) as session,
        session.post(
            router.url + path,
            data=io.BytesIO(body),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        ) as answer,
    ):
        assert envoy.TOOK_HEADER not in answer.headers
        return answer.status, await answer.read()


async def post_undeclared(session: aiohttp.ClientSession, router: Router, size: int) -> int:
    """Send a body as a client does that does not say how much will come; return the status."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 65_536):
            yield b" " * min(65_536, size - at)

    async with session.post(router.url + INFER, data=pieces()) as answer:
        await answer.read()
        return answer.status


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_request_over_http_becomes_a_pair(router: Router) -> None:
    await order_copies(router)
    for _ in range(5):
        status, body = await post(router, json.dumps(JSON_REQUEST).encode())
        assert (status, json.loads(body)["outputs"][0]["data"]) == (200, [0.25, 0.75])

    found = await until_pairs(router, 5)
    assert (found.stable, found.candidate) == (STABLE, CANDIDATE)
    assert (found.outcomes.ok_ok, found.agreed, found.disagreed) == (5, 5, 0)
    assert sum(found.ratios) == sum(found.stable_latency.counts) == 5
    assert found.outputs[0].name == "y"


async def test_binary_tensors_become_pairs(router: Router) -> None:
    await order_copies(router)
    tensor = tritonclient.http.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.array([[1.0, 2.0]], dtype=np.float32))
    output = tritonclient.http.InferRequestedOutput("y", binary_data=True)
    body, length = tritonclient.http.InferenceServerClient.generate_request_body(
        [tensor], outputs=[output]
    )
    assert length is not None
    status, answer = await post(router, body, inference_header_content_length=str(length))
    assert (status, answer[-8:]) == (200, struct.pack("<2f", 0.25, 0.75))

    found = await until_pairs(router, 1)
    assert (found.agreed, found.disagreed) == (1, 0)


async def test_a_share_of_the_requests_is_copied(router: Router) -> None:
    await order_copies(router, percent=10)
    load = await send_many(router.url, 400)
    assert load.revisions == {STABLE: 400}
    page = await router.pairs()
    offered = page.offered["digits"] + page.lost.get("digits", 0)
    assert 10 <= offered <= 80, "of 400 by a tenth: beyond six standard deviations"


async def test_another_answer_is_counted_and_kept_without_its_payload(
    router: Router, models: tuple[Model, Model]
) -> None:
    await order_copies(router)
    models[1].output = [0.75, 0.25]
    await post(router, json.dumps(JSON_REQUEST).encode())

    found = await until_pairs(router, 1)
    assert (found.agreed, found.disagreed) == (0, 1)
    (sample,) = found.samples
    assert sample.output == "y"
    assert sample.largest_difference == 0.5
    assert sample.input_digest.startswith("sha256:")


async def test_an_error_of_the_candidate_reaches_no_user(
    router: Router, models: tuple[Model, Model]
) -> None:
    await order_copies(router)
    models[1].http_status = 500
    status, _ = await post(router, json.dumps(JSON_REQUEST).encode())
    assert status == 200
    assert (await until_pairs(router, 1)).outcomes.ok_failed == 1


async def test_a_clients_error_is_counted_at_either_side(
    router: Router, models: tuple[Model, Model]
) -> None:
    await order_copies(router)
    models[0].http_status, models[0].grpc_status = 400, grpc.StatusCode.INVALID_ARGUMENT
    status, _ = await post(router, json.dumps(JSON_REQUEST).encode())
    assert status == 400
    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ModelInfer(service_pb2.ModelInferRequest(model_name="digits"))
    assert (await until_pairs(router, 2)).outcomes.refused_ok == 2

    models[0].http_status, models[1].http_status = 200, 400
    await post(router, json.dumps(JSON_REQUEST).encode())
    assert (await until_pairs(router, 3)).outcomes.ok_refused == 1


async def test_a_candidate_that_breaks_off_has_failed_and_one_that_is_gone_makes_no_pair(
    router: Router, models: tuple[Model, Model]
) -> None:
    await order_copies(router)
    models[1].break_off = True
    assert (await post(router, json.dumps(JSON_REQUEST).encode()))[0] == 200
    assert (await until_pairs(router, 1)).outcomes.ok_failed == 1

    await models[1].stop()
    assert (await post(router, json.dumps(JSON_REQUEST).encode()))[0] == 200

    async def is_counted() -> bool:
        return (await copies_of(router)).dropped.unreachable == 1

    await until("the copy is dropped", is_counted)
    assert (await until_pairs(router, 1)).outcomes.total == 1


async def test_a_slow_candidate_holds_up_no_user_and_no_more_than_is_allowed_is_held(
    router: Router, models: tuple[Model, Model]
) -> None:
    await order_copies(router)
    models[1].delay_seconds = 3600
    body = b" " * (MOST_BYTES - 1024)
    async with asyncio.timeout(120), aiohttp.ClientSession() as session:
        for _ in range(80):
            assert await post_undeclared(session, router, len(body)) == 200
    assert router.comparer is not None
    resident = resident_bytes(router.comparer.pid)

    async def are_dropped() -> bool:
        return (await copies_of(router)).dropped.queue > 0

    await until("more is dropped than held", are_dropped)
    assert resident < 300 * 2**20, "of a container's 384 MiB"


async def test_compressed_bodies_become_pairs(router: Router) -> None:
    await order_copies(router)
    plain = json.dumps(JSON_REQUEST).encode()
    for coding, body in (("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain))):
        status, answer = await post(router, body, content_encoding=coding, accept_encoding="gzip")
        assert status == 200
        assert json.loads(gzip.decompress(answer))["outputs"][0]["data"] == [0.25, 0.75]

    found = await until_pairs(router, 2)
    assert (found.agreed, found.disagreed) == (2, 0)


async def test_requests_over_grpc_become_pairs(router: Router, models: tuple[Model, Model]) -> None:
    await order_copies(router)
    request = service_pb2.ModelInferRequest(model_name="digits")
    target = f"127.0.0.1:{router.port}"
    async with grpc.aio.insecure_channel(target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for compression in (None, grpc.Compression.Gzip):
            answer = await stub.ModelInfer(request, compression=compression)
            assert struct.unpack("<2f", answer.raw_output_contents[0]) == (0.25, 0.75)
        await until_pairs(router, 2)
        models[1].grpc_status = grpc.StatusCode.INTERNAL
        await stub.ModelInfer(request)

    found = await until_pairs(router, 3)
    assert (found.agreed, found.disagreed, found.outcomes.ok_failed) == (2, 0, 1)


async def test_streams_and_large_bodies_are_dropped_and_counted(router: Router) -> None:
    await order_copies(router)
    assert (await post(router, b" " * (MOST_BYTES + 1)))[0] == 200
    async with aiohttp.ClientSession() as session:
        assert await post_undeclared(session, router, MOST_BYTES + 1) == 200

    async def requests() -> AsyncIterator[service_pb2.ModelInferRequest]:
        for _ in range(3):
            yield service_pb2.ModelInferRequest(model_name="digits")

    async with grpc.aio.insecure_channel(f"127.0.0.1:{router.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = [each async for each in stub.ModelStreamInfer(requests())]
        assert len(answers) == 3

    await post(router, json.dumps(JSON_REQUEST).encode())
    await until_pairs(router, 1)
    found = await copies_of(router)
    assert (found.taken, found.active) == (4, 0)
    assert (found.dropped.size, found.dropped.stream, found.dropped.total) == (2, 1, 3)


async def test_every_copy_is_a_pair_or_dropped_and_counted(router: Router) -> None:
    """What Envoy offers is lost there, or taken; what is taken is a pair, or dropped."""
    await order_copies(router, maxPairsPerSecond=50)
    async with steady_load(router.url) as load:
        await asyncio.sleep(3)
    assert not load.failures

    async def at_rest() -> bool:
        return (await copies_of(router)).active == 0

    await until("no copy is under way", at_rest)
    page = await router.pairs()
    copies, entry = page.copies[0], page.entries("digits")[0]
    assert copies.dropped.rate > 0
    assert entry.outcomes.total + copies.dropped.total == copies.taken
    assert copies.taken <= page.offered["digits"]
    assert 1 <= entry.outcomes.total <= 50 * 6


@pytest.mark.parametrize("harm", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_comparer_that_stops_or_dies_again_and_again_costs_no_request(
    router: Router, harm: signal.Signals
) -> None:
    await order_copies(router)
    async with steady_load(router.url) as load:
        for _ in range(4):
            assert router.comparer is not None
            os.kill(router.comparer.pid, harm)
            await asyncio.sleep(1)
            if harm is signal.SIGSTOP:
                os.kill(router.comparer.pid, signal.SIGCONT)
            else:
                router.comparer.wait()
                router.start_comparer()
            await asyncio.sleep(1)
    assert not load.failures
    assert set(load.revisions) == {STABLE}


async def test_a_stopped_comparer_holds_up_no_large_request(router: Router) -> None:
    """Envoy's flow control would: it reads no more of a request whose copy nobody takes."""
    await order_copies(router)
    await post(router, json.dumps(JSON_REQUEST).encode())
    await until_pairs(router, 1)
    assert router.comparer is not None
    os.kill(router.comparer.pid, signal.SIGSTOP)
    async with asyncio.timeout(90), aiohttp.ClientSession() as session:
        sent = [post_undeclared(session, router, 16 * MOST_BYTES) for _ in range(6)]
        assert await asyncio.gather(*sent) == [200] * 6
    assert (await router.pairs()).offered["digits"] >= 6 + 1
