"""What the writes of one pass follow from, and what becomes of one that is refused."""

from dataclasses import dataclass
from datetime import datetime

from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.reconcile.observe import Children


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, and what it was made on."""

    decision: Decision
    facts: Facts
    children: Children
    now: datetime

    @property
    def namespace(self) -> str:
        """Of the object and of everything that belongs to it."""
        return self.facts.metadata.namespace


@dataclass(frozen=True, slots=True)
class Trouble:
    """A write that was refused for good."""

    reason: str
    message: str
    is_beside: bool = False
    """Only what prepares the next revision was refused; all else of the decision is done."""
