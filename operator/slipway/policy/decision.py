"""What a pass decided: values only. `slipway.reconcile.execute` turns them into writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slipway.api.modeldeployment import (
    HistoryEntry,
    Hold,
    LastAction,
    LastRollback,
    Outcome,
    Rejected,
    RolloutStatus,
    Stage,
)
from slipway.api.result import PackageResult
from slipway.api.times import from_wire
from slipway.policy.hook_call import HookCall

DONE = "Done"
"""The result of an action that was not refused."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event to be."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A revision's outcome, to be noted on its ControllerRevision."""

    revision: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole of what should be true after this pass."""

    memory: RolloutStatus
    """The rollout as the next pass should find it; `stage` is the underlying one."""
    stage: Stage
    """The stage as people see it: Paused and AwaitingApproval lie over the underlying one."""
    reason: str
    """CamelCase, for the conditions."""
    message: str
    """Why, in one line."""
    stable: str | None = None
    candidate: str | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    """Percent by revision, for the route; empty: nothing serves yet."""
    header_revision: str | None = None
    """Revision that the candidate header reaches."""
    replicas: Mapping[str, int] = field(default_factory=dict)
    floors: Mapping[str, int] = field(default_factory=dict)
    """Replicas below which no engine may go, by live revision."""
    package: int | None = None
    """Attempt number of the package Job to create."""
    make_revision: PackageResult | None = None
    """Make a revision of the wanted input with this result."""
    check: int | None = None
    """Attempt number of the check Job to create."""
    outcomes: tuple[Ended, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    hold: Hold | None = None
    last_rollback: LastRollback | None = None
    last_action: LastAction | None = None
    refused_action: LastAction | None = None
    events: tuple[Event, ...] = ()
    stalled: str | None = None
    """Reason for which a person or a new commit is needed."""
    requeue_after: timedelta | None = None
    """None: only when something changes."""
    again: bool = False
    """A person asks just now to try again: no back-off is waited for."""
    calls: tuple[HookCall, ...] = ()
    """Hooks to ask now."""
    waits: bool = False
    """Somebody who was asked holds the weight, or refused."""
    needs_live_read: bool = False
    """Moves traffic, promotes, rejects or removes: look live before it is done."""

    def is_asked_again(self, since: datetime | None) -> bool:
        """Return whether a person asked for another try of what failed at `since`."""
        last = self.last_action
        if self.again or since is None or last is None or last.verb != "retry":
            return self.again
        at = from_wire(last.at)
        return last.result == DONE and at is not None and at >= since
