"""The shares of a candidate that has all of the traffic, against what stable was before the switch.

The same e-processes as everywhere, with a limit that is fixed by the record in place of stable's
requests: `statistics.eprocess.bet_on_above` against the candidate, its mirror image for it. Nothing
answers beside it whose slow second would show that the node was busy, so one spell of slow answers
is no evidence (`statistics.spells`). Errors are: they harm users however short the spell.
"""

from collections.abc import Sequence

from slipway.api.modeldeployment import StableRecord
from slipway.api.reasons import Reason
from slipway.policy.analysis.counter_deltas import FAILED, FIXED
from slipway.policy.analysis.metrics.assessment import BudgetGroup
from slipway.policy.analysis.metrics.share import Open, ShareMetric
from slipway.policy.stable_record import limit_errors, limit_slow
from slipway.policy.statistics.eprocess import Pair

ERRORS, SLOW = "errors", "latency-p99"


def list_shares_by_record(
    record: StableRecord, edges: Sequence[float], is_open: Open, advice: str
) -> list[tuple[int, ShareMetric]]:
    """Return what is compared with the record, each with its column of the counters.

    Slow answers are compared where the record has an edge, and the counters are kept at it.
    """
    errors = ShareMetric(
        ERRORS,
        "errors",
        Reason.ERROR_RATIO,
        BudgetGroup.ERRORS,
        maximum=limit_errors(record),
        before=Pair(n_s=record.requests, k_s=record.errors),
        is_open=is_open,
        advice=advice,
    )
    edge = record.slow_millis
    if edge is None or tuple(edges) != (edge,):
        return [(FAILED, errors)]

    slow = ShareMetric(
        SLOW,
        f"answers over {edge:g} ms",
        Reason.SLOW_RATIO,
        BudgetGroup.SLOW,
        maximum=limit_slow(record),
        counts_spells=True,
        before=Pair(n_s=record.requests, k_s=record.slow),
        is_open=is_open,
    )
    return [(FAILED, errors), (FIXED, slow)]
