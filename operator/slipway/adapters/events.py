"""Kubernetes Events, which `kubectl describe` shows."""

from collections.abc import Callable
from datetime import UTC, datetime

from slipway.adapters.api_errors import is_missing, require_success
from slipway.adapters.connection import JSON, MERGE, Connection
from slipway.api.base import Manifest
from slipway.api.kinds import EVENT
from slipway.api.names import API_VERSION, GROUP
from slipway.engine.recorder import EventRecord

COMPONENT = "slipway-operator"


class KubeEvents:
    """Fits `slipway.engine.recorder.EventSink`."""

    def __init__(
        self,
        connection: Connection,
        *,
        fence: Callable[[], None],
        instance: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`instance` is the pod's name."""
        self._connection = connection
        self._fence = fence
        self._instance = instance
        self._now = now

    async def create(self, event: EventRecord) -> None:
        """Write the event. Raises ConflictError where it exists, and other SlipwayErrors."""
        body = self._manifest(event)
        path = EVENT.path(body["metadata"]["namespace"])
        await self._write("POST", path, body, JSON)

    async def repeat(self, event: EventRecord, *, by: int, quiet_seconds: float) -> bool:
        """Raise the event's count, unless it was written in the last `quiet_seconds`."""
        path = EVENT.path(_namespace_of(event), event.name)
        found = await self._connection.request("GET", path)
        if is_missing(found):
            return False

        live = require_success(found, f"GET {path}").json()
        if self._seconds_since(live.get("lastTimestamp")) < quiet_seconds:
            return True

        count = int(live.get("count") or 1) + by
        await self._write("PATCH", path, {"count": count, "lastTimestamp": self._stamp()}, MERGE)
        return True

    async def _write(self, method: str, path: str, body: Manifest, content_type: str) -> None:
        self._fence()
        response = await self._connection.request(
            method, path, body=body, content_type=content_type
        )
        require_success(response, f"{method} {path}")

    def _manifest(self, event: EventRecord) -> Manifest:
        stamp = self._stamp()
        regarding = event.regarding
        metadata = regarding["metadata"]
        involved = {
            "apiVersion": _version_people_ask_by(regarding["apiVersion"]),
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": _namespace_of(event),
            "uid": metadata.get("uid", ""),
        }

        return EVENT.manifest(
            _namespace_of(event),
            event.name,
            involvedObject=involved,
            type="Warning" if event.warning else "Normal",
            reason=event.reason,
            message=event.message,
            count=1,
            firstTimestamp=stamp,
            lastTimestamp=stamp,
            source={"component": COMPONENT},
            reportingComponent=COMPONENT,
            reportingInstance=self._instance,
        )

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _seconds_since(self, stamp: str | None) -> float:
        if not stamp:
            return float("inf")
        return (self._now() - datetime.fromisoformat(stamp)).total_seconds()


def _version_people_ask_by(api_version: str) -> str:
    """`kubectl events --for` shows what names the version that the API server prefers."""
    return API_VERSION if api_version.partition("/")[0] == GROUP else api_version


def _namespace_of(event: EventRecord) -> str:
    return str(event.regarding["metadata"]["namespace"])
