"""Before the start: is every kind served, and may it be listed?

A namespace of which some kind may not be listed is left out as a whole: passes over half of what
exists would be wrong. The others start without it, and the process starts anew when it is back,
because only a start fills the cache before the first pass.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from slipway.api.kinds import Kind
from slipway.engine.sweep import Scope
from slipway.errors import SlipwayError

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
"""Between two looks at what is missing."""
PATIENCE_SECONDS = 15.0
"""For rights that are as new as the process, before a namespace is left out."""
BACK_SECONDS = 30.0
"""Between two looks at what was left out."""

Failures = Mapping[Scope, SlipwayError]


class Prober(Protocol):
    """Asks the API server."""

    async def probe(self, kind: Kind, namespace: str | None) -> None:
        """Pass where the kind is served and may be listed. Raises SlipwayError."""


class Preflight:
    """Finds the namespaces that can be worked in."""

    def __init__(
        self,
        prober: Prober,
        kinds: Sequence[Kind],
        namespaces: Iterable[str],
        *,
        look_seconds: float = LOOK_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        back_seconds: float = BACK_SECONDS,
    ) -> None:
        """`namespaces` empty: all, which must be readable as one."""
        self._prober = prober
        self._kinds = kinds
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._look_seconds = look_seconds
        self._patience_seconds = patience_seconds
        self._back_seconds = back_seconds

    async def wait(self) -> Failures:
        """Wait until a namespace can be worked in; return what is missing in the others."""
        began = time.monotonic()
        while failures := await self._look(self._namespaces):
            found = set(self._namespaces) - _namespaces(failures)
            if found and time.monotonic() - began >= self._patience_seconds:
                for (_, namespace), error in failures.items():
                    log.error("namespace %s is left out: %s", namespace, error)
                return failures
            for error in failures.values():
                log.error("cannot start yet: %s", error)
            await asyncio.sleep(self._look_seconds)
        return {}

    async def until_back(self, failures: Failures) -> None:
        """Wait until one of the namespaces that were left out can be worked in."""
        left_out = _namespaces(failures)
        while True:
            await asyncio.sleep(self._back_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            back = left_out - _namespaces(await self._look(left_out))
            if back:
                log.warning("starting anew for %s", ", ".join(sorted(map(str, back))))
                return

    async def _look(self, namespaces: Iterable[str | None]) -> Failures:
        failures: dict[Scope, SlipwayError] = {}
        for namespace in namespaces:
            for kind in self._kinds:
                try:
                    await self._prober.probe(kind, namespace)
                except SlipwayError as error:
                    failures[kind, namespace] = error
        return failures


def _namespaces(failures: Failures) -> set[str | None]:
    return {namespace for _, namespace in failures}
