"""The preflight: one namespace that can be read is enough, half a namespace is none."""

import asyncio
from dataclasses import dataclass, field

from slipway.api.kinds import DEPLOYMENT, POD, Kind
from slipway.errors import Forbidden
from slipway.manager.preflight import Preflight

KINDS = (DEPLOYMENT, POD)
SOON = 0.01


@dataclass
class FakeProber:
    """Rights that come and go."""

    forbidden: set[tuple[Kind, str | None]] = field(default_factory=set)
    looks: int = 0

    async def probe(self, kind: Kind, namespace: str | None) -> None:
        self.looks += 1
        if (kind, namespace) in self.forbidden:
            raise Forbidden(f"cannot list {kind.plural} in {namespace}")

    async def until_looked_again(self) -> None:
        seen = self.looks
        async with asyncio.timeout(10):
            while self.looks < seen + 10:  # noqa: ASYNC110
                await asyncio.sleep(SOON)


def preflight(prober: FakeProber, *namespaces: str, patience: float = SOON) -> Preflight:
    return Preflight(
        prober,
        KINDS,
        namespaces,
        retry_seconds=SOON,
        patience_seconds=patience,
        return_seconds=SOON,
    )


async def test_where_nothing_is_missing_it_starts_at_once() -> None:
    assert await preflight(FakeProber(), "a", "b").wait() == {}
    assert await preflight(FakeProber()).wait() == {}


async def test_it_starts_without_a_namespace_that_is_gone() -> None:
    missing = {(DEPLOYMENT, "gone"), (POD, "gone")}
    assert set(await preflight(FakeProber({*missing}), "gone", "vision").wait()) == missing


async def test_rights_that_come_a_little_late_are_waited_for() -> None:
    prober = FakeProber({(POD, "new")})
    waiting = asyncio.create_task(preflight(prober, "new", "vision", patience=60).wait())
    await prober.until_looked_again()

    assert not waiting.done()

    prober.forbidden.clear()
    assert await waiting == {}


async def test_without_any_whole_namespace_it_waits() -> None:
    for namespaces, forbidden in (
        (("a", "b"), {(POD, "a"), (DEPLOYMENT, "b")}),
        ((), {(POD, None)}),
    ):
        prober = FakeProber(set(forbidden))
        waiting = asyncio.create_task(preflight(prober, *namespaces).wait())
        await prober.until_looked_again()
        assert not waiting.done()
        prober.forbidden.clear()
        assert await waiting == {}


async def test_a_namespace_is_back_when_all_of_it_is() -> None:
    prober = FakeProber({(DEPLOYMENT, "gone"), (POD, "gone")})
    found = preflight(prober, "gone", "vision")
    back = asyncio.create_task(found.until_back(await found.wait()))
    prober.forbidden.remove((POD, "gone"))
    await prober.until_looked_again()

    assert not back.done()

    prober.forbidden.clear()
    await asyncio.wait_for(back, 10)
