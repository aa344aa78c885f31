"""A router pod that ends, or whose Envoy stands still: what its hooks and probes wait for."""

import asyncio
import signal

import aiohttp
import grpc
from slipway.render.departure import IDLE_PATH
from slipway.render.envoy import LIVE_PATH
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.envoy.harness import Load, Router, send
from tests.contract.envoy.model import Model
from tests.unit.agent.waiting import until


async def test_envoys_hook_waits_for_the_longest_request(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable, _ = models
    stable.delay_seconds = 6.0
    load = Load()
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(send(session, router.url, load))
        await until("the request is with the model", lambda: bool(stable.headers_seen))

        assert await idle_after_sigterm(router) == "nothing is in flight"
        assert load.sent == 1, "Envoy may end while a request is in flight"
        await request
    assert not load.failures


async def test_envoys_hook_waits_for_a_stream(router: Router) -> None:
    async with grpc.aio.insecure_channel(router.url.removeprefix("http://")) as channel:
        stream = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
        message = service_pb2.ModelInferRequest(model_name="digits", id="1")
        await stream.write(message)
        assert (await stream.read()).infer_response.id == "1"

        waiting = asyncio.create_task(idle_after_sigterm(router))
        await until("the pod is ending", lambda: _is_leaving(router))
        for number in range(20):
            message.id = str(number)
            await stream.write(message)
            assert (await stream.read()).infer_response.id == str(number)
            await asyncio.sleep(0.1)
        assert not waiting.done(), "Envoy may end while a stream is open"

        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await waiting == "nothing is in flight"


async def test_an_envoy_that_stands_still_answers_no_probe_and_its_hook_holds_up_nothing(
    router: Router,
) -> None:
    assert router.proxy is not None
    assert await is_alive(router)
    router.proxy.send_signal(signal.SIGSTOP)
    try:
        # A signal stops a process soon, not at once: its worker may answer one probe yet.
        await until("Envoy stands still", lambda: _stands_still(router))
        assert await ask_idle(router) == "the pod is not ending"
    finally:
        router.proxy.send_signal(signal.SIGCONT)
    await until("it answers again", lambda: is_alive(router))


async def idle_after_sigterm(router: Router) -> str:
    """Do as the kubelet: tell the agent that the pod ends, and wait until Envoy may."""
    assert router.agent is not None
    router.agent.send_signal(signal.SIGTERM)
    return await ask_idle(router)


async def ask_idle(router: Router) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{router.agent_port}{IDLE_PATH}") as answer,
    ):
        return (await answer.text()).strip()


async def is_alive(router: Router) -> bool:
    """Ask as the liveness probe does."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(f"http://127.0.0.1:{router.live_port}{LIVE_PATH}") as answer,
        ):
            return bool(answer.status == 200)
    except (TimeoutError, aiohttp.ClientError):
        return False


async def _stands_still(router: Router) -> bool:
    return not await is_alive(router)


async def _is_leaving(router: Router) -> bool:
    return not await router.probe("healthz")
