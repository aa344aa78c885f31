"""Orders for the comparer, and the share of each route's requests that Envoy copies to it.

Nothing is copied while the comparer is not there: it shows that it lives by writing its page each
second. Envoy copies no more than the comparer may take: where much more comes in a second than the
order allows, the share is halved until it fits, and doubled again when little comes.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from slipway.agent.admin import Stat
from slipway.agent.desired import DesiredRoute
from slipway.api.modelroute import Shadow
from slipway.api.pairs import Pairs
from slipway.api.shadow_orders import FILE, PAGE_FILE, ShadowOrder, ShadowOrders
from slipway.render.envoy import COPIED_STATS, MILLION

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SILENT_SECONDS = 4.0
"""A comparer whose page is older does not take copies now."""
PERCENT = MILLION // 100
SMALLEST_SHARE = 10
"""In requests of a million."""
TOO_MANY, TOO_FEW = 2.0, 0.75
"""Times the order's limit: above the first the share is halved, below the second doubled."""
STARTED, FAILED = ".streams_started", ".streams_failed"


@dataclass(slots=True)
class Sampling:
    """The share of one route."""

    shadow: Shadow
    per_million: int
    taken: int | None = None
    """Copies when it was last looked; None: not yet."""

    def adapt(self, taken: int, seconds: float) -> None:
        """Choose the share for what came in `seconds`; `taken` counts from the comparer's start."""
        before, self.taken = self.taken, taken
        if before is None or taken < before or seconds <= 0:
            return

        full = self.shadow.percent * PERCENT
        rate = (taken - before) / seconds
        if rate > TOO_MANY * self.shadow.max_pairs_per_second:
            self.per_million = max(SMALLEST_SHARE, self.per_million // 2)
        elif rate < TOO_FEW * self.shadow.max_pairs_per_second:
            self.per_million = min(full, self.per_million * 2)


class Shadows:
    """Keeps the comparer's orders, and knows what Envoy may copy."""

    def __init__(self, proxy: str, directory: Path | None) -> None:
        """Share `directory` with the comparer of the router pod `proxy`; None: there is none."""
        self._proxy = proxy
        self._directory = directory
        self._written: ShadowOrders | None = None
        self._samplings: dict[str, Sampling] = {}
        self._is_alive = False
        self._looked_at = 0.0
        self._ordered = asyncio.Event()

    def follow(self, routes: Iterable[DesiredRoute]) -> None:
        """Write the orders of these routes where they changed."""
        if self._directory is None:
            return
        orders = [order for route in routes if (order := order_of(route)) is not None]
        samplings = {}
        for order in orders:
            known = self._samplings.get(order.route)
            is_same = known is not None and known.shadow == order.shadow
            samplings[order.route] = (
                known
                if known is not None and is_same
                else Sampling(order.shadow, order.shadow.percent * PERCENT)
            )
        self._samplings = samplings

        wanted = ShadowOrders(proxy=self._proxy, orders=orders)
        if wanted != self._written:
            self._write(self._directory / FILE, wanted)
        if orders:
            self._ordered.set()
        else:
            self._ordered.clear()

    @property
    def directory(self) -> str | None:
        """Where the comparer's socket is; None: there is no comparer."""
        return str(self._directory) if self._directory is not None else None

    def per_million(self, route: str) -> int | None:
        """Return the share of a route's requests to copy now; None where it orders no copies."""
        known = self._samplings.get(route)
        if known is None:
            return None
        return known.per_million if self._is_alive else 0

    def page(self) -> Pairs:
        """Return what the comparer counted; an empty page where it wrote none."""
        if self._directory is None:
            return Pairs(proxy=self._proxy)
        try:
            found = Pairs.model_validate_json((self._directory / PAGE_FILE).read_bytes())
            return found.model_copy(update={"proxy": self._proxy})
        except (OSError, ValidationError):
            return Pairs(proxy=self._proxy)

    async def run(self, changed: Callable[[], None]) -> None:
        """Look after the comparer while anything is ordered; call `changed` when a share is."""
        while True:
            await self._ordered.wait()
            if self.look():
                changed()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> bool:
        """See whether the comparer lives, and what it took; return whether any share changed."""
        before = {name: self.per_million(name) for name in self._samplings}
        now = time.time()
        self._is_alive = now - self._written_at() < SILENT_SECONDS
        if self._is_alive:
            taken = {each.name: each.taken for each in self.page().copies}
            for name, each in self._samplings.items():
                each.adapt(taken.get(name, 0), now - self._looked_at)
        self._looked_at = now

        after = {name: self.per_million(name) for name in self._samplings}
        if after != before:
            log.info("copying of a million requests: %s", after)
        return after != before

    def _written_at(self) -> float:
        if self._directory is None:
            return 0.0
        try:
            return (self._directory / PAGE_FILE).stat().st_mtime
        except OSError:
            return 0.0

    def _write(self, path: Path, wanted: ShadowOrders) -> None:
        if wanted.orders:
            hidden = path.with_name(f".{FILE}")
            hidden.write_text(wanted.model_dump_json(by_alias=True))
            hidden.rename(path)
        else:
            path.unlink(missing_ok=True)
        self._written = wanted


def order_of(route: DesiredRoute) -> ShadowOrder | None:
    """Return what is asked of the comparer; None where the route has no shadow."""
    spec = route.spec
    if spec.shadow is None:
        return None
    weighted = [each.revision for each in spec.backends if each.weight > 0]
    return ShadowOrder(
        route=route.name,
        stable=weighted[0] if len(weighted) == 1 else None,
        shadow=spec.shadow,
        timeout_seconds=spec.timeout_seconds,
    )


def count_copies(stats: Iterable[Stat]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return the copies that Envoy began to hand over, and those that it could not, by route."""
    offered: dict[str, int] = {}
    lost: dict[str, int] = {}
    for stat in stats:
        name = str(stat.get("name", ""))
        if not name.startswith(COPIED_STATS) or not stat.get("value"):
            continue
        route = name.removeprefix(COPIED_STATS)
        for suffix, counts in ((STARTED, offered), (FAILED, lost)):
            if route.endswith(suffix):
                counts[route.removesuffix(suffix)] = int(stat["value"])
    return offered, lost
