"""Kubernetes events, as `kubectl describe` shows them."""

from collections.abc import Callable
from datetime import UTC, datetime

from slipway.adapters.api_errors import is_missing, refusal
from slipway.adapters.connection import JSON, MERGE, Answer, Connection
from slipway.api.base import Manifest
from slipway.api.kinds import EVENT
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

    async def create(self, happening: EventRecord) -> None:
        """Write it. Raises ConflictError where it exists, and other SlipwayErrors."""
        body = self._manifest(happening)
        path = EVENT.path(body["metadata"]["namespace"])
        await self._write("POST", path, body, JSON)

    async def repeat(self, happening: EventRecord, *, by: int, quiet_seconds: float) -> bool:
        """Raise its count, unless it was written in the last `quiet_seconds`."""
        path = EVENT.path(_namespace(happening), happening.name)
        found = await self._connection.request("GET", path)
        if is_missing(found):
            return False
        event = _accepted(found, f"GET {path}").json()
        if self._seconds_since(event.get("lastTimestamp")) < quiet_seconds:
            return True
        count = int(event.get("count") or 1) + by
        await self._write("PATCH", path, {"count": count, "lastTimestamp": self._stamp()}, MERGE)
        return True

    async def _write(self, method: str, path: str, body: Manifest, content_type: str) -> None:
        self._fence()
        answer = await self._connection.request(method, path, body=body, content_type=content_type)
        _accepted(answer, f"{method} {path}")

    def _manifest(self, happening: EventRecord) -> Manifest:
        stamp = self._stamp()
        regarding = happening.regarding
        metadata = regarding["metadata"]
        involved = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": _namespace(happening),
            "uid": metadata.get("uid", ""),
        }

        return EVENT.manifest(
            _namespace(happening),
            happening.name,
            involvedObject=involved,
            type="Warning" if happening.warning else "Normal",
            reason=happening.reason,
            message=happening.message,
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


def _namespace(happening: EventRecord) -> str:
    return str(happening.regarding["metadata"]["namespace"])


def _accepted(answer: Answer, what: str) -> Answer:
    if not answer.is_success:
        raise refusal(answer, what)
    return answer
