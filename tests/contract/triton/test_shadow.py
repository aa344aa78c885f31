"""Copies behind real Envoy, answered by a stable and a candidate Triton."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.envoy.shadowing import ask_in_turns, copies_of, order_copies, until_pairs
from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

MANY = 200_000
"""Numbers of the larger request: 800 kB, of the 1 MiB that may be copied."""
HANGS_SECONDS = 10
"""The candidate's time for an answer."""
IO = """
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [-1] }]
"""
SOMETIMES_WRONG = """
def execute(self, requests):
    return [pb.InferenceResponse([pb.Tensor("y", self.answer(request))]) for request in requests]

def answer(self, request):
    x = pb.get_input_tensor_by_name(request, "x").as_numpy()
    return x + np.float32(0.5) if x[0] == 13 else x
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """Stable, and a candidate of which one model is silently wrong on one input."""
    started = {}
    for revision in (STABLE, CANDIDATE):
        repository = tmp_path_factory.mktemp("repository")
        models.add_classifier(repository)
        models.add_echo(repository)
        models.add_streaming(repository)
        if revision == CANDIDATE:
            models.add_model(repository, "rare", IO, SOMETIMES_WRONG)
        else:
            models.add_echo(repository, "rare")
        scratch = tmp_path_factory.mktemp("scratch")
        started[revision] = running(a_server("digits"), repository, scratch)
    with started[STABLE] as stable, started[CANDIDATE] as candidate:
        yield {STABLE: stable.wait_ready(), CANDIDATE: candidate.wait_ready()}


@pytest.fixture
async def router(tmp_path: Path, servers: dict[str, Running]) -> AsyncIterator[Router]:
    api = FakeApi()
    await api.start()
    router = Router(tmp_path, api, has_comparer=True)
    for revision, server in servers.items():
        ports = {"http": server.ports["http"], "grpc": server.ports["grpc"]}
        api.put_endpoints(f"digits-{revision}", ports, ready=("127.0.0.1",))
    router.ask({STABLE: 100, CANDIDATE: 0})
    try:
        await router.start()
        await router.in_force({STABLE: 100, CANDIDATE: 0})
        yield router
    finally:
        router.stop()
        await api.stop()


def http(router: Router) -> tritonclient.http.aio.InferenceServerClient:
    return tritonclient.http.aio.InferenceServerClient(f"127.0.0.1:{router.port}")


def grpc(router: Router) -> tritonclient.grpc.aio.InferenceServerClient:
    return tritonclient.grpc.aio.InferenceServerClient(f"127.0.0.1:{router.port}")


def numbers(module: object, values: np.ndarray, *, name: str = "x", **more: bool) -> list[object]:
    tensor = module.InferInput(name, list(values.shape), "FP32")  # type: ignore[attr-defined]
    tensor.set_data_from_numpy(values.astype(np.float32), **more)
    return [tensor]


async def test_every_form_of_a_request_becomes_a_pair_that_agrees(router: Router) -> None:
    await order_copies(router)
    pixels = np.array([[0.1, 0.9, 0.2, 0.3]])
    binary = numbers(tritonclient.http, pixels, name="pixels")
    text = numbers(tritonclient.http, pixels, name="pixels", binary_data=False)
    plain = [tritonclient.http.InferRequestedOutput("probabilities", binary_data=False)]
    async with http(router) as client:
        await client.infer("digits", text, outputs=plain)
        await client.infer("digits", binary)
        for coding in ("gzip", "deflate"):
            await client.infer(
                "digits",
                binary,
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
    async with grpc(router) as client:
        message = numbers(tritonclient.grpc, pixels, name="pixels")
        await client.infer("digits", message)
        await client.infer("digits", message, compression_algorithm="gzip")

    found = await until_pairs(router, 6)
    assert (found.outcomes.ok_ok, found.agreed, found.disagreed) == (6, 6, 0), found.samples
    assert sum(found.ratios) == 6
    assert {each.name for each in found.outputs} == {"probabilities", "label"}


async def test_one_wrong_answer_of_many_is_found_and_nobody_got_it(router: Router) -> None:
    await order_copies(router)
    async with http(router) as client:

        async def ask(number: int) -> None:
            values = np.full(3, number)
            answer = await client.infer("rare", numbers(tritonclient.http, values))
            assert answer.as_numpy("y").tolist() == [number] * 3

        await ask_in_turns(router, 20, ask)
    found = await until_pairs(router, 20)
    assert (found.agreed, found.disagreed) == (19, 1)
    assert [each.largest_difference for each in found.samples] == [0.5]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_large_tensors_become_pairs_up_to_the_limit_and_reach_users_beyond_it(
    router: Router,
) -> None:
    await order_copies(router)
    values = np.arange(MANY)
    async with http(router) as by_http, grpc(router) as by_grpc:
        for count in (1, 20):
            many = np.tile(values, count)
            answers = [
                await by_http.infer("echo", numbers(tritonclient.http, many)),
                await by_grpc.infer("echo", numbers(tritonclient.grpc, many)),
            ]
            for answer in answers:
                assert np.array_equal(answer.as_numpy("y"), many.astype(np.float32))

    found = await until_pairs(router, 2)
    assert (found.agreed, found.disagreed) == (2, 0)

    async def are_counted() -> bool:
        return (await copies_of(router)).dropped.size == 2

    await until("the larger ones are dropped", are_counted)


async def test_errors_of_clients_and_streams_are_told_apart(router: Router) -> None:
    await order_copies(router)
    negative = np.array([[-1.0, 0, 0, 0]])
    async with http(router) as by_http, grpc(router) as by_grpc:
        for client, module in ((by_http, tritonclient.http), (by_grpc, tritonclient.grpc)):
            with pytest.raises(InferenceServerException):
                await client.infer("digits", numbers(module, negative, name="pixels"))
            with pytest.raises(InferenceServerException):
                await client.infer("nothing", numbers(module, negative))

        async def requests() -> AsyncIterator[dict[str, object]]:
            values = np.array([[1.0, 2, 3]])
            yield {"model_name": "stream", "inputs": numbers(tritonclient.grpc, values)}

        answers = [each async for each in by_grpc.stream_infer(requests())]
        assert len(answers) == 2

    outcomes = (await until_pairs(router, 4)).outcomes
    assert outcomes.same == outcomes.total == 4
    assert outcomes.ok_ok == 0
    assert (await copies_of(router)).dropped.stream == 1


async def test_a_candidate_that_hangs_has_failed_and_no_user_waits_for_it(
    router: Router, servers: dict[str, Running]
) -> None:
    await order_copies(router, timeoutSeconds=HANGS_SECONDS)
    os.kill(servers[CANDIDATE].process.pid, signal.SIGSTOP)
    try:
        async with http(router) as client:

            async def ask(_: int) -> None:
                async with asyncio.timeout(HANGS_SECONDS / 2):
                    await client.infer("echo", numbers(tritonclient.http, np.arange(3)))

            await ask_in_turns(router, 20, ask)
        assert (await until_pairs(router, 20)).outcomes.ok_failed == 20
    finally:
        os.kill(servers[CANDIDATE].process.pid, signal.SIGCONT)


async def test_a_dead_candidate_makes_no_pair_and_costs_no_user(
    router: Router, servers: dict[str, Running]
) -> None:
    """The last test: the server stays dead."""
    await order_copies(router)
    servers[CANDIDATE].process.kill()
    servers[CANDIDATE].wait_ended()
    async with http(router) as client:

        async def ask(_: int) -> None:
            await client.infer("echo", numbers(tritonclient.http, np.arange(3)))

        await ask_in_turns(router, 20, ask)

    async def are_counted() -> bool:
        return (await copies_of(router)).dropped.unreachable == 20

    await until("all copies are dropped", are_counted)
