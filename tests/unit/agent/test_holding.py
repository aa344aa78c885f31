import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from slipway.agent import holding
from slipway.agent.holding import Gate, Holding
from slipway.agent.holding_metrics import render_holding
from slipway.api.modelroute import Asleep
from slipway.render.envoy import HOLD_REFUSED

from tests.unit.agent.waiting import until

CLOSED = Gate(Asleep(hold_seconds=60), is_open=False)
OPEN = Gate(Asleep(hold_seconds=60), is_open=True)
AWAKE_SOON = Gate(None, is_open=False)


class Clients:
    """Ask as Envoy does, for one request each."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.holding = Holding(self._note)
        self.tasks: list[asyncio.Task[int]] = []
        application = web.Application()
        application.router.add_route("*", "/hold/{route}", self.holding.answer)
        self.client = TestClient(TestServer(application, handler_cancellation=True))

    def _note(self, route: str, _: datetime) -> None:
        self.asked.append(route)

    async def ask(self, route: str = "digits") -> int:
        async with self.client.post(f"/hold/{route}") as answer:
            return answer.status

    def ask_many(self, number: int, route: str = "digits") -> None:
        self.tasks += [asyncio.create_task(self.ask(route)) for _ in range(number)]

    async def waiting(self, number: int, route: str = "digits") -> None:
        await until(f"{number} wait", lambda: self.holding.waiting()[route] == number)

    async def answers(self) -> list[int]:
        return await asyncio.gather(*self.tasks)


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    clients = Clients()
    await clients.client.start_server()
    yield clients
    for task in clients.tasks:
        task.cancel()
    await clients.client.close()


async def test_requests_wait_until_the_gate_opens(clients: Clients) -> None:
    clients.holding.follow({"digits": CLOSED})
    clients.ask_many(3)
    await clients.waiting(3)
    clients.holding.follow({"digits": OPEN})
    assert await clients.answers() == [200, 200, 200]
    assert clients.holding.held == {"digits": 3}


async def test_who_asks_first_is_told_once(clients: Clients) -> None:
    clients.holding.follow({"digits": CLOSED})
    assert clients.holding.report("digits").asked_at is None
    clients.ask_many(3)
    await clients.waiting(3)
    assert clients.asked == ["digits"]
    assert clients.holding.report("digits").asked_at is not None


async def test_a_request_that_finds_a_replica_keeps_the_model_awake(clients: Clients) -> None:
    clients.holding.follow({"digits": OPEN})
    assert await clients.ask() == 200
    assert clients.asked == ["digits"]


async def test_the_next_sleep_asks_again(clients: Clients) -> None:
    clients.holding.follow({"digits": OPEN})
    await clients.ask()
    clients.holding.follow({})
    assert await clients.ask() == 200
    clients.holding.follow({"digits": OPEN})
    assert clients.holding.report("digits").asked_at is None
    await clients.ask()
    assert clients.asked == ["digits", "digits"]


async def test_one_that_wakes_asks_for_nothing_more(clients: Clients) -> None:
    clients.holding.follow({"digits": AWAKE_SOON})
    assert await clients.ask() == 200
    assert clients.asked == []


async def test_an_agent_that_has_just_started_lets_nothing_pass(clients: Clients) -> None:
    clients.ask_many(1)
    await asyncio.sleep(0.02)
    assert not clients.tasks[0].done()
    clients.holding.follow({"digits": CLOSED})
    await clients.waiting(1)
    clients.holding.follow({"digits": OPEN})
    assert await clients.answers() == [200]


async def test_too_many_of_one_route_are_refused(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST_OF_ROUTE", 2)
    clients.holding.follow({"digits": CLOSED, "other": CLOSED})
    clients.ask_many(2)
    await clients.waiting(2)
    assert await clients.ask() == HOLD_REFUSED
    clients.ask_many(1, "other")
    await clients.waiting(1, "other")


async def test_too_many_of_all_routes_are_refused(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST_OF_ALL", 2)
    clients.holding.follow({"digits": CLOSED, "other": CLOSED})
    clients.ask_many(2)
    await clients.waiting(2)
    assert await clients.ask("other") == HOLD_REFUSED
    assert clients.holding.refused == {("other", "too_many"): 1}


async def test_a_wait_that_is_over_is_refused_and_counted(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(Asleep.model_construct(hold_seconds=0), is_open=False)
    monkeypatch.setattr(holding, "RETRY_AFTER_SECONDS", 7)
    clients.holding.follow({"digits": gate})
    async with clients.client.post("/hold/digits") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (HOLD_REFUSED, "7")
    assert 'hold_refused_total{route="digits",reason="too_long"} 1' in render_holding(
        clients.holding
    )


async def test_who_goes_gives_the_place_back(clients: Clients) -> None:
    clients.holding.follow({"digits": CLOSED})
    clients.ask_many(2)
    await clients.waiting(2)
    clients.tasks.pop().cancel()
    await clients.waiting(1)


def test_without_a_model_that_sleeps_there_are_no_numbers() -> None:
    assert render_holding(Holding(lambda _route, _at: None)) == ""
