"""Requests in the background: a slow answer arrives later, an old one is asked for again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from slipway.adapters.background import FORGOTTEN_SECONDS, BackgroundRequests


@dataclass
class Source:
    """Answers when it is told to; the time is told as well."""

    beside: BackgroundRequests[str] = field(init=False)
    moment: float = 0.0
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.beside = BackgroundRequests(
            patience_seconds=0.01, fresh_seconds=5, now=lambda: self.moment
        )

    async def question(self) -> str:
        self.asked += 1
        number = self.asked
        await self.gate.wait()
        return f"answer {number}"

    async def ask(self) -> str | None:
        return await self.beside.ask("key", self.question)


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    made = Source()
    yield made
    await made.beside.close()


async def until_there(source: Source) -> None:
    source.gate.set()
    for _ in range(100):
        await asyncio.sleep(0)


async def test_a_slow_answer_is_taken_later_and_asked_for_once(source: Source) -> None:
    assert await source.ask() is None
    assert await source.ask() is None

    await until_there(source)
    source.moment = 30

    assert await source.ask() == "answer 1", "it was not picked up yet"
    assert source.asked == 1


async def test_an_answer_is_repeated_while_it_is_fresh(source: Source) -> None:
    source.gate.set()
    assert await source.ask() == "answer 1"

    source.moment = 4
    assert await source.ask() == "answer 1"

    source.moment = 6
    assert await source.ask() == "answer 2"


async def test_an_answer_that_is_never_picked_up_is_forgotten(source: Source) -> None:
    assert await source.ask() is None
    await until_there(source)
    source.moment = FORGOTTEN_SECONDS + 1
    assert await source.ask() == "answer 2"


async def test_a_key_without_a_request_has_no_answer(source: Source) -> None:
    assert source.beside.pick_up("other") is None


async def test_closing_cancels_what_is_under_way() -> None:
    source = Source()
    assert await source.ask() is None
    await source.beside.close()
    assert len(asyncio.all_tasks()) == 1
