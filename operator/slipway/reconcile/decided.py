"""What a pass has decided, and on what; every write of the pass follows from it."""

from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api.reasons import Why
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
    """When it was decided."""

    @property
    def namespace(self) -> str:
        """Namespace of the object and of everything that belongs to it."""
        return self.facts.metadata.namespace


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something of a decision was not written."""

    why: Why
    is_secondary: bool = False
    """The decision itself is written; what failed only prepares or cleans up."""

    def as_secondary(self) -> "Trouble":
        """Return the same trouble, for a decision that is written nevertheless."""
        return replace(self, is_secondary=True)
