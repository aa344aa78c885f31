"""From the answers of a Prometheus server to the reading of one metric.

What is not sound becomes a `Why`: it holds the weight, and it never counts against the candidate.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from slipway.api.modeldeployment import Metric
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.external.answer import (
    Answer,
    Labels,
    counters_by_bin,
    counters_by_labels,
    single_number,
)
from slipway.policy.analysis.inputs import Binned, Count, Counted, Reading, Valued
from slipway.policy.statistics.drift import MOST_BINS

MOST_SOURCES = 16
"""Series of one counter; what is known of each has to fit into a memory of 2 KiB."""
SLACK = 5
"""Events by which `bad` may be ahead of `total`, since they are read one after the other."""


def read_answers(metric: Metric, answers: Sequence[Answer]) -> Reading:
    """Return what the answers to `build_queries` mean."""
    source = f"Prometheus {metric.provider}"
    if metric.drift is not None:
        return _read_bins(answers, metric.drift.label, source)
    if metric.prometheus is not None and metric.prometheus.bad is not None:
        return _read_counters(answers, source)
    return _read_numbers(answers, source, needs_stable=metric.max_increase is not None)


def pair_counters(bad: Answer, total: Answer) -> Mapping[str, Count] | Why:
    """Return pairs of counters by source; both must know the same sources."""
    totals, bads = (counters_by_labels(answer, MOST_SOURCES) for answer in (total, bad))
    if isinstance(totals, Why):
        return totals
    if isinstance(bads, Why):
        return bads
    if bads.keys() != totals.keys():
        text = "bad and total return different series; add `or 0 * <total>` to bad"
        return Why(Reason.SERIES_MISSING, text)

    pairs = {}
    for labels, requests in totals.items():
        events = bads[labels]
        if events > requests + max(SLACK, 0.01 * requests):
            return Why(Reason.BAD_EXCEEDS_TOTAL, "bad counts more events than total")
        pairs[_short_name(labels)] = Count(round(requests), min(round(events), round(requests)))
    return pairs


def name_source(why: Why, source: str) -> Why:
    """Return the same reason, with the source and the revision that it is about."""
    return why.with_message(f"{source}: {why.message}")


def _read_bins(answers: Sequence[Answer], label: str, source: str) -> Reading:
    candidate, stable = (counters_by_bin(answer, label, MOST_BINS) for answer in answers)
    if isinstance(candidate, Why):
        return name_source(candidate, f"{source}, about the candidate")
    if isinstance(stable, Why):
        return name_source(stable, f"{source}, about stable")
    return Binned(candidate, stable)


def _read_counters(answers: Sequence[Answer], source: str) -> Reading:
    candidate, stable = (pair_counters(*answers[at : at + 2]) for at in (0, 2))
    if isinstance(candidate, Why):
        return name_source(candidate, f"{source}, about the candidate")
    if isinstance(stable, Why):
        return name_source(stable, f"{source}, about stable")
    return Counted(candidate, stable)


def _read_numbers(answers: Sequence[Answer], source: str, *, needs_stable: bool) -> Reading:
    candidate, stable = (single_number(answer) for answer in answers)
    if isinstance(candidate, Why):
        return name_source(candidate, f"{source}, about the candidate")
    if not isinstance(stable, Why):
        return Valued(candidate, stable)
    return name_source(stable, f"{source}, about stable") if needs_stable else Valued(candidate)


def _short_name(labels: Labels) -> str:
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:6]
