"""What the tests measure beside what they prove: printed at the end, and written for people."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from slipway.api.modeldeployment import ModelDeploymentStatus, Stage

from tests.kubectl import CLONE
from tests.load.record import Totals

FILE = CLONE / ".e2e/figures.json"
SLOW_SECONDS = 1.0
"""A roll back that took longer is named. One whose operators were killed waits for the next leader;
one to an earlier revision that has no pods waits for those, because capacity comes first."""
CANNOT_SERVE = frozenset({Stage.PACKAGING, Stage.STARTING, Stage.CHECKING})
"""Stages in which an earlier revision has nobody yet who could take the traffic."""


@dataclass(slots=True)
class Figures:
    """Figures of one run."""

    decision_to_zero_seconds: dict[str, float] = field(default_factory=dict)
    """By roll back: from the decision in status to weight 0 at all proxies."""
    ready_to_zero_seconds: dict[str, float] = field(default_factory=dict)
    """By roll back to an earlier revision that had to start first: from its start on."""
    clients: dict[str, Totals] = field(default_factory=dict)
    """By namespace and load: what it counted."""
    failures: dict[str, str] = field(default_factory=dict)
    """By load: what it saw of those that failed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Other times, by what was waited for."""
    notes: dict[str, str] = field(default_factory=dict)
    """Figures that belong together, in words, by what they are of."""
    lost_to_crashes: int = 0
    """Requests that a crashed candidate took along before the proxies had failed over."""
    _starting: dict[str, float | None] = field(default_factory=dict)
    """By roll back whose pods had to start first: when they could serve; None: not yet."""

    def note_rollback(self, name: str, status: ModelDeploymentStatus, came_at: float) -> None:
        """Note the newest rollback of a status that came at a Unix time."""
        back = status.last_rollback
        if back is None:
            return
        key = f"{name}-{back.from_} {back.decided_at}: {back.trigger}"
        stage = status.rollout.stage if status.rollout else Stage.IDLE
        if back.traffic_restored_at is None:
            if stage in CANNOT_SERVE:
                self._starting[key] = None
            elif self._starting.get(key, came_at) is None:
                self._starting[key] = came_at
            return

        decided = datetime.fromisoformat(back.decided_at)
        restored = datetime.fromisoformat(back.traffic_restored_at)
        self.decision_to_zero_seconds[key] = round((restored - decided).total_seconds(), 3)
        ready_at = self._starting.get(key)
        if ready_at is not None:
            self.ready_to_zero_seconds[key] = round(max(0.0, restored.timestamp() - ready_at), 3)

    def note_clients(self, name: str, totals: Totals, failures: str) -> None:
        """Note what a load counted, and its failures in words."""
        self.clients[name] = totals
        self.failures[name] = failures

    def add(self, other: Self) -> None:
        """Take in what another worker measured."""
        self.decision_to_zero_seconds |= other.decision_to_zero_seconds
        self.ready_to_zero_seconds |= other.ready_to_zero_seconds
        self.clients |= other.clients
        self.failures |= other.failures
        self.seconds |= other.seconds
        self.notes |= other.notes
        self.lost_to_crashes += other.lost_to_crashes

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        shown = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return json.dumps(shown, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the figures of a text."""
        found = json.loads(text)
        clients = {name: Totals(**total) for name, total in found.pop("clients").items()}
        return cls(clients=clients, **found)

    def write(self, path: Path = FILE) -> None:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json() + "\n")

    def lines(self) -> list[str]:
        """Return the figures as people read them."""
        times = sorted(self.decision_to_zero_seconds.values())
        shown = ", ".join(f"{seconds:.2f}" for seconds in times) or "none"
        said = [f"decision to weight 0 at all proxies, {len(times)} rollbacks, s: {shown}"]
        said += [
            f"  {seconds:.2f} s{self._describe_start(back)}: {back}"
            for back, seconds in self.decision_to_zero_seconds.items()
            if seconds > SLOW_SECONDS
        ]
        for name, total in self.clients.items():
            said.append(
                f"client {name}: {total.sent:,} requests, {total.lost} lost,"
                f" {total.failed_by_model} failed by the model"
            )
            if total.failed:
                said.append(f"  {self.failures.get(name, '')}")
        said.append(f"lost with a crashed candidate until the fail-over: {self.lost_to_crashes}")
        said += [f"{what}: {seconds:.1f} s" for what, seconds in self.seconds.items()]
        said += [f"{what}: {words}" for what, words in self.notes.items()]
        return said

    def _describe_start(self, back: str) -> str:
        ready = self.ready_to_zero_seconds.get(back)
        return "" if ready is None else f", {ready:.2f} s of them after its pods could serve"
