"""What a pass decided: values only. `slipway.reconcile.execute` turns them into writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from slipway.api.modeldeployment import (
    AfterPromotionStatus,
    HistoryEntry,
    Hold,
    LastAction,
    LastRollback,
    Outcome,
    Rejected,
    SourceStatus,
    Stage,
)
from slipway.api.modelroute import Shadow
from slipway.api.reasons import Reason, Why
from slipway.api.result import PackageResult
from slipway.policy.ends import name_end
from slipway.policy.hook_call import HookCall
from slipway.policy.rollout_memory import RolloutMemory

DONE = "Done"
"""The result of an action that was not refused."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event to be."""

    why: Why
    warning: bool = False

    @property
    def reason(self) -> str:
        """The reason in one CamelCase word."""
        return self.why.reason

    @property
    def message(self) -> str:
        """What happened, in one line."""
        return self.why.message


@dataclass(frozen=True, slots=True)
class Ended:
    """A revision's outcome, to be noted on its ControllerRevision."""

    revision: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole of what should be true after this pass."""

    memory: RolloutMemory
    """The rollout as the next pass should find it; `stage` is the underlying one."""
    stage: Stage
    """The stage as people see it: Paused and AwaitingApproval lie over the underlying one."""
    why: Why | None = None
    """Why it stands there; None: this pass has not decided anything."""
    stable: str | None = None
    candidate: str | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    """Percent by revision, for the route; empty: nothing serves yet."""
    header_revision: str | None = None
    """Revision that the candidate header reaches."""
    shadow: Shadow | None = None
    """Copies of requests that the router is asked for; None: none."""
    asleep: bool = False
    """Requests that find no replica are to be held: nothing runs, or not yet, or soon nothing."""
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
    source: SourceStatus | None = None
    """The last look at the source, or the one that is asked for; None: it was packaged once."""
    after_promotion: AfterPromotionStatus | None = None
    """What stable was in its rollout, while it is watched and after that."""
    last_rollback: LastRollback | None = None
    last_action: LastAction | None = None
    refused_action: LastAction | None = None
    """The newest action that did not count because of its id."""
    stalled: Reason | None = None
    """Why a person or a new commit is needed."""
    events: tuple[Event, ...] = ()
    calls: tuple[HookCall, ...] = ()
    """Hooks to be asked; the answers come with a later pass."""
    requeue_after: timedelta | None = None
    """When to look again, though nothing changes."""
    needs_live_read: bool = False
    """Moves traffic, promotes, rejects or removes: read the API server before it is written."""

    @property
    def reason(self) -> str:
        """The reason in one CamelCase word; empty: nothing was decided."""
        return self.why.reason if self.why is not None else ""

    @property
    def message(self) -> str:
        """Why, in one line; empty: nothing was decided."""
        return self.why.message if self.why is not None else ""


def reason_of_end(
    history: Sequence[HistoryEntry], entry: HistoryEntry, *, is_serving: bool
) -> Reason:
    """Return how a revision ended as the reason that conditions and events give.

    Args:
        history: the whole history, the oldest first.
        entry: one of its entries.
        is_serving: whether there is a stable revision.

    """
    outcomes = [it.outcome.value for it in history]
    name = name_end(outcomes, history.index(entry), is_serving=is_serving)
    return Reason.parse(name, Reason[entry.outcome.name])
