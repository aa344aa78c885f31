"""Kubernetes events about a ModelDeployment: what the cluster keeps of decisions and actions."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from slipway.cli.kubectl import Kubectl, Manifest
from slipway.cli.wire import load, wire_field

OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something that happened, once or several times."""

    reason: str
    message: str
    type: str = "Normal"
    count: int = 1
    first_at: datetime | None = field(default=None, metadata=wire_field("firstTimestamp"))
    at: datetime | None = field(default=None, metadata=wire_field("lastTimestamp"))
    """The last time."""


def read_events(kubectl: Kubectl, manifest: Manifest) -> tuple[ObjectEvent, ...]:
    """Return the events about this object, not about an earlier one of its name; the newest first.

    Raises:
        CliError: kubectl failed, as where the right to list events is missing.

    """
    metadata = manifest["metadata"]
    selector = f"--field-selector=involvedObject.uid={metadata.get('uid', '')}"
    found = kubectl.json("get", "events", selector, namespace=metadata["namespace"])
    items = found.get("items")
    events = [load(ObjectEvent, item) for item in items] if isinstance(items, list) else []
    return tuple(sorted(events, key=lambda event: event.at or OLDEST, reverse=True))
