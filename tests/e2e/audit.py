"""The API server's own record of writes: what the operator wrote, whatever it says about itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.install.helm import NAMESPACE as SYSTEM

OPERATOR = f"system:serviceaccount:{SYSTEM}:"
LEASE = ("leases", "slipway-operator")


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the API server accepted or refused."""

    verb: str
    resource: str
    namespace: str
    name: str
    at: str
    ended_at: float
    """Unix time of the answer."""

    def __str__(self) -> str:
        return f"{self.at} {self.verb} {self.resource} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class AuditLog:
    """One line of JSON per write, in the order of their ends."""

    path: Path

    def mark(self) -> int:
        """Return the place where the next write will stand."""
        return self.path.stat().st_size

    def writes_of_operator(self, since: int) -> list[Write]:
        """Return what the operator wrote since a mark, beyond its Lease."""
        events = self._events(since)
        ours = (e for e in events if e["user"]["username"].startswith(OPERATOR))
        writes = (_write(event) for event in ours)
        return [write for write in writes if (write.resource, write.name) != LEASE]

    def _events(self, since: int) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n") and OPERATOR.encode() in line:
                    yield json.loads(line)


def _write(event: dict[str, Any]) -> Write:
    about = event.get("objectRef") or {}
    resource = "/".join(filter(None, (about.get("resource", ""), about.get("subresource", ""))))
    return Write(
        verb=event["verb"],
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        at=event["requestReceivedTimestamp"],
        ended_at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
    )
