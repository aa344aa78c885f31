"""The Lease of the leader election, as an object in the cluster."""

import math
from datetime import datetime

from slipway.adapters.api_errors import is_missing, require_success
from slipway.adapters.connection import TIMEOUT_SECONDS, ApiResponse, Connection
from slipway.api.base import Manifest
from slipway.api.kinds import LEASE
from slipway.engine.elector import LeaseRecord


class KubeLeases:
    """Fits `slipway.engine.elector.LeaseStore`; never fenced, and never delayed by other calls."""

    def __init__(
        self,
        connection: Connection,
        *,
        namespace: str,
        name: str,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name
        self._timeout = timeout_seconds

    async def read(self) -> LeaseRecord | None:
        """Return the Lease; None where there is none. Raises DependencyError."""
        response = await self._send("GET", LEASE.path(self._namespace, self._name))
        return None if is_missing(response) else _parse_lease(response, "GET lease")

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease. Raises ConflictError where it exists, and DependencyError."""
        path = LEASE.path(self._namespace)
        return _parse_lease(await self._send("POST", path, self._manifest(record)), "create lease")

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Replace the given version. Raises ChangedUnderneath and DependencyError."""
        path = LEASE.path(self._namespace, self._name)
        return _parse_lease(await self._send("PUT", path, self._manifest(record)), "replace lease")

    async def _send(self, method: str, path: str, body: Manifest | None = None) -> ApiResponse:
        return await self._connection.request(
            method, path, body=body, timeout_seconds=self._timeout
        )

    def _manifest(self, record: LeaseRecord) -> Manifest:
        metadata = {"resourceVersion": record.version} if record.version else {}
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": math.ceil(record.duration_seconds),
            "acquireTime": _format_micro_time(record.acquired),
            "renewTime": _format_micro_time(record.renewed),
            "leaseTransitions": record.transitions,
        }

        return LEASE.manifest(self._namespace, self._name, metadata=metadata, spec=spec)


def _parse_lease(response: ApiResponse, what: str) -> LeaseRecord:
    manifest = require_success(response, what).json()
    spec = manifest.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=float(spec.get("leaseDurationSeconds") or 1),
        acquired=_parse_time(spec.get("acquireTime")),
        renewed=_parse_time(spec.get("renewTime")),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=manifest["metadata"]["resourceVersion"],
    )


def _format_micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse_time(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "1970-01-01T00:00:00Z")
