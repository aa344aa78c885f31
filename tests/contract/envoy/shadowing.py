"""A router that copies requests, and what its comparer counted."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from slipway.agent.admin import Admin
from slipway.api.pairs import RouteCopies, RoutePairs
from slipway.render import envoy

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.unit.agent.waiting import until

MOST_BYTES = 1_048_576
TURN = 5
"""Requests, far below what Envoy has under way to the comparer."""


async def order_copies(router: Router, **more: Any) -> None:
    """Order a shadow, start a comparer, and wait until requests are copied."""
    seconds = more.pop("timeoutSeconds", 0)
    shadow = {"revision": CANDIDATE, "maxPairsPerSecond": 1000, "maxBodyBytes": MOST_BYTES, **more}
    router.ask({STABLE: 100, CANDIDATE: 0}, shadow=shadow, timeoutSeconds=seconds)
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    router.start_comparer()
    await until("requests are copied", lambda: is_copying(router))


async def is_copying(router: Router) -> bool:
    """Return whether Envoy runs a route file that has requests copied."""
    written = json.loads((router.directory / envoy.ROUTES_FILE).read_bytes())
    admin = Admin(router.directory / envoy.ADMIN_SOCKET)
    observed = await admin.observe()
    await admin.close()
    is_run = observed.versions.get(envoy.ROUTES_FILE) == written["version_info"]
    return is_run and "typed_per_filter_config" in json.dumps(written)


async def ask_in_turns(router: Router, count: int, ask: Callable[[int], Awaitable[object]]) -> None:
    """Ask a number of times, each turn when the comparer has taken the copies of the one before.

    It may hold few copies that it has not come to yet, and on a busy machine it comes to them late:
    what is beyond those is dropped, as it should be, and is no pair.
    """
    for asked in range(0, count, TURN):
        turn = range(asked, min(asked + TURN, count))
        for number in turn:
            await ask(number)

        async def are_taken(end: int = turn.stop) -> bool:
            return (await copies_of(router)).taken == end

        await until(f"{turn.stop} copies are taken", are_taken)


async def pairs_of(router: Router) -> RoutePairs | None:
    return next(iter((await router.pairs()).entries("digits")), None)


async def copies_of(router: Router) -> RouteCopies:
    return next(iter((await router.pairs()).copies))


async def until_pairs(router: Router, count: int) -> RoutePairs:
    """Wait for so many pairs and return them."""

    async def there() -> bool:
        found = await pairs_of(router)
        return found is not None and found.outcomes.total >= count

    try:
        await until(f"{count} pairs", there)
    except AssertionError as error:
        raise AssertionError(f"{error}: {await router.pairs()}") from error
    found = await pairs_of(router)
    assert found is not None
    return found
