"""Which routes are kept from Envoy because it refused them.

Envoy refuses a whole file and does not say which route is to blame. Where one route had changed, it
is that one. Where several had, all go back to what ran before and are written again one at a time.
Pure: what was written and what runs is passed in.
"""

from collections import deque
from collections.abc import Collection, Mapping

from slipway.render.envoy import Route

RECOVERY_LOOKS = 100
"""How many looks at Envoy a recovery from a refusal may take."""


class Quarantine:
    """Remembers refused routes, and the suspects among which the next one is to be found."""

    def __init__(self) -> None:
        self._refused: dict[str, Route] = {}
        self._suspects: deque[str] = deque()
        self._recovery_looks = 0
        """Looks left until Envoy should run again what ran before the refusal. Until then no route
        is blamed: Envoy reads a refused file again whenever a file beside it is replaced."""

    @property
    def is_recovering(self) -> bool:
        """Whether the files must stay as they are until Envoy runs them."""
        return self._recovery_looks > 0

    @property
    def has_suspects(self) -> bool:
        """Whether a route still waits for its turn to be written alone."""
        return bool(self._suspects)

    @property
    def refused(self) -> Collection[str]:
        """The routes that Envoy refused."""
        return self._refused.keys()

    def keep_only(self, routes: Collection[str]) -> None:
        """Forget the routes that are gone."""
        self._suspects = deque(name for name in self._suspects if name in routes)
        self._refused = {name: each for name, each in self._refused.items() if name in routes}

    def may_write(self, route: Route) -> bool:
        """Return whether the route may be written: not refused, and no other suspect before it."""
        if self.is_recovering or self._refused.get(route.name) == route:
            return False
        return route.name not in self._suspects or self._suspects[0] == route.name

    def count_look(self) -> None:
        """Note one more look at Envoy."""
        self._recovery_looks = max(0, self._recovery_looks - 1)

    def end_recovery(self) -> None:
        """Note that Envoy runs all files."""
        self._recovery_looks = 0

    def blame(self, changed: Mapping[str, Route], *, is_certain: bool = True) -> str | None:
        """Begin a recovery, and return the one route that is to blame; None while it is unknown.

        Args:
            changed: what is written and does not run, by route.
            is_certain: whether nothing else was written that Envoy may have refused.

        """
        self._recovery_looks = RECOVERY_LOOKS
        if len(changed) != 1 or not is_certain:
            self._suspects.extend(name for name in changed if name not in self._suspects)
            return None

        ((culprit, route),) = changed.items()
        self._refused[culprit] = route
        self._drop_suspect(culprit)
        return culprit

    def acquit(self, route: str) -> None:
        """Note that Envoy runs the newest version of a route."""
        self._drop_suspect(route)
        self._refused.pop(route, None)

    def _drop_suspect(self, route: str) -> None:
        if route in self._suspects:
            self._suspects.remove(route)
