"""Traces of a real Envoy: who decides, what a span says, and a collector that is no good."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from slipway.render import traces

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.contract.envoy.shadowing import order_copies, until_pairs
from tests.contract.traces.collector import Collector, Span
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED, UNTRACED = (f"00-{TRACE}-{CALLER}-{flags}" for flags in ("01", "00"))
BATCH = 512
"""Spans that Envoy sends at once; fewer wait for five seconds."""
MOST_SECONDS = 1.0
"""Of a request to a model that answers at once, on a busy machine."""
START_SECONDS = 30
MOST_BYTES = 20 * 2**20
"""What Envoy may grow by for a collector that takes nothing."""

Start = Callable[..., Awaitable[Router]]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


@pytest.fixture
async def start(
    tmp_path: Path, api: FakeApi, models: tuple[Model, Model], collector: Collector
) -> AsyncIterator[Start]:
    """Start a router that traces as it is told, with all traffic on stable."""
    started = []

    async def start(percent: float, **changes: Any) -> Router:
        values = {"collector": collector.url, "sampling_percent": percent, **changes}
        router = Router(tmp_path, api, **values)
        for model in models:
            model.output = [0.25, 0.75]
            router.serve(model)
        router.ask({STABLE: 100, CANDIDATE: 0})
        started.append(router)
        await router.start()
        return router

    yield start
    for router in started:
        router.stop()


async def ask(router: Router, traceparent: str | None = None, *, count: int = 1) -> None:
    """Send requests that must be answered."""
    headers = {} if traceparent is None else {"traceparent": traceparent}
    load = await send_many(router.url, count, headers)
    assert (load.revisions.total(), load.failures) == (count, Counter())


async def test_the_clients_word_counts_and_the_model_hears_of_what_is_traced_alone(
    start: Start, collector: Collector, models: tuple[Model, Model]
) -> None:
    router, (stable, _) = await start(0), models
    for header in (None, UNTRACED, "no trace", TRACED):
        await ask(router, header)

    await until("the span is there", lambda: bool(collector.spans))
    [span] = collector.spans
    assert (span.trace, span.parent) == (TRACE, CALLER)
    heard = [headers.get("traceparent") for headers in stable.headers_seen]
    assert heard == [None, None, "no trace", f"00-{TRACE}-{span.id}-01"]
    assert (
        span.tags.items()
        >= {
            "service.name": traces.ROUTER_SERVICE,
            "slipway.modeldeployment": "digits",
            "slipway.revision": STABLE,
            "k8s.namespace.name": "vision",
            "http.status_code": "200",
        }.items()
    )


async def test_of_clients_that_say_nothing_the_share_that_was_asked_for_is_traced(
    start: Start, collector: Collector, models: tuple[Model, Model]
) -> None:
    router, (stable, _) = await start(25), models
    count = 2 * BATCH
    await ask(router, UNTRACED, count=count)
    await ask(router, count=count)

    await until("spans are there", lambda: bool(collector.spans))
    await until_quiet(collector)
    assert 0.2 < len(collector.spans) / count < 0.3
    assert len({span.trace for span in collector.spans}) == len(collector.spans)
    assert any("traceparent" not in headers for headers in stable.headers_seen)


async def until_quiet(collector: Collector) -> None:
    """Wait until all spans have come: Envoy sends what it has every five seconds."""
    seen, since = len(collector.spans), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        if len(collector.spans) != seen:
            seen, since = len(collector.spans), time.monotonic()
        return time.monotonic() - since > 6

    await until("no more spans come", is_quiet)


async def test_each_span_says_which_revision_answered(start: Start, collector: Collector) -> None:
    router = await start(100)
    header = {"name": "x-model-candidate", "value": "true"}
    router.ask({STABLE: 50, CANDIDATE: 50}, candidate=CANDIDATE, candidateHeader=header)
    await router.in_force({STABLE: 50, CANDIDATE: 50})

    answered = (await send_many(router.url, BATCH)).revisions
    await until("spans are there", lambda: len(collector.spans) >= BATCH)
    assert Counter(map(revision_of, collector.spans)) == answered
    assert min(answered.values()) > BATCH / 4

    await send_many(router.url, 1, {"traceparent": TRACED, "x-model-candidate": "true"})
    await until("the pinned one is there", lambda: bool(collector.of(TRACE)))
    assert [revision_of(span) for span in collector.of(TRACE)] == [CANDIDATE]


def revision_of(span: Span) -> str:
    return str(span.tags["slipway.revision"])


async def test_copies_are_no_part_of_their_users_trace(
    start: Start, models: tuple[Model, Model], collector: Collector
) -> None:
    router, (stable, candidate) = await start(0, has_comparer=True), models
    await order_copies(router)
    await ask(router, TRACED, count=3)
    await until_pairs(router, 3)

    assert all("traceparent" in headers for headers in stable.headers_seen)
    assert all("traceparent" not in headers for headers in candidate.headers_seen)
    await until("the spans are there", lambda: len(answers_of(collector)) == 3)
    assert {revision_of(span) for span in answers_of(collector)} == {STABLE}


def answers_of(collector: Collector) -> list[Span]:
    """Return the spans of users' requests: below one that is copied is another, of the copy."""
    return [span for span in collector.of(TRACE) if span.parent == CALLER]


async def test_the_log_has_the_trace_that_the_router_began_or_went_on_with(
    start: Start, collector: Collector
) -> None:
    router = await start(100)
    router.ask({STABLE: 100}, access={"log": "Requests"})
    await router.in_force({STABLE: 100})
    for header in (None, TRACED, UNTRACED):
        await ask(router, header)

    def written() -> list[str]:
        return [json.loads(line)["traceId"] for line in router.output() if line.startswith("{")]

    await until("requests are written down", lambda: len(written()) == 3)
    await until("spans are there", lambda: len(collector.spans) == 2)
    begun, went_on, untraced = written()
    assert {begun, went_on} == {span.trace for span in collector.spans}
    assert went_on == untraced == TRACE


@pytest.mark.parametrize("trouble", ["gone", "refuses", "hangs"])
async def test_a_collector_that_is_no_good_costs_no_request_and_has_a_bound(
    start: Start, collector: Collector, trouble: str
) -> None:
    router = await start(100)
    await ask(router, count=BATCH)
    await until("spans are there", lambda: bool(collector.spans))
    size = resident_bytes(router)
    if trouble == "gone":
        await collector.stop()
    collector.status = 503 if trouble == "refuses" else 200
    collector.hangs = trouble == "hangs"

    async with steady_load(router.url) as load:
        await until("many spans are lost", lambda: load.sent > 12 * BATCH)
        async with asyncio.timeout(MOST_SECONDS):
            await ask(router, TRACED)
    assert load.failures == Counter()
    assert resident_bytes(router) - size < MOST_BYTES

    if trouble == "gone":
        await collector.start()
    collector.status, collector.hangs = 200, False
    collector.spans.clear()
    await ask(router, count=BATCH)
    await until("spans come again", lambda: bool(collector.spans))


def resident_bytes(router: Router) -> int:
    assert router.proxy is not None
    status = Path(f"/proc/{router.proxy.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def test_a_router_starts_and_serves_where_the_collector_has_no_address(
    start: Start,
) -> None:
    async with asyncio.timeout(START_SECONDS):
        router = await start(100, collector="http://collector.invalid:4318")
        await ask(router, TRACED)
