"""A decision in the making, with the facts and the time that it rests on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.modeldeployment import ModelDeploymentSpec, Stage, Step
from slipway.api.reasons import Reason, Why
from slipway.api.times import from_wire
from slipway.policy.decision import DONE, Decision, Event
from slipway.policy.facts import Facts, RevisionFact
from slipway.policy.ladder import find_deadline, list_steps
from slipway.policy.rollout_memory import RolloutMemory
from slipway.records import replace

IN_TRAFFIC = frozenset({Stage.PROGRESSING, Stage.BAKING})
"""Stages in which the candidate may have traffic, and is judged."""
ROUTED = IN_TRAFFIC | {Stage.SHADOWING}
"""Stages in which the router knows the candidate's pods, whatever its weight."""
STABLE_DOWN_AFTER = timedelta(seconds=30)
"""Stable without a ready replica for this long is an outage that a candidate may repair."""
SAFETY_POLL = timedelta(seconds=5)
"""What is waited for arrives as an event; this is the safety net."""
DRAIN_POLL = timedelta(seconds=1)
"""While a revision drains: requests that end are no event."""
ACKNOWLEDGED_WITHIN = timedelta(seconds=60)
"""A proxy that is silent for 30 s is replaced, and its successor starts."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision in the making; every step of the state machine returns a new one."""

    decision: Decision
    facts: Facts
    now: datetime
    is_retried: bool = False
    """The action `retry` was carried out in this pass: no back-off is left."""

    @property
    def memory(self) -> RolloutMemory:
        """What the next pass will find."""
        return self.decision.memory

    @property
    def spec(self) -> ModelDeploymentSpec:
        """What the user asks for."""
        return self.facts.spec

    @property
    def stable(self) -> str | None:
        """The revision that serves."""
        return self.decision.stable

    @property
    def candidate(self) -> str:
        """The revision that is rolled out; empty without one."""
        return self.decision.candidate or ""

    @property
    def stable_revision(self) -> RevisionFact | None:
        """The revision that serves, as its ControllerRevision has it."""
        return self.facts.revisions.get(self.stable or "")

    @property
    def candidate_revision(self) -> RevisionFact | None:
        """The revision that is rolled out, as its ControllerRevision has it."""
        return self.facts.revisions.get(self.candidate)

    @property
    def written_weight(self) -> int:
        """The weight that the router was asked to give the candidate, in percent."""
        return self.facts.written_weight(self.decision.candidate)

    @property
    def places(self) -> int | None:
        """Places that both revisions share; None: the candidate's are beside stable's."""
        capacity = self.memory.capacity
        return capacity.places if capacity is not None else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of this rollout, before the bake."""
        return list_steps(self.spec.rollout, self.memory.schedule, self.places)

    @property
    def deadline_seconds(self) -> int:
        """Active time that this rollout has, in seconds."""
        return find_deadline(self.spec.rollout, self.memory.schedule)

    @property
    def is_paused(self) -> bool:
        """Whether the user or the action `pause` holds the rollout."""
        return self.spec.paused or self.memory.paused

    @property
    def is_stable_down(self) -> bool:
        """Whether stable cannot serve, for long enough that the candidate may take over."""
        since = self.memory.stable_down_since
        return since is not None and self.now - since >= STABLE_DOWN_AFTER

    @property
    def can_go_back(self) -> bool:
        """Whether stable has a ready replica that can take the traffic."""
        return self.stable is not None and self.facts.ready(self.stable) > 0

    @property
    def serves_alone(self) -> bool:
        """Whether the candidate answers users, and nothing else could."""
        serves = self.written_weight > 0 and self.facts.ready(self.candidate) > 0
        return serves and not self.can_go_back

    @property
    def goes_back(self) -> bool:
        """Whether the candidate is an earlier revision that a person wants back."""
        hold = self.decision.hold
        wanted = hold.revision if hold is not None else None
        return wanted is not None and wanted == self.decision.candidate

    @property
    def analysis_interval(self) -> timedelta:
        """How often the candidate is looked at."""
        return timedelta(seconds=self.spec.rollout.analysis.interval_seconds)

    def is_asked_again(self, since: datetime | None) -> bool:
        """Return whether a person asked for another attempt at what failed at `since`."""
        if self.is_retried:
            return True
        last = self.decision.last_action
        if since is None or last is None or last.verb != "retry" or last.result != DONE:
            return False
        at = from_wire(last.at)
        return at is not None and at >= since

    def having(self, decision: Decision) -> "Draft":
        """Return the draft of another decision about the same facts."""
        return replace(self, decision=decision)

    def remember(self, memory: RolloutMemory) -> "Draft":
        """Return the draft with another memory for the next pass."""
        return self.having(replace(self.decision, memory=memory))

    def enter(
        self,
        stage: Stage,
        reason: Reason,
        message: str,
        *,
        shown: Stage | None = None,
        requeue_after: timedelta | None = None,
    ) -> "Draft":
        """Return the draft at a stage, with its reason and why in one line.

        `shown` is what people see over it: Paused, AwaitingApproval.
        """
        decision = replace(
            self.decision,
            memory=replace(self.memory, stage=stage),
            stage=shown or stage,
            why=Why(reason, message),
            requeue_after=requeue_after,
        )
        return self.having(decision)

    def requeue(self, after: timedelta) -> "Draft":
        """Return the draft with another time for the next look."""
        return self.having(replace(self.decision, requeue_after=after))

    def stall(self, reason: Reason) -> "Draft":
        """Return the draft with word that a person or a new commit is needed."""
        return self.having(replace(self.decision, stalled=reason))

    def tell(self, reason: Reason, message: str, *, warning: bool = False) -> "Draft":
        """Return the draft with one event more."""
        event = Event(Why(reason, message), warning)
        return self.having(replace(self.decision, events=(*self.decision.events, event)))

    def route(self, weights: dict[str, int]) -> "Draft":
        """Return the draft with these weights for the route; traffic moves, so it is read live."""
        return self.having(replace(self.decision, weights=weights, needs_live_read=True))


@dataclass(frozen=True, slots=True)
class Agreed:
    """Nothing stands against what is about to happen; the draft may have noted an answer."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Held:
    """Something stands against it; the draft says what, and waits or rolls back."""

    draft: Draft


Answer = Agreed | Held
