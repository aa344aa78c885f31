"""Pages of pairs in memory keep the same contract as those that an agent serves for its comparer.

The real ones are written from the comparer's ledger into a directory, and read over HTTP by the
operator's adapter; that Envoy hands over what is counted is in `tests/contract/envoy`.
"""

import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer as Loopback
from slipway.adapters.router_pairs import AgentPairs
from slipway.agent.holding import Holding
from slipway.agent.server import AgentServer
from slipway.agent.shadows import Shadows
from slipway.api.modelroute import Shadow
from slipway.api.pairs import DifferenceSample, Pairs
from slipway.api.reasons import Why
from slipway.api.shadow_orders import PAGE_FILE, ShadowOrder
from slipway.api.times import to_wire
from slipway.comparer.ledger import Ledger
from slipway.comparer.pair import Difference, Outcome, Verdict

from tests.builders import NOON
from tests.contract.pairs.suite import PairsContract, Pod
from tests.fakes.pairs import FakeComparer, FakePairs, Order

MILLIS = 10_000
"""In microseconds: what stable takes."""


class FakePod:
    """Fits `suite.Pod`."""

    def __init__(self) -> None:
        self._comparer = FakeComparer("router-a")
        self._pairs = FakePairs({"10.0.0.1": self._comparer})
        self._seconds = itertools.count()

    async def give(self, order: Order | None) -> None:
        self._write()
        self._comparer.give(order)

    async def compare(self, pairs: int, **ends: Any) -> None:
        self._write()
        self._comparer.compare(pairs, **ends)

    async def restart(self) -> None:
        self._comparer.restart()

    async def stop(self) -> None:
        self._comparer.is_running = False

    async def read(self) -> Pairs | Why:
        self._write()
        return await self._pairs.read("10.0.0.1")

    async def read_older(self) -> Pairs | Why:
        return await self._pairs.read("10.0.0.2")

    def _write(self) -> None:
        self._comparer.write(NOON + timedelta(seconds=next(self._seconds)))


class AgentPod:
    """Fits `suite.Pod`: agent and ledger, with a page in a directory between them."""

    def __init__(self, directory: Path, source: AgentPairs, older: AgentPairs) -> None:
        self._directory = directory
        self._source, self._older = source, older
        self._now, self._start = NOON, 1
        self._ledger = Ledger(self._time)
        self._order: ShadowOrder | None = None

    async def give(self, order: Order | None) -> None:
        self._order = None
        if order is not None:
            shadow = Shadow(revision=order.candidate)
            self._order = ShadowOrder(route=order.route, stable=order.stable, shadow=shadow)
        self._follow()

    async def compare(
        self,
        pairs: int,
        *,
        worse: int = 0,
        better: int = 0,
        both: int = 0,
        differing: int = 0,
        ratio: float = 1.0,
    ) -> None:
        answered = pairs - worse - better - both
        for number in range(answered):
            agrees = number >= differing
            difference = None if agrees else Difference("differs", "probabilities")
            agreement = {"probabilities": agrees}
            self._settle(Verdict(Outcome.OK, Outcome.OK, agreement, difference), ratio)
        for count, stable, candidate in (
            (worse, Outcome.OK, Outcome.FAILED),
            (better, Outcome.FAILED, Outcome.OK),
            (both, Outcome.FAILED, Outcome.FAILED),
        ):
            for _ in range(count):
                self._settle(Verdict(stable, candidate), ratio)
        self._write()

    async def restart(self) -> None:
        self._start += 1
        self._ledger = Ledger(self._time)
        self._follow()

    async def stop(self) -> None:
        """Nothing writes any more."""

    async def read(self) -> Pairs | Why:
        return await self._source.read("127.0.0.1")

    async def read_older(self) -> Pairs | Why:
        return await self._older.read("127.0.0.1")

    def _settle(self, verdict: Verdict, ratio: float) -> None:
        assert self._order is not None
        route = self._ledger.find(self._order.route)
        assert route is not None
        route.begin()
        tally = route.settle(self._order.stable or "", verdict)
        if tally is None or verdict.agrees is None:
            return
        tally.count_times(MILLIS, round(MILLIS * ratio))
        if not verdict.agrees:
            digest, at = "sha256:" + "0" * 64, to_wire(self._now)
            tally.samples.append(
                DifferenceSample(input_digest=digest, output="probabilities", text="differs", at=at)
            )

    def _follow(self) -> None:
        self._ledger.follow([self._order] if self._order is not None else [])
        self._write()

    def _write(self) -> None:
        page = Pairs(
            proxy="router-a",
            start=str(self._start),
            at=to_wire(self._time()),
            copies=self._ledger.copies(),
            pairs=self._ledger.pairs(),
        )
        (self._directory / PAGE_FILE).write_text(page.model_dump_json(by_alias=True))

    def _time(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


class _Admin:
    """Envoy's counts of copies: none yet."""

    async def copies(self) -> tuple[str, list[Any]]:
        return "1", []


@pytest.fixture
async def agent_pod(tmp_path: Path) -> AsyncIterator[AgentPod]:
    unused: Any = SimpleNamespace(
        why_not_started=None, why_not_healthy=None, why_not_ready=None, clusters=()
    )
    admin: Any = _Admin()
    shadows = Shadows("router-a", tmp_path)
    holding = Holding(lambda _route, _at: None)
    agent = AgentServer(
        "router-a",
        unused,
        admin,
        unused,
        lambda: NOON,
        departure=unused,
        shadows=shadows,
        holding=holding,
    )
    async with Loopback(agent.application()) as newest, Loopback(web.Application()) as older:
        assert newest.port is not None
        assert older.port is not None
        sources = AgentPairs(port=newest.port), AgentPairs(port=older.port)
        yield AgentPod(tmp_path, *sources)
        for source in sources:
            await source.close()


class TestFakePairs(PairsContract):
    """So does the one in memory."""

    @pytest.fixture
    def pod(self) -> Pod:
        return FakePod()


class TestAgentPairs(PairsContract):
    """The real one."""

    @pytest.fixture
    def pod(self, agent_pod: AgentPod) -> Pod:
        return agent_pod
