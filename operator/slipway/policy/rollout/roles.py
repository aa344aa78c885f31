"""Who serves, who shall, and what replicas are decided by."""

from dataclasses import dataclass

from slipway.api.modeldeployment import CapacityStatus


@dataclass(frozen=True, slots=True)
class Roles:
    """Who serves, who shall, and how much of the traffic that one gets next."""

    stable: str | None
    candidate: str | None
    next_weight: int = 100
    capacity: CapacityStatus | None = None
    """The places that both share; None: the candidate's are beside stable's."""
    may_drain: bool = True
    """A replica of stable may go for one of the candidate: nobody holds the rollout."""
    is_stable_down: bool = False
    """Stable has had no ready replica for a while: its pods may be on a lost node."""
