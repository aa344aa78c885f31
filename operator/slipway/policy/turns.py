"""Whose turn it is: how many rollouts run at once in a namespace and for a value of a label; pure.

First come, first served. Who runs and who waits, and since when, is in the status of each object,
so that an operator that starts anew finds the same line. A limit counts whoever has a candidate
beside a stable revision. What has to be quick never waits: the way back, a first version, and what
repairs an outage.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from slipway.api.modeldeployment import ModelDeployment
from slipway.api.reasons import Reason
from slipway.api.times import from_wire
from slipway.settings import RolloutLimits

LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one ModelDeployment stands."""

    name: str
    """Namespace and name."""
    limits: Mapping[str, int]
    """What it is limited with, and how many rollouts may run there."""
    runs: bool = False
    waits_since: datetime | None = None
    """None: it does not wait for its turn."""


def find_place(md: ModelDeployment, limits: RolloutLimits) -> Place:
    """Return where a ModelDeployment stands, by its labels and its status."""
    status = md.status
    waits = any(entry.reason == Reason.AWAITING_TURN for entry in status.conditions)
    since = status.rollout.waits_since if status.rollout is not None and waits else None
    return Place(
        name=f"{md.metadata.namespace}/{md.metadata.name}",
        limits=dict(_list_limits(md, limits)),
        runs=status.candidate is not None and status.stable is not None,
        waits_since=from_wire(since),
    )


def describe_wait(mine: Place, others: Sequence[Place]) -> str | None:
    """Return why a rollout may not begin yet, with numbers; None: it may.

    Who came first has its place, also where it waits for another limit: nobody is overtaken for
    ever.
    """
    own = (mine.waits_since or LAST, mine.name)
    for where, most in mine.limits.items():
        running = sum(1 for other in others if other.runs and where in other.limits)
        first = sum(
            1
            for other in others
            if where in other.limits
            and not other.runs
            and other.waits_since is not None
            and (other.waits_since, other.name) < own
        )
        if running + first >= most:
            return (
                f"waiting for its turn: {running} of {most} rollouts are under way {where}, "
                f"{first} came first"
            )
    return None


def _list_limits(md: ModelDeployment, limits: RolloutLimits) -> Iterator[tuple[str, int]]:
    if limits.most_per_namespace:
        yield f"in namespace {md.metadata.namespace}", limits.most_per_namespace
    for limit in limits.most_per_label:
        value = md.metadata.labels.get(limit.label)
        if value is not None:
            yield f"with {limit.label}={value}", limit.most
