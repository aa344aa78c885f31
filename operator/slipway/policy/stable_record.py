"""What stable was before a switch: the measure of a candidate that has all of the traffic since.

There is nothing to compare with at the same moment, so the limit is as wide as that of a promoted
revision (`policy.promotion_watch`): twice what the record bounds, and half a point more.
"""

from datetime import datetime

from slipway.api.counters import Latency
from slipway.api.modeldeployment import StableRecord
from slipway.api.times import to_wire
from slipway.policy.measured_traffic import MeasuredTraffic
from slipway.policy.promotion_watch import LEAST_REQUESTS, find_limit, find_slow

SLOW_FLOOR_MILLIS = 25.0
"""Answers below it are never slow, whatever stable was."""


def record_stable(measured: MeasuredTraffic, now: datetime) -> StableRecord | None:
    """Return what stable was between two readings; None where it answered too few requests."""
    return _make_record(measured.of_stable, measured.latency_of_stable, now)


def record_since_start(measured: MeasuredTraffic, now: datetime) -> StableRecord | None:
    """Return what stable was since the routers started; None where it answered too few requests.

    It takes in whatever went wrong in all that time, so it is the second choice.
    """
    return _make_record(measured.total_of_stable, measured.latency, now)


def _make_record(
    counted: tuple[int, int], latency: Latency | None, now: datetime
) -> StableRecord | None:
    requests, errors = counted
    if requests < LEAST_REQUESTS:
        return None
    errors = min(errors, requests)
    edge, slow = find_slow(latency, requests, floor_millis=SLOW_FLOOR_MILLIS)
    return StableRecord(
        requests=requests, errors=errors, slow_millis=edge, slow=slow, at=to_wire(now)
    )


def limit_errors(record: StableRecord) -> float:
    """Return the share of errors above which a candidate is worse than the record."""
    return find_limit(record.errors, record.requests)


def limit_slow(record: StableRecord) -> float:
    """Return the share of slow answers above which a candidate is worse than the record."""
    return find_limit(record.slow, record.requests)
