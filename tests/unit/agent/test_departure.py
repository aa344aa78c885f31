import asyncio
from dataclasses import dataclass

import pytest
from slipway.agent import departure
from slipway.agent.admin import EnvoyGone, EnvoyUnavailable
from slipway.agent.departure import STALLED_SECONDS, Departure
from slipway.render.departure import LEAVE_SECONDS, LONGEST_REQUEST_SECONDS

CUT = f"2 requests took longer than {LONGEST_REQUEST_SECONDS} s"


@dataclass
class Proxy:
    """Envoy's admin interface, and a clock that each look moves by a second."""

    in_flight: int = 0
    answered_after: float = float("inf")
    """Seconds after which nothing is in flight any more."""
    error: Exception | None = None
    answers_from: float = float("inf")
    """Seconds after which there is no error any more."""
    now: float = 1000.0

    async def requests_in_flight(self) -> int:
        self.now += 1.0
        if self.error is not None and self.elapsed < self.answers_from:
            raise self.error
        return self.in_flight if self.elapsed < self.answered_after else 0

    def clock(self) -> float:
        return self.now

    @property
    def elapsed(self) -> float:
        """Seconds since the pod was told to end."""
        return self.now - 1000.0


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(departure, "BEGINS_WITHIN", 0.05)


def leaving(proxy: Proxy) -> Departure:
    found = Departure(proxy, clock=proxy.clock)  # type: ignore[arg-type]
    found.begin()
    return found


async def test_envoy_serves_until_clients_have_moved_away() -> None:
    proxy = Proxy()
    assert await leaving(proxy).wait_idle() == "nothing is in flight"
    assert proxy.elapsed == LEAVE_SECONDS


async def test_a_long_request_is_waited_for() -> None:
    proxy = Proxy(in_flight=1, answered_after=2 * LEAVE_SECONDS)
    assert await leaving(proxy).wait_idle() == "nothing is in flight"
    assert proxy.elapsed == 2 * LEAVE_SECONDS


async def test_a_request_without_end_is_cut() -> None:
    proxy = Proxy(in_flight=2)
    assert await leaving(proxy).wait_idle() == CUT
    assert proxy.elapsed == LONGEST_REQUEST_SECONDS


async def test_nobody_waits_for_an_envoy_that_is_gone() -> None:
    proxy = Proxy(error=EnvoyGone("no socket"))
    assert await leaving(proxy).wait_idle() == "no socket"


async def test_an_envoy_that_is_busy_for_a_moment_is_asked_again() -> None:
    busy = EnvoyUnavailable("no answer")
    proxy = Proxy(in_flight=2, error=busy, answers_from=STALLED_SECONDS / 2)
    assert await leaving(proxy).wait_idle() == CUT


async def test_an_envoy_that_stands_still_is_not_waited_for() -> None:
    proxy = Proxy(in_flight=1, error=EnvoyUnavailable("no answer"))
    assert await leaving(proxy).wait_idle() == "no answer"
    assert proxy.elapsed == STALLED_SECONDS


async def test_where_only_envoy_is_to_end_nobody_waits() -> None:
    proxy = Proxy(in_flight=1)
    found = Departure(proxy, clock=proxy.clock)  # type: ignore[arg-type]
    assert await found.wait_idle() == "the pod is not ending"
    assert not found.has_begun


async def test_envoys_hook_may_come_before_the_agents() -> None:
    proxy = Proxy()
    found = Departure(proxy, clock=proxy.clock)  # type: ignore[arg-type]
    waiting = asyncio.create_task(found.wait_idle())
    await asyncio.sleep(0)
    found.begin()
    assert await waiting == "nothing is in flight"
