"""Which written files Envoy runs: in force, refused, or not read yet.

A file is not in force because it was written; only the versions that Envoy itself reports count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from slipway.agent.admin import Observed
from slipway.render.envoy import CLUSTERS_FILE, LISTENERS_FILE, ROUTES_FILE


class FileState(Enum):
    """What became of the files."""

    IN_FORCE = auto()
    PENDING = auto()
    REFUSED = auto()


@dataclass(slots=True)
class RefusedUpdates:
    """Tells new refusals from old ones by Envoy's counters."""

    start: str = ""
    known: dict[str, int] | None = None

    def settle(self, observed: Observed) -> None:
        """Forget the refusals so far."""
        self.start, self.known = observed.start, dict(observed.refused)

    def new_in(self, observed: Observed) -> list[str]:
        """Return the files that were refused since `settle`, or since Envoy's start."""
        known = (self.known or {}) if observed.start == self.start else {}
        return [file for file, count in observed.refused.items() if count > known.get(file, 0)]


def judge_files(
    written: Mapping[str, str], observed: Observed, refusals: RefusedUpdates, *, listeners: bool
) -> tuple[FileState, list[str]]:
    """Return what became of the written files, and which of them Envoy refused.

    Args:
        written: version by file.
        observed: what Envoy reports.
        refusals: those already dealt with.
        listeners: whether any listener is written; without one Envoy reads no route file.

    """
    needed = [CLUSTERS_FILE, LISTENERS_FILE] + ([ROUTES_FILE] if listeners else [])
    behind = [file for file in needed if observed.versions.get(file) != written.get(file)]
    if not behind:
        return FileState.IN_FORCE, []

    refused = [file for file in refusals.new_in(observed) if file in behind]
    return (FileState.REFUSED, refused) if refused else (FileState.PENDING, [])
