"""Leader election on a Lease, with a fence for writes.

Times are measured on this machine's own clock, from when a change was seen: clocks of different
machines are never compared. A holder that cannot renew stops writing well before another replica
may take over: the write window plus one request's timeout is shorter than the lease.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from slipway.errors import ChangedUnderneath, ConflictError, DependencyError, FencedError

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


def monotonic() -> float:
    """Return seconds on a clock that also counts while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The Lease as stored."""

    holder: str
    """Empty: the Lease was released."""
    duration_seconds: float
    acquired: datetime
    renewed: datetime
    transitions: int
    version: str = ""
    """resourceVersion; empty in a record that is not stored yet."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """In seconds; see `slipway.settings.Lease`."""

    duration: float = 15.0
    renew: float = 2.0
    write_window: float = 7.0


class LeaseStore(Protocol):
    """Where the Lease is stored."""

    async def read(self) -> LeaseRecord | None:
        """Return the Lease; None where it does not exist. Raises DependencyError."""

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease. Raises ConflictError where it exists, DependencyError."""

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Replace the version in `record`. Raises ChangedUnderneath, DependencyError."""


class Elector:
    """Tries to hold the Lease, and says whether this process may write."""

    def __init__(
        self,
        store: LeaseStore,
        *,
        identity: str,
        times: LeaseTimes,
        now: Callable[[], float] = monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._identity = identity
        self._times = times
        self._now = now
        self._wall = wall

        self._record: LeaseRecord | None = None
        """As last read or written."""
        self._changed_at = now()
        """When `_record` was seen to change: a holder that is alive renews it."""
        self._renewed_at: float | None = None
        """None: the Lease is not ours."""
        self._leading_since = now()
        self._released = False

        self._ticked_at = now()
        self._answered_since: float | None = None
        self.leading = asyncio.Event()
        """Set while the Lease is ours."""

    @property
    def epoch(self) -> str:
        """Name of this leadership; no earlier one has the same."""
        transitions = self._record.transitions if self._record else 0
        return f"{transitions}.{self._identity}"

    @property
    def age(self) -> float:
        """Seconds since the last tick; they grow where the election is stuck."""
        return self._now() - self._ticked_at

    @property
    def leading_for(self) -> float:
        """Seconds since the Lease became ours; 0: it is not."""
        return self._now() - self._leading_since if self.leading.is_set() else 0.0

    @property
    def answered_for(self) -> float:
        """Seconds for which the API server has answered every request; 0: the last one failed."""
        return self._now() - self._answered_since if self._answered_since is not None else 0.0

    def may_write(self, now: float | None = None) -> bool:
        """Return whether a write may start: we hold the Lease and renewed it recently."""
        if self._renewed_at is None or self._released:
            return False
        at = self._now() if now is None else now
        return at - self._renewed_at <= self._times.write_window

    def ensure_may_write(self) -> None:
        """Return where a write may start.

        Raises:
            FencedError: the Lease is not ours, or was not renewed recently enough.

        """
        if not self.may_write():
            raise FencedError(f"Lease not renewed in the last {self._times.write_window:g} s")

    async def run(self) -> None:
        """Take part in the election until cancelled."""
        while True:
            seconds = self._times.renew if await self.tick() else self._retry_seconds()
            await asyncio.sleep(seconds)

    async def tick(self) -> bool:
        """Read, take or renew the Lease once; return whether the API server answered."""
        try:
            await self._renew_or_acquire()
        except (DependencyError, ConflictError) as error:
            log.warning("lease request failed: %s", error)
            self._answered_since = None
            self._step_down_if_expired()
            return False
        finally:
            self._ticked_at = self._now()

        if self._answered_since is None:
            self._answered_since = self._now()
        return True

    async def release(self) -> None:
        """Stop writing and let another replica take over at once; for the end of the process."""
        held = self._record if self._renewed_at is not None else None
        self._released = True
        self._step_down("the Lease was released")
        if held is None:
            return

        try:
            await self._store.replace(
                replace(held, holder="", duration_seconds=1, renewed=self._wall())
            )
        except (DependencyError, ConflictError) as error:
            log.warning("lease not released; it will expire: %s", error)

    async def _renew_or_acquire(self) -> None:
        if self._released:
            return

        if self._renewed_at is not None and self._record is not None:
            try:
                await self._write(replace(self._record, renewed=self._wall()))
            except ChangedUnderneath:
                log.info("lease was changed by another process; reading it again")
            else:
                return

        await self._read_and_acquire()

    async def _read_and_acquire(self) -> None:
        found = await self._store.read()
        if found is None:
            await self._write(self._new_claim(transitions=0))
            return

        self._remember(found)
        if found.holder == self._identity:  # a write whose answer was lost
            await self._write(replace(found, renewed=self._wall()))
            return

        holder = f"held by {found.holder}" if found.holder else "free"
        self._step_down(f"the Lease is {holder}")
        if not found.holder or self._has_expired(found):
            await self._write(self._new_claim(found.transitions + 1, found.version))

    async def _write(self, record: LeaseRecord) -> None:
        began = self._now()  # the renewal counts from before it was sent
        if record.version:
            stored = await self._store.replace(record)
        else:
            stored = await self._store.create(record)
        if self._released:  # meanwhile
            return

        self._remember(stored)
        self._renewed_at = began
        if not self.leading.is_set():
            log.info("started leading", extra={"epoch": self.epoch})
            self._leading_since = began
            self.leading.set()

    def _new_claim(self, transitions: int, version: str = "") -> LeaseRecord:
        wall = self._wall()
        return LeaseRecord(self._identity, self._times.duration, wall, wall, transitions, version)

    def _remember(self, record: LeaseRecord) -> None:
        if self._record is None or record.version != self._record.version:
            self._changed_at = self._now()
        self._record = record

    def _has_expired(self, record: LeaseRecord) -> bool:
        return self._now() - self._changed_at > record.duration_seconds

    def _step_down_if_expired(self) -> None:
        held = self._renewed_at
        if held is not None and self._now() - held > self._times.duration:
            self._step_down("the Lease was not renewed in time")

    def _step_down(self, why: str) -> None:
        self._renewed_at = None
        if self.leading.is_set():
            log.warning("stopped leading: %s", why)
            self.leading.clear()

    def _retry_seconds(self) -> float:
        return min(self._times.renew, RETRY_SECONDS)
