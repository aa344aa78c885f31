"""Webhooks over real connections: what each answer means, and which addresses are never called."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slipway.adapters.hooks import Webhooks, is_forbidden
from slipway.api.modeldeployment import Hook
from slipway.errors import FencedError
from slipway.policy.hook_call import HookAnswer, HookCall, Said
from slipway.reconcile.ports import HookSource

from tests.fakes.sources import FakeHooks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WORDS = "words-of-the-answer"


def a_call(url: str, *, seconds: int = 30, tries: int = 0) -> HookCall:
    hook = {"name": "gate", "stage": "Step", "webhook": {"url": url, "timeoutSeconds": seconds}}
    return HookCall(
        id="abc",
        hook=Hook.model_validate(hook),
        namespace="vision",
        name="digits",
        revision="1a2b3c4d",
        version="2",
        attempt=1,
        step=1,
        weight=5,
        tries=tries,
    )


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/gate", handler)
    async with TestServer(application) as server:
        yield str(server.make_url("/gate"))


@asynccontextmanager
async def hooks(allowed: Sequence[str] = ("127.0.0.1",), **options: Any) -> AsyncIterator[Webhooks]:
    source = Webhooks(allowed, **options)
    try:
        yield source
    finally:
        await source.close()


async def answered(source: HookSource, call: HookCall) -> HookAnswer:
    await source.ask(call)
    for _ in range(1000):
        answer = source.answer(call.key)
        if answer is not None:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError("no answer")


def status(code: int) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Location": "/elsewhere"} if code // 100 == 3 else {}
        return web.Response(status=code, text=WORDS, headers=headers)

    return answer


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(10_000):
            await response.write(b" " * 65_536)
    except ConnectionError:
        pass
    return response


@pytest.mark.parametrize(
    ("handler", "said", "reason"),
    [
        pytest.param(status(200), Said.PASSED, "Agreed", id="200"),
        pytest.param(endless, Said.PASSED, "Agreed", id="200 and a body without end"),
        pytest.param(status(409), Said.REJECTED, "HookRejected", id="409"),
        pytest.param(status(202), Said.UNCLEAR, "HTTP202", id="accepted is not agreed"),
        pytest.param(status(302), Said.UNCLEAR, "HTTP302", id="a redirect"),
        pytest.param(status(307), Said.UNCLEAR, "HTTP307", id="a redirect that would post"),
        pytest.param(status(403), Said.UNCLEAR, "HTTP403", id="a gateway that refuses"),
        pytest.param(status(404), Said.UNCLEAR, "HTTP404", id="a path that is not there"),
        pytest.param(status(500), Said.UNCLEAR, "HTTP500", id="a broken hook"),
        pytest.param(slow, Said.UNCLEAR, "Timeout", id="no answer in time"),
    ],
)
async def test_the_status_code_is_the_answer(handler: Handler, said: Said, reason: str) -> None:
    seconds = 1 if reason == "Timeout" else 30
    async with serving(handler) as url, hooks() as source:
        assert await answered(source, a_call(url, seconds=seconds)) == HookAnswer(said, reason)


async def test_a_hook_gets_the_facts_and_no_secret() -> None:
    seen: list[tuple[object, object]] = []

    async def answer(request: web.Request) -> web.Response:
        sent = {"Host", "Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Connection"}
        own = {name: value for name, value in request.headers.items() if name not in sent}
        seen.append((await request.json(), own))
        return web.Response()

    async with serving(answer) as url, hooks() as source:
        await answered(source, a_call(url))
    [(body, headers)] = seen
    assert body == {
        "apiVersion": "slipway.dev/v1alpha1",
        "kind": "HookRequest",
        "id": "abc",
        "hook": "gate",
        "stage": "Step",
        "namespace": "vision",
        "name": "digits",
        "revision": "1a2b3c4d",
        "version": "2",
        "attempt": 1,
        "step": 1,
        "weight": 5,
    }
    assert isinstance(headers, dict)
    assert headers.keys() == {"Idempotency-Key", "User-Agent"}


async def test_the_body_of_an_answer_is_never_repeated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(status(500)) as url, hooks() as source:
        answer = await answered(source, a_call(url))
    assert WORDS not in f"{answer}{caplog.text}"


async def test_a_host_that_is_not_allowed_is_not_called() -> None:
    asked: list[int] = []

    async def answer(_: web.Request) -> web.Response:
        asked.append(1)
        return web.Response()

    async with serving(answer) as url, hooks(()) as source:
        found = await answered(source, a_call(url))
    assert (found.reason, asked) == ("HostNotAllowed", [])


async def test_a_name_that_resolves_to_this_machine_is_not_called() -> None:
    async with serving(status(200)) as url, hooks(("localhost",)) as source:
        found = await answered(source, a_call(url.replace("127.0.0.1", "localhost")))
    assert found == HookAnswer(Said.UNCLEAR, "AddressNotAllowed")


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("168.63.129.16", True),
        ("0.0.0.0", True),
        ("224.0.0.1", True),
        ("64:ff9b::169.254.169.254", True),
        ("64:ff9b::127.0.0.1", True),
        ("64:ff9b:1::169.254.169.254", True),
        ("64:ff9b::100.100.100.200", True),
        ("2002:a9fe:a9fe::1", True),
        ("64:ff9b::93.184.216.34", False),
        ("10.96.0.10", False),
        ("fd12::1", False),
        ("93.184.216.34", False),
    ],
)
def test_names_resolve_to_services_and_not_to_the_machine_or_its_cloud(
    address: str, forbidden: bool
) -> None:
    assert is_forbidden(address) is forbidden


async def test_an_unreachable_hook_gives_no_clear_answer() -> None:
    async with hooks() as source:
        found = await answered(source, a_call("http://127.0.0.1:1/gate"))
    assert found == HookAnswer(Said.UNCLEAR, "Unreachable")


async def test_a_process_that_is_not_the_leader_calls_no_hook() -> None:
    def fence() -> None:
        raise FencedError("not the leader")

    async with serving(status(200)) as url, hooks(fence=fence) as source:
        with pytest.raises(FencedError):
            await source.ask(a_call(url))


@pytest.fixture(params=["real", "fake"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[tuple[HookSource, str]]:
    """Both kinds of source, and the URL of a hook that agrees."""
    if request.param == "fake":
        yield FakeHooks({"gate": [HookAnswer(Said.PASSED, "Agreed")]}), "http://127.0.0.1/gate"
        return
    async with serving(status(200)) as url, hooks() as real:
        yield real, url


async def test_there_is_no_answer_before_the_call(source: tuple[HookSource, str]) -> None:
    asked, url = source
    assert asked.answer(a_call(url).key) is None


async def test_an_answer_stays_with_its_call(source: tuple[HookSource, str]) -> None:
    asked, url = source
    first = await answered(asked, a_call(url))
    await asked.ask(a_call(url))
    assert asked.answer(a_call(url).key) == first == HookAnswer(Said.PASSED, "Agreed")
    assert asked.answer(a_call(url, tries=1).key) is None
