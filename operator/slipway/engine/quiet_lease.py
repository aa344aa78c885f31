"""A Lease that is written when it changes hands, and only read in between.

Two replicas need renewals, by which the one that waits sees that the other one lives. One replica
needs none, and on a node whose disk wears out a write every two seconds is what an operator at rest
costs most. It still asks: who cannot reach the API server may not write, and one that another
process has taken the Lease from stops.
"""

from dataclasses import replace

from slipway.engine.elector import LeaseRecord, LeaseStore
from slipway.errors import ChangedUnderneath


class QuietLeases:
    """Fits `LeaseStore`, around another one: renewals become reads."""

    def __init__(self, leases: LeaseStore) -> None:
        self._leases = leases
        self._ours: LeaseRecord | None = None
        """As it was stored when it was taken."""

    async def read(self) -> LeaseRecord | None:
        """Return the Lease; None where it does not exist. Raises DependencyError."""
        return await self._leases.read()

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease. Raises ConflictError where it exists, DependencyError."""
        self._ours = await self._leases.create(record)
        return self._ours

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Replace the version in `record`, or see that it is still there where it only renews.

        Raises:
            ChangedUnderneath: another process changed or removed it.
            DependencyError: the API server did not answer.

        """
        if self._ours is None or record != replace(self._ours, renewed=record.renewed):
            self._ours = await self._leases.replace(record)
            return self._ours

        found = await self._leases.read()
        if found is None or found.version != record.version:
            raise ChangedUnderneath("the Lease was changed by another process")
        return self._ours
