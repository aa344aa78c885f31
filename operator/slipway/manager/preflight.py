"""Preflight: checks before the start that every kind is served and may be listed.

A namespace where some kind may not be listed is left out as a whole: passes that see half of what
exists would be wrong. The others start without it, and the process restarts when it is back,
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

RETRY_SECONDS = 3.0
"""Between two probes of what is missing."""
PATIENCE_SECONDS = 15.0
"""For permissions that are as new as the process, before a namespace is left out."""
RETURN_SECONDS = 30.0
"""Between two probes of what was left out."""

Failures = Mapping[Scope, SlipwayError]


class Prober(Protocol):
    """Probes the API server."""

    async def probe(self, kind: Kind, namespace: str | None) -> None:
        """Return where the kind is served and may be listed. Raises SlipwayError."""


class Preflight:
    """Finds the namespaces that the operator can work in."""

    def __init__(
        self,
        prober: Prober,
        kinds: Sequence[Kind],
        namespaces: Iterable[str],
        *,
        retry_seconds: float = RETRY_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        return_seconds: float = RETURN_SECONDS,
    ) -> None:
        """`namespaces` empty: all of them, which are probed as one."""
        self._prober = prober
        self._kinds = kinds
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)

        self._retry_seconds = retry_seconds
        self._patience_seconds = patience_seconds
        self._return_seconds = return_seconds

    async def wait(self) -> Failures:
        """Wait until one namespace passes; return what is missing in the others."""
        began = time.monotonic()
        while failures := await self._probe_all(self._namespaces):
            complete = set(self._namespaces) - _failed_namespaces(failures)
            if complete and time.monotonic() - began >= self._patience_seconds:
                for (_, namespace), error in failures.items():
                    log.error("leaving out namespace %s: %s", namespace, error)
                return failures

            for error in failures.values():
                log.error("cannot start yet: %s", error)
            await asyncio.sleep(self._retry_seconds)
        return {}

    async def until_back(self, failures: Failures) -> None:
        """Wait until one of the namespaces that were left out passes."""
        left_out = _failed_namespaces(failures)
        while True:
            await asyncio.sleep(self._return_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            back = left_out - _failed_namespaces(await self._probe_all(left_out))
            if back:
                log.warning("restarting to include %s", ", ".join(sorted(map(str, back))))
                return

    async def _probe_all(self, namespaces: Iterable[str | None]) -> Failures:
        failures: dict[Scope, SlipwayError] = {}
        for namespace in namespaces:
            for kind in self._kinds:
                try:
                    await self._prober.probe(kind, namespace)
                except SlipwayError as error:
                    failures[kind, namespace] = error
        return failures


def _failed_namespaces(failures: Failures) -> set[str | None]:
    return {namespace for _, namespace in failures}
