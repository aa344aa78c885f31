"""Every copy that is taken becomes a pair, or is dropped and counted with the reason."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as protocol
from slipway.api.modelroute import Shadow
from slipway.api.pairs import DroppedCopies, RouteCopies
from slipway.api.shadow_orders import ShadowOrder
from slipway.comparer import held as bounds
from slipway.comparer import takes as module
from slipway.comparer.ask_candidate import CandidateUnreachable
from slipway.comparer.copied import Copy, Oversized, Part
from slipway.comparer.held import HeldCopies
from slipway.comparer.ledger import Ledger
from slipway.comparer.takes import Takes
from slipway.render.envoy import REVISION_HEADER, ROUTE_HEADER, TOOK_HEADER

from tests.unit.comparer.exchanges import http, part

INFER = "/v2/models/digits/infer"
NOW = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
Messages = list[protocol.ProcessingRequest]


class FakeCandidate:
    """Answers as it is told."""

    def __init__(self, answer: Callable[[], Awaitable[Part]], held: HeldCopies) -> None:
        self._answer = answer
        self._held = held
        self.asked: list[Copy] = []
        self.seconds: list[float] = []
        self.is_asked = asyncio.Event()

    async def ask(self, copy: Copy, *, seconds: float, most_bytes: int) -> Part:
        assert most_bytes >= 1024
        self.asked.append(copy)
        self.is_asked.set()
        self.seconds.append(seconds)
        copy.found = await self._answer()
        self._held.add(copy.found.size)
        return copy.found


class Comparing:
    """Takes with one order, and what they came to."""

    def __init__(
        self, answer: Callable[[], Awaitable[Part]], *, timeout_seconds: int = 0, **shadow: int
    ) -> None:
        self.ledger = Ledger(lambda: NOW)
        order = ShadowOrder(
            route="digits",
            stable="aaaaaaaa",
            shadow=Shadow(revision="bbbbbbbb", **shadow),
            timeout_seconds=timeout_seconds,
        )
        self.ledger.follow([order])
        self.held = HeldCopies()
        self.candidate = FakeCandidate(answer, self.held)
        self.takes = Takes(self.ledger, self.candidate, self.held, lambda: NOW)  # type: ignore[arg-type]

    async def take(self, messages: Messages, *, hangs: bool = False) -> None:
        async def stream() -> AsyncIterator[protocol.ProcessingRequest]:
            for message in messages:
                yield message
            if hangs:
                await asyncio.Event().wait()

        async for _ in self.takes.Process(stream(), None):
            raise AssertionError("Envoy ignores answers")
        await asyncio.gather(*self.takes._pairing, return_exceptions=True)

    @property
    def copies(self) -> RouteCopies:
        return self.ledger.copies()[0]

    @property
    def dropped(self) -> DroppedCopies:
        return self.copies.dropped

    def assert_nothing_is_held(self) -> None:
        assert (self.held.copies, self.held.size, self.copies.active) == (0, 0, 0)


async def agree() -> Part:
    answer = http([1.0])
    answer.headers[TOOK_HEADER] = "3000"
    return answer


def exchange(path: str = INFER, body: bytes = b"{}", route: str = "digits") -> Messages:
    """Return what Envoy hands over of a request and of stable's answer."""
    answer = http([1.0])
    headers = {":status": "200", REVISION_HEADER: "aaaaaaaa", TOOK_HEADER: "2000"}
    return [
        protocol.ProcessingRequest(
            request_headers=head({":method": "POST", ":path": path, ROUTE_HEADER: route})
        ),
        protocol.ProcessingRequest(request_body=protocol.HttpBody(body=body, end_of_stream=True)),
        protocol.ProcessingRequest(response_headers=head(headers)),
        protocol.ProcessingRequest(
            response_body=protocol.HttpBody(body=answer.body, end_of_stream=True)
        ),
    ]


def head(headers: dict[str, str]) -> protocol.HttpHeaders:
    found = protocol.HttpHeaders()
    for name, value in headers.items():
        found.headers.headers.add(key=name, raw_value=value.encode())
    return found


async def test_a_whole_exchange_is_a_pair_with_both_times() -> None:
    comparing = Comparing(agree)
    await comparing.take(exchange())
    (pairs,) = comparing.ledger.pairs()
    assert (pairs.stable, pairs.candidate, pairs.agreed) == ("aaaaaaaa", "bbbbbbbb", 1)
    assert sum(pairs.stable_latency.counts) == sum(pairs.ratios) == 1
    comparing.assert_nothing_is_held()


async def test_the_candidate_is_asked_before_stable_has_answered() -> None:
    comparing = Comparing(agree)
    task = asyncio.create_task(comparing.take(exchange()[:2], hangs=True))
    await comparing.candidate.is_asked.wait()
    assert comparing.candidate.asked[0].request.body == b"{}"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert comparing.dropped.broken == 1
    comparing.assert_nothing_is_held()


async def test_a_request_for_another_route_is_none_of_ours() -> None:
    comparing = Comparing(agree)
    await comparing.take(exchange(route="letters"))
    assert comparing.copies.taken == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/digits/generate",
        "/v2/models/digits/generate_stream",
        "/inference.GRPCInferenceService/ModelStreamInfer",
    ],
)
async def test_a_stream_is_dropped_by_its_path(path: str) -> None:
    comparing = Comparing(agree)
    await comparing.take(exchange(path))
    assert comparing.dropped == DroppedCopies(stream=1)
    comparing.assert_nothing_is_held()


@pytest.mark.parametrize("declared", [True, False])
async def test_a_large_request_is_dropped_whether_it_says_so_or_not(declared: bool) -> None:
    comparing = Comparing(agree, max_body_bytes=1024)
    messages = exchange(body=b" " * 1025)
    if declared:
        messages[0].request_headers.headers.headers.add(key="content-length", raw_value=b"1025")
        del messages[1:]
    await comparing.take(messages)
    assert comparing.dropped == DroppedCopies(size=1)
    comparing.assert_nothing_is_held()


async def test_more_than_the_order_allows_in_a_second_are_dropped() -> None:
    comparing = Comparing(agree, max_pairs_per_second=2)
    for _ in range(5):
        await comparing.take(exchange())
    assert comparing.dropped == DroppedCopies(rate=3)
    assert comparing.ledger.pairs()[0].outcomes.total == 2


async def test_more_bytes_than_may_be_held_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 2000)
    comparing = Comparing(agree)
    await comparing.take(exchange(body=b" " * 3000))
    assert comparing.dropped == DroppedCopies(queue=1)
    comparing.assert_nothing_is_held()


async def test_more_copies_than_may_be_held_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_COPIES", 1)
    comparing = Comparing(agree)
    waiting = asyncio.create_task(comparing.take(exchange()[:2], hangs=True))
    await comparing.candidate.is_asked.wait()
    await comparing.take(exchange())
    assert comparing.dropped == DroppedCopies(queue=1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    comparing.assert_nothing_is_held()


async def test_a_copy_that_gets_too_old_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST_SECONDS", 0.01)
    comparing = Comparing(agree)
    await comparing.take(exchange()[:3], hangs=True)
    assert comparing.dropped == DroppedCopies(age=1)
    comparing.assert_nothing_is_held()


async def test_an_exchange_that_breaks_off_is_dropped() -> None:
    comparing = Comparing(agree)
    await comparing.take(exchange()[:3])
    assert comparing.dropped == DroppedCopies(broken=1)
    comparing.assert_nothing_is_held()


async def test_a_candidate_without_a_pod_is_dropped_and_blamed_for_nothing() -> None:
    async def unreachable() -> Part:
        raise CandidateUnreachable("UH")

    comparing = Comparing(unreachable)
    await comparing.take(exchange())
    assert comparing.dropped == DroppedCopies(unreachable=1)
    assert comparing.ledger.pairs() == []
    comparing.assert_nothing_is_held()


async def test_an_answer_of_the_candidate_that_is_too_large_is_dropped() -> None:
    async def large() -> Part:
        raise Oversized

    comparing = Comparing(large)
    await comparing.take(exchange())
    assert comparing.dropped == DroppedCopies(size=1)


async def test_an_answer_of_stable_that_is_none_is_dropped() -> None:
    comparing = Comparing(agree)
    messages = exchange()
    messages[3].response_body.body = b"no JSON"
    await comparing.take(messages)
    assert comparing.dropped == DroppedCopies(undecodable=1)
    comparing.assert_nothing_is_held()


async def test_an_answer_of_the_candidate_that_is_none_differs() -> None:
    async def garbage() -> Part:
        return part(b"no JSON", **{":status": "200"})

    comparing = Comparing(garbage)
    await comparing.take(exchange())
    (pairs,) = comparing.ledger.pairs()
    assert (pairs.outcomes.ok_ok, pairs.agreed, pairs.disagreed) == (1, 0, 1)
    assert pairs.samples[0].input_digest.startswith("sha256:")


async def test_what_nobody_thought_of_ends_one_copy_and_not_the_comparer() -> None:
    async def surprise() -> Part:
        raise MemoryError

    comparing = Comparing(surprise)
    await comparing.take(exchange())
    assert comparing.dropped == DroppedCopies(undecodable=1)
    comparing.assert_nothing_is_held()


async def test_an_answer_by_the_candidate_itself_makes_no_pair() -> None:
    comparing = Comparing(agree)
    messages = exchange()
    messages[2].response_headers.headers.headers[1].raw_value = b"bbbbbbbb"
    await comparing.take(messages)
    assert comparing.dropped == DroppedCopies(broken=1)


@pytest.mark.parametrize(("given", "seconds"), [(0, 60.0), (5, 5.0), (3600, 60.0)])
async def test_the_candidate_gets_as_long_as_users_wait_and_no_longer_than_a_minute(
    given: int, seconds: float
) -> None:
    comparing = Comparing(agree, timeout_seconds=given)
    await comparing.take(exchange())
    assert comparing.candidate.seconds == [seconds]
