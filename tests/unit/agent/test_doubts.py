"""Pods that were ready, that the cluster calls not ready, and that are asked themselves."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from slipway.agent import doubts
from slipway.agent.doubts import Doubts, PodReader, Question
from slipway.agent.endpoints import Endpoint, count_ready, routable_addresses
from slipway.api.protocol import Protocol

from tests.unit.agent.waiting import until

SERVICE, MODEL = "digits-aaaaaaaa", "digits"
MODELS = {SERVICE: MODEL}
ONE, TWO = ("10.0.0.1", 8000), ("10.0.0.2", 8000)


def a_pod(
    host: str = "10.0.0.1", *, ready: bool = True, serving: bool | None = None, ending: bool = False
) -> Endpoint:
    ports = (("http", 8000), ("grpc", 8001))
    serving = ready if serving is None else serving
    return Endpoint(f"pod-{host}", host, ports, ready, serving, ending)


class Bench:
    """The cluster's word about one Service, and pods that answer, do not, or hang."""

    def __init__(self) -> None:
        self.answering = {ONE, TWO}
        self.hanging: set[tuple[str, int]] = set()
        self.asked: list[Question] = []
        self.changes = 0
        self.pauses = asyncio.Semaphore(0)
        self.found: tuple[Endpoint, ...] = ()
        self.doubts = self._doubts()

    def _doubts(self) -> Doubts:
        return Doubts(self._ask, self._note_change, self._pause)

    def restart(self, *inherited: tuple[str, int]) -> None:
        """Begin with another agent, beside an Envoy that has these hosts."""
        self.doubts = self._doubts()
        self.doubts.inherit(inherited)

    def list(self, *pods: Endpoint) -> None:
        self.found = self.doubts.settle({SERVICE: pods}, MODELS)[SERVICE]

    @property
    def routed(self) -> tuple[tuple[str, int], ...]:
        return routable_addresses(self.found, Protocol.HTTP)

    async def answered(self, times: int = 1) -> None:
        before = len(self.asked)
        for _ in range(times):
            self.pauses.release()
        await until("the pods were asked", lambda: len(self.asked) >= before + times)

    async def _ask(self, question: Question) -> bool:
        self.asked.append(question)
        if question.address in self.hanging:
            await asyncio.Event().wait()
        return question.address in self.answering

    def _note_change(self) -> None:
        self.changes += 1

    async def _pause(self, _: float) -> None:
        await self.pauses.acquire()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.doubts.close()


async def test_the_only_pod_keeps_its_requests_while_it_answers(bench: Bench) -> None:
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    assert bench.routed == (ONE,)
    await bench.answered(5)
    bench.list(a_pod(ready=False))
    assert (bench.routed, bench.changes) == ((ONE,), 0)
    assert set(bench.asked) == {Question("pod-10.0.0.1", ONE, MODEL)}


async def test_it_counts_as_not_ready_all_the_same(bench: Bench) -> None:
    """Weights, capacity and holding look at pods that the cluster calls ready."""
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    assert count_ready(bench.found) == 0


async def test_a_pod_that_does_not_answer_gets_no_more_requests(bench: Bench) -> None:
    bench.answering.clear()
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    await until("it is noticed", lambda: bench.changes == 1)
    bench.list(a_pod(ready=False))
    assert bench.routed == ()


async def test_one_that_stops_answering_later_does_not_either(bench: Bench) -> None:
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    await bench.answered(3)
    bench.answering.clear()
    await bench.answered()
    await until("it is noticed", lambda: bench.changes == 1)
    bench.list(a_pod(ready=False))
    assert bench.routed == ()


async def test_once_it_did_not_answer_only_the_cluster_brings_it_back(bench: Bench) -> None:
    bench.answering.clear()
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    await until("it is noticed", lambda: bench.changes == 1)
    bench.answering.add(ONE)
    bench.list(a_pod(ready=False))
    assert (bench.routed, len(bench.asked)) == ((), 1)

    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    assert bench.routed == (ONE,)


async def test_a_pod_that_never_was_ready_gets_no_requests_and_is_not_asked(bench: Bench) -> None:
    bench.list(a_pod(ready=False))
    await asyncio.sleep(0)
    assert (bench.routed, bench.asked) == ((), [])


async def test_a_pod_with_another_address_is_another_pod(bench: Bench) -> None:
    bench.list(a_pod())
    moved = Endpoint("pod-10.0.0.1", "10.0.0.2", (("http", 8000),), False, False, False)
    bench.list(moved)
    assert bench.routed == ()


async def test_a_pod_that_was_unlisted_begins_anew(bench: Bench) -> None:
    bench.list(a_pod())
    bench.list()
    bench.list(a_pod(ready=False))
    assert bench.routed == ()


async def test_a_pod_that_ends_without_serving_gets_no_requests(bench: Bench) -> None:
    """As where a pod is replaced in place, put to sleep, or its model is deleted."""
    bench.list(a_pod())
    bench.list(a_pod(ready=False, serving=False, ending=True))
    await asyncio.sleep(0)
    assert (bench.routed, bench.asked) == ((), [])


async def test_ready_pods_and_ending_ones_that_serve_are_preferred(bench: Bench) -> None:
    doubted = a_pod(ready=False)
    bench.list(a_pod(), a_pod("10.0.0.2"))
    bench.list(doubted, a_pod("10.0.0.2"))
    assert bench.routed == (TWO,)
    bench.list(doubted, a_pod("10.0.0.2", ready=False, serving=True, ending=True))
    assert bench.routed == (TWO,)
    bench.list(doubted)
    assert bench.routed == (ONE,)


async def test_a_pod_that_hangs_beside_a_ready_one_is_known_when_that_one_goes(
    bench: Bench,
) -> None:
    bench.answering = {TWO}
    bench.list(a_pod(), a_pod("10.0.0.2"))
    bench.list(a_pod(ready=False), a_pod("10.0.0.2"))
    await until("it is noticed", lambda: bench.changes == 1)
    bench.list(a_pod(ready=False), a_pod("10.0.0.2", ready=False))
    assert bench.routed == (TWO,)


async def test_a_pod_that_is_ready_again_is_not_asked_any_more(bench: Bench) -> None:
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    await until("it is asked", lambda: len(bench.asked) == 1)
    bench.list(a_pod())
    assert bench.routed == (ONE,)

    bench.pauses.release()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(bench.asked) == 1


async def test_only_pods_of_routes_are_asked(bench: Bench) -> None:
    other = {"somebody-elses": (a_pod(),), SERVICE: ()}
    for pods in (other, other | {"somebody-elses": (a_pod(ready=False),)}):
        assert bench.doubts.settle(pods, MODELS) == {SERVICE: ()}
    await asyncio.sleep(0)
    assert bench.asked == []


async def test_a_route_that_goes_takes_its_questions_with_it(bench: Bench) -> None:
    bench.hanging = {ONE}
    bench.list(a_pod())
    bench.list(a_pod(ready=False))
    await until("it is asked", lambda: len(bench.asked) == 1)
    assert bench.doubts.settle({SERVICE: (a_pod(ready=False),)}, {}) == {}
    bench.list(a_pod(ready=False))
    assert bench.routed == ()


async def test_an_agent_that_restarts_goes_on_with_what_envoy_has(bench: Bench) -> None:
    bench.restart(ONE)
    bench.list(a_pod(ready=False), a_pod("10.0.0.2", ready=False))
    assert bench.routed == (ONE,)


async def test_what_envoy_had_at_the_start_says_nothing_of_pods_that_come_later(
    bench: Bench,
) -> None:
    bench.restart(ONE)
    bench.list()
    bench.list(a_pod(ready=False))
    assert bench.routed == ()


# ── how a pod is asked ──


@pytest.mark.parametrize(
    ("status", "is_ready"),
    [
        pytest.param(200, True, id="ready"),
        pytest.param(400, False, id="the model is not loaded"),
        pytest.param(302, False, id="somebody else has the address"),
        pytest.param(None, False, id="it hangs"),
    ],
)
async def test_a_pod_is_asked_what_the_kubelet_asks_it(
    status: int | None, is_ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "ANSWER_SECONDS", 0.2)
    paths = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        if status is None:
            await asyncio.Event().wait()
        return web.Response(status=status or 500, headers={"Location": "/"})

    application = web.Application()
    application.router.add_get("/v2/models/digits/ready", answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    reader = PodReader()

    try:
        assert await reader.is_ready(Question("a", ("127.0.0.1", port), MODEL)) is is_ready
    finally:
        await reader.close()
        await runner.cleanup()
    assert paths == ["/v2/models/digits/ready"]


async def test_a_pod_that_refuses_the_connection_is_not_ready() -> None:
    reader = PodReader()
    try:
        assert not await reader.is_ready(Question("a", ("127.0.0.1", 9), MODEL))
    finally:
        await reader.close()


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert str(Question("a", ("fd00::1", 8000), MODEL).url) == (
        "http://[fd00::1]:8000/v2/models/digits/ready"
    )
