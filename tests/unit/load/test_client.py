"""The client against a server that behaves as told: no cluster, real sockets."""

import asyncio
import contextlib
import dataclasses
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from tests.load.client import Client
from tests.load.plan import LoadPlan
from tests.load.record import Record, parse_line
from tests.load.senders import HttpSender

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEADLINE_SECONDS = 20.0
MARKER = "PLANTED"


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v2/models/digits/infer", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


async def run_load(
    handler: Handler,
    *,
    seconds: float = 0.3,
    rate: float = 100.0,
    patience: float = 5.0,
    is_considerate: bool = False,
) -> Record:
    """Return the last record of a short load, with the causes of all its records."""
    printed = io.StringIO()
    async with serving(handler) as address:
        plan = LoadPlan(
            address=address,
            model="digits",
            images=[[0.0, 0.5], [1.0, 0.25]],
            marker=MARKER,
            rate=rate,
            seconds=seconds,
            timeout_seconds=patience,
            is_considerate=is_considerate,
        )

        with contextlib.redirect_stdout(printed):
            async with HttpSender(plan) as sender:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await Client(sender, plan).run()

    records = [parse_line(line) for line in printed.getvalue().splitlines()]
    assert records
    assert all(record is not None for record in records)
    last = records[-1]
    assert last is not None
    assert last.last
    assert last.total.sent == sum(record.counts.sent for record in records if record)

    # A load that runs over the end of a second prints more than one record.
    causes = Counter[str]()
    for record in records:
        causes.update(record.causes if record else {})
    return dataclasses.replace(last, causes=dict(causes))


async def answer_well(_request: web.Request) -> web.Response:
    return web.json_response({}, headers={"x-slipway-revision": "aaaa0001"})


async def test_every_request_is_counted_once_and_none_is_lost() -> None:
    seen = 0

    async def count(request: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        body = json.loads(await request.text())
        assert body["inputs"][0]["shape"] == [1, 2]
        return await answer_well(request)

    last = await run_load(count)
    assert last.total.sent == seen > 0
    assert last.total.failed == 0


async def test_a_request_in_flight_at_the_end_is_waited_for() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return await answer_well(request)

    last = await run_load(slow, seconds=0.1)
    assert last.total.sent > 0
    assert (last.in_flight, last.total.failed) == (0, 0)


async def test_a_considerate_client_sends_no_more_than_is_answered() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return await answer_well(request)

    steady = await run_load(slow, seconds=1.5)
    held_up = await run_load(slow, seconds=1.5, is_considerate=True)
    assert steady.total.sent > 100
    assert held_up.total.sent < 50


@pytest.mark.parametrize(
    ("status", "text", "by_model"),
    [
        pytest.param(500, f"{MARKER}: told to", True, id="the marker says that the model failed"),
        pytest.param(500, "boom", False, id="a 500 without the marker is lost"),
        pytest.param(503, "no healthy upstream", False, id="the router's refusal is lost"),
        pytest.param(302, "elsewhere", False, id="a redirect is no answer"),
    ],
)
async def test_every_status_but_2xx_fails(status: int, text: str, by_model: bool) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={"location": "/nowhere"})

    last = await run_load(refuse)
    assert last.total.failed == last.total.sent > 0
    assert last.total.failed_by_model == (last.total.sent if by_model else 0)


async def test_a_redirect_is_not_followed() -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"location": str(request.url)})

    last = await run_load(redirect)
    assert set(last.causes) == {"307 "}


async def test_a_reset_is_a_failure_and_is_not_tried_again() -> None:
    seen = 0

    async def reset(request: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    last = await run_load(reset)
    assert last.total.failed == last.total.sent == seen > 0
    assert last.total.lost == last.total.failed


async def test_a_body_cut_short_is_a_failure() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    last = await run_load(cut)
    assert last.total.failed == last.total.sent > 0


async def test_no_answer_in_time_is_a_failure() -> None:
    never = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    last = await run_load(hang, seconds=0.1, patience=0.2)
    assert last.total.failed == last.total.sent > 0
    assert all("no answer in 0.2 s" in cause for cause in last.causes)


async def test_connections_are_kept_until_the_server_says_close() -> None:
    connections: dict[object, list[int]] = {}
    closed: list[object] = []

    async def serve_five_times(request: web.Request) -> web.Response:
        uses = connections.setdefault(request.transport, [])
        assert request.transport not in closed, "used again after it was told to close"
        uses.append(1)
        response = await answer_well(request)
        if len(uses) == 5:
            response.force_close()
            closed.append(request.transport)
        return response

    last = await run_load(serve_five_times, seconds=0.6)
    assert last.total.failed == 0
    assert closed
    assert max(len(uses) for uses in connections.values()) == 5


async def test_a_stopped_client_ends_before_its_time() -> None:
    printed = io.StringIO()

    async with serving(answer_well) as address:
        plan = LoadPlan(address=address, model="digits", images=[[0.0]], seconds=3600)
        with contextlib.redirect_stdout(printed):
            async with HttpSender(plan) as sender, asyncio.timeout(DEADLINE_SECONDS):
                client = Client(sender, plan)
                running = asyncio.create_task(client.run())
                client.stop()
                await running
    last = parse_line(printed.getvalue().splitlines()[-1])

    assert last is not None
    assert last.last
