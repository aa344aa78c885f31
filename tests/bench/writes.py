"""What an operator wrote, from the API server's own record."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

AGENT = "slipway-operator/"
LEASE = "leases"
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Write:
    """One write of an operator."""

    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    began: datetime
    ended: datetime


@dataclass
class WriteLog:
    """Reads the audit log as it grows."""

    path: Path
    agent: str = AGENT
    """How the user agent of the operator begins."""
    offset: int = 0
    with_lease: bool = False
    """Whether writes of the operator's Lease count."""

    def new(self) -> list[Write]:
        """Return the operator's writes since the last call."""
        return list(self._new())

    async def until_quiet(self, quiet_seconds: float, deadline_seconds: float) -> list[Write]:
        """Wait until nothing was written for so long, and return what was written until then."""
        writes, began = self.new(), time.monotonic()
        since = began
        while time.monotonic() - since < quiet_seconds:
            if time.monotonic() - began > deadline_seconds:
                raise TimeoutError(f"the operator still writes after {deadline_seconds:g} s")
            await asyncio.sleep(LOOK_SECONDS)
            if more := self.new():
                writes += more
                since = time.monotonic()
        return writes

    def _new(self) -> Iterator[Write]:
        with self.path.open("rb") as log:
            log.seek(self.offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                if self.agent.encode() in line:
                    write = _write(json.loads(line))
                    if self.with_lease or write.resource != LEASE:
                        yield write


def count_by_resource(writes: list[Write]) -> Counter[str]:
    """Count writes by what they were about."""
    return Counter(f"{write.verb} {write.resource} {write.code}" for write in writes)


def _write(event: dict[str, dict[str, str]]) -> Write:
    about = event.get("objectRef") or {}
    resource = "/".join(filter(None, (about.get("resource", ""), about.get("subresource", ""))))
    return Write(
        verb=str(event["verb"]),
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=int(event["responseStatus"]["code"]),
        began=datetime.fromisoformat(str(event["requestReceivedTimestamp"])),
        ended=datetime.fromisoformat(str(event["stageTimestamp"])),
    )
