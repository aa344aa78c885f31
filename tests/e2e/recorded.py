"""The recorded history of a model: every change of its objects, in the order of their writes.

Watches of several kinds come each in its own time. The API server numbers all writes one after the
other, so the numbers of the objects (`resourceVersion`) put them back into one order.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from slipway.api.base import Manifest
from slipway.api.names import COMPONENT_SERVER, LABEL_COMPONENT, LABEL_OWNER

from tests.cluster.progress import say
from tests.demo.watch import LineWatch
from tests.kubectl import CLONE, Kubectl

LINE = 'jsonpath={.type} {.object}{"\\n"}'
MODEL, ROUTE, DEPLOYMENT, POD = "modeldeployments", "modelroutes", "deployments", "pods"


@dataclass(frozen=True, slots=True)
class Change:
    """An object as it was from a write on."""

    number: int
    """Of the write; others before it have smaller ones."""
    at: float
    """Unix time at which the watch had it."""
    kind: str
    manifest: Manifest = field(repr=False)
    is_gone: bool = False
    """Whether the write removed it."""

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.manifest["metadata"]["name"])


class Recorded:
    """What the watches showed; filled by them, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: dict[tuple[str, str, int], Change] = {}

    def note(self, kind: str, line: str) -> None:
        """Take in a line of a watch; one that was cut when it broke off says nothing."""
        event, _, text = line.partition(" ")
        try:
            manifest: Manifest = json.loads(text)
            number = int(manifest["metadata"]["resourceVersion"])
        except (ValueError, KeyError):
            say(f"a watch of {kind} broke off at {line[-60:]!r}")
            return
        change = Change(number, time.time(), kind, manifest, event == "DELETED")
        with self._lock:
            self._changes.setdefault((kind, change.name, number), change)

    def changes(self) -> list[Change]:
        """Return all changes, in the order of the writes."""
        with self._lock:
            found = list(self._changes.values())
        return sorted(found, key=lambda change: change.number)


def write_changes(changes: list[Change], name: str) -> Path:
    """Write a history for people, one change a line, and return where it lies."""
    file = CLONE / f".e2e/history-{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(asdict(change))}\n" for change in changes))
    return file


@contextmanager
def recording(kubectl: Kubectl, namespace: str, name: str) -> Iterator[Recorded]:
    """Record all that belongs to a ModelDeployment while the body runs."""
    recorded = Recorded()
    own, servers = f"--field-selector=metadata.name={name}", f"{LABEL_OWNER}={name}"
    kinds = {
        MODEL: own,
        ROUTE: own,
        DEPLOYMENT: f"--selector={servers}",
        POD: f"--selector={servers},{LABEL_COMPONENT}={COMPONENT_SERVER}",
    }
    with ExitStack() as stack:
        for kind, chosen in kinds.items():
            words = ("get", kind, "-n", namespace, chosen, "--watch", "--output-watch-events")
            command = kubectl.command(*words, "-o", LINE)
            stack.enter_context(LineWatch(command, partial(recorded.note, kind)))
        yield recorded
