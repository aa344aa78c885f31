import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from slipway.agent import report
from slipway.agent.report import EffectiveState, ProxyIdentity, Reporter
from slipway.api.base import Manifest
from slipway.api.modelroute import ProxyStatus
from slipway.errors import ClusterUnavailable

from tests.unit.agent.waiting import until

HALF = EffectiveState(2, "abc", {"aaaaaaaa": 50, "bbbbbbbb": 50})


class Writes:
    """An API server's status that can be away."""

    def __init__(self) -> None:
        self.bodies: list[Manifest] = []
        self.away = False
        self.refusals = 0

    async def apply(self, route: str, manifest: Manifest) -> None:
        if self.away:
            self.refusals += 1
            raise ClusterUnavailable("away")
        await asyncio.sleep(0)
        assert manifest["metadata"]["name"] == route
        self.bodies.append(manifest)

    @property
    def entries(self) -> list[Manifest]:
        return [entry for body in self.bodies for entry in body["status"].get("proxies", [{}])]


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    monkeypatch.setattr(report, "RETRY_SECONDS", (0.001,))
    return Writes()


@pytest.fixture
async def reporter(writes: Writes) -> AsyncIterator[Reporter]:
    clock = datetime(2026, 11, 21, 21, 0, 0, 123456, tzinfo=UTC)
    reporter = Reporter(ProxyIdentity("router-0", "pod-uid"), writes.apply, lambda: clock)
    reporter.remember("digits", "route-uid", None)
    yield reporter
    reporter.forget("digits")


async def delivered(writes: Writes, count: int) -> None:
    await until("the entry is written", lambda: len(writes.bodies) >= count)
    await asyncio.sleep(0.005)  # one more than expected would show


async def test_an_entry_is_written_once(reporter: Reporter, writes: Writes) -> None:
    reporter.report("digits", HALF)
    reporter.report("digits", HALF)
    await delivered(writes, 1)
    reporter.report("digits", HALF)
    await delivered(writes, 1)

    assert writes.bodies[0]["metadata"] == {"name": "digits", "uid": "route-uid"}
    assert writes.entries == [
        {
            "name": "router-0",
            "uid": "pod-uid",
            "generation": 2,
            "hash": "abc",
            "effectiveWeights": {"aaaaaaaa": 50, "bbbbbbbb": 50},
            "at": "2026-11-21T21:00:00.123Z",
        }
    ]


async def test_while_the_api_server_is_away_only_the_newest_is_kept(
    reporter: Reporter, writes: Writes
) -> None:
    writes.away = True
    reporter.report("digits", HALF)
    await until("writes are refused", lambda: writes.refusals > 1)
    reporter.report("digits", EffectiveState(3, "def", {"aaaaaaaa": 100}))
    before = writes.refusals
    await until("the newest is refused too", lambda: writes.refusals > before + 1)
    writes.away = False
    await delivered(writes, 1)

    assert [entry["generation"] for entry in writes.entries] == [3]


async def test_an_error_keeps_what_is_in_force(reporter: Reporter, writes: Writes) -> None:
    reporter.report("digits", HALF)
    await delivered(writes, 1)
    reporter.report_error("digits", 3, "Envoy refused it")
    await delivered(writes, 2)

    assert writes.entries[1]["generation"] == 2
    assert writes.entries[1]["error"] == "generation 3: Envoy refused it"

    reporter.report("digits", HALF)
    await delivered(writes, 3)

    assert "error" not in writes.entries[2]


async def test_what_was_reported_before_a_restart_is_not_reported_again(
    reporter: Reporter, writes: Writes
) -> None:
    own = ProxyStatus(
        name="router-0",
        uid="pod-uid",
        generation=HALF.generation,
        hash=HALF.hash,
        effective_weights=HALF.effective,
        at="2026-11-21T20:00:00Z",
    )
    reporter.remember("digits", "route-uid", own)
    reporter.report("digits", HALF)
    reporter.report("digits", EffectiveState(3, "def", {"aaaaaaaa": 100}))
    await delivered(writes, 1)

    assert [entry["generation"] for entry in writes.entries] == [3]


async def test_a_leaving_proxy_removes_its_entry(reporter: Reporter, writes: Writes) -> None:
    await reporter.retract()
    assert [body["status"] for body in writes.bodies] == [{}]
