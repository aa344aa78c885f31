"""A model that is asleep: the router holds requests until Envoy has a replica for them."""

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from slipway.agent.holding import MOST_OF_ROUTE
from slipway.render import envoy
from slipway.render.envoy import HELD_BYTES
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.envoy.conftest import STABLE
from tests.contract.envoy.harness import Load, Router, send, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

ASLEEP = {"holdSeconds": 60}
SLEEPS = int(os.environ.get("SLIPWAY_SLEEPS", "10"))
ALL = {STABLE: 100}


@pytest.fixture
async def router(
    tmp_path: Path, api: FakeApi, models: tuple[Model, Model]
) -> AsyncIterator[Router]:
    """A running router that can hold requests, and all traffic on stable."""
    router = Router(tmp_path, api, can_hold=True)
    router.serve(models[0])
    router.ask(ALL)
    try:
        await router.start()
        yield router
    finally:
        router.stop()


async def fall_asleep(router: Router, stable: Model, **asleep: int) -> None:
    """Hold requests, and only then take the replica away: the operator's own order."""
    await hold(router, **asleep)
    router.serve(stable, ready=False)
    await until("the proxy knows that nothing runs", lambda: probe_waits(router))


async def hold(router: Router, **asleep: int) -> None:
    router.ask(ALL, min_endpoints=0, asleep=ASLEEP | asleep)
    await router.in_force(ALL)
    await until("it is said", lambda: router.entry().get("asleep") is not None)


async def probe_waits(router: Router) -> bool:
    try:
        async with asyncio.timeout(0.2), aiohttp.ClientSession() as session:
            await session.get(f"{router.url}/v2/models/digits")
    except TimeoutError:
        return True
    return False


async def waiting(router: Router, number: int) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{router.agent_port}/metrics") as answer,
    ):
        return f'slipway_router_held_requests{{route="digits"}} {number}\n' in await answer.text()


async def infer_over_grpc(router: Router) -> Any:
    async with grpc.aio.insecure_channel(router.url.removeprefix("http://")) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        return await stub.ModelInfer(service_pb2.ModelInferRequest(model_name="digits"))


async def test_requests_wait_for_a_replica_over_http_and_grpc(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable = models[0]
    await fall_asleep(router, stable)
    load = Load()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(send(session, router.url, load))
        answers = [tasks.create_task(infer_over_grpc(router)) for _ in range(10)]
        await until("all of them wait", lambda: waiting(router, 30))
        assert router.entry()["asleep"]["askedAt"]
        assert load.sent == 0
        router.serve(stable)
    assert (load.revisions, load.failures) == ({STABLE: 20}, {})
    assert [answer.result().model_name for answer in answers] == ["digits"] * 10


async def test_requests_over_plain_http_2_wait_as_well(
    router: Router, models: tuple[Model, Model], tmp_path: Path
) -> None:
    await fall_asleep(router, models[0])
    url = f"{router.url}/v2/models/digits/infer"
    large = tmp_path / "large"
    large.write_bytes(b"x" * 2 * HELD_BYTES)
    clients = [await start_curl("--data", body, url) for body in ("{}", "{}", f"@{large}")]
    await until("all of them wait", lambda: waiting(router, 3))
    router.serve(models[0])

    answers = [(await client.communicate())[0] for client in clients]
    assert answers == [b'{"model_name": "digits"} over HTTP/2: 200'] * 3
    lengths = [headers["Content-Length"] for headers in models[0].headers_seen]
    assert sorted(lengths) == ["2", "2", str(2 * HELD_BYTES)]


async def start_curl(*words: str) -> asyncio.subprocess.Process:
    """Send requests over HTTP/2 without TLS and without an upgrade, as gRPC does."""
    return await asyncio.create_subprocess_exec(
        "curl", "--silent", "--http2-prior-knowledge", "--write-out",
        " over HTTP/%{http_version}: %{http_code}", *words, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_awake_again_nothing_waits_and_nothing_is_said(
    router: Router, models: tuple[Model, Model]
) -> None:
    await fall_asleep(router, models[0])
    router.ask(ALL)
    await router.in_force(ALL)
    assert await probe_waits(router), "the operator saw the replica before this proxy did"
    router.serve(models[0])
    await until("it is awake", lambda: "asleep" not in router.entry())
    load = await send_many(router.url, 20)
    assert not load.failures


async def test_nothing_is_lost_while_it_falls_asleep_and_wakes(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable = models[0]
    async with steady_load(router.url) as load:
        for _ in range(SLEEPS):
            await hold(router)
            router.serve(stable, ready=False, terminating=True)
            await until("requests wait", lambda: waiting(router, 4))
            router.serve(stable)
            router.ask(ALL)
            await until("it is awake", lambda: "asleep" not in router.entry())
    assert not load.failures
    print(f"{SLEEPS} sleeps and wakings: {load.sent} requests, 0 lost")


async def test_too_many_are_refused_and_no_evidence(
    router: Router, models: tuple[Model, Model]
) -> None:
    await fall_asleep(router, models[0])
    load = Load()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for _ in range(MOST_OF_ROUTE):
            tasks.create_task(send(session, router.url, load))
        await until("all of them wait", lambda: waiting(router, MOST_OF_ROUTE))
        async with session.post(f"{router.url}/v2/models/digits/infer", data=b"{}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert "too many requests wait" in (await answer.json())["error"]
        with_grpc = await error_over_grpc(router)
        router.serve(models[0])
    assert with_grpc.code() is grpc.StatusCode.UNAVAILABLE
    assert "too many requests wait" in with_grpc.details()
    assert (load.revisions, load.failures) == ({STABLE: MOST_OF_ROUTE}, {})
    counted = await router.counters_of(STABLE)
    assert (counted.requests, counted.errors) == (MOST_OF_ROUTE, 0)


async def error_over_grpc(router: Router) -> grpc.aio.AioRpcError:
    try:
        await infer_over_grpc(router)
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("it was answered")


async def test_a_wait_has_an_end(router: Router, models: tuple[Model, Model]) -> None:
    await fall_asleep(router, models[0], holdSeconds=1)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{router.url}/v2/models/digits/infer", data=b"{}") as answer,
    ):
        assert answer.status == 503
        assert "no replica after 1 s" in (await answer.json())["error"]
    assert (await router.counters_of(STABLE)).errors == 0


async def test_an_agent_that_is_killed_loses_no_request(
    router: Router, models: tuple[Model, Model]
) -> None:
    await fall_asleep(router, models[0])
    load = Load()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(send(session, router.url, load))
        await until("all of them wait", lambda: waiting(router, 20))
        router.kill(router.agent)
        router.start_agent()
        await until("the agent has started", lambda: router.probe("startedz"))
        router.serve(models[0])
    assert (load.revisions, load.failures) == ({STABLE: 20}, {})


async def test_a_client_that_goes_gives_its_place_back(
    router: Router, models: tuple[Model, Model]
) -> None:
    await fall_asleep(router, models[0])
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(send(session, router.url, Load()))
        await until("it waits", lambda: waiting(router, 1))
        request.cancel()
        await until("nobody waits", lambda: waiting(router, 0))


async def test_what_waits_takes_little_memory_however_large_it_is(
    router: Router, models: tuple[Model, Model]
) -> None:
    await fall_asleep(router, models[0])
    before = await allocated(router)
    async with aiohttp.ClientSession() as session, large_channel(router) as stub:
        url, large = f"{router.url}/v2/models/digits/infer", bytes(LARGE)
        request = service_pb2.ModelInferRequest(model_name="digits", raw_input_contents=[large])
        sent = [session.post(url, data=io.BytesIO(large)) for _ in range(10)]
        tasks = [asyncio.ensure_future(each) for each in sent]
        calls = [stub.ModelInfer(request) for _ in range(10)]
        await until("all of them wait", lambda: waiting(router, 20))
        await until("Envoy takes no more", lambda: rests(router))
        assert await allocated(router) - before < 20 * MOST_BYTES

        for each in [*tasks, *calls]:
            each.cancel()
        # A channel that is closed over calls which have not ended waits for the end of their hold.
        await asyncio.gather(*tasks, *calls, return_exceptions=True)
        await until("what came over HTTP/2 gives its places back", lambda: waiting(router, 10))


LARGE = 16 * 2**20
MOST_BYTES = 2.5 * HELD_BYTES
"""Of one that waits: a connection's buffer, a stream's window, and what both are kept in."""


@contextlib.asynccontextmanager
async def large_channel(router: Router) -> AsyncIterator[Any]:
    options = [("grpc.max_send_message_length", -1)]
    target = router.url.removeprefix("http://")
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


async def allocated(router: Router) -> int:
    """Return the bytes that Envoy has allocated."""
    connector = aiohttp.UnixConnector(str(router.directory / envoy.ADMIN_SOCKET))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://envoy/memory") as answer,
    ):
        return int((await answer.json())["allocated"])


async def rests(router: Router) -> bool:
    """Return whether Envoy takes nothing for a moment."""
    before = await allocated(router)
    await asyncio.sleep(0.5)
    return abs(await allocated(router) - before) < 2**16
