"""A mean beside stable's: of the router's latencies, or of sums and counts from elsewhere."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from slipway.api.times import to_wire
from slipway.policy.analysis import wording
from slipway.policy.analysis.memory import MeanMemory, Raw, and_look, load_mean
from slipway.policy.analysis.metrics.assessment import Assessed, Group, Look
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics.mean_windows import EMPTY, Window

DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Mean:
    """What is special about one mean."""

    name: str
    what: str
    fail_reason: str
    group: Group
    role: Role
    limit: Callable[[float], float]
    """The highest mean that is no worse than this one of stable."""
    value: Callable[[float, int], float]
    """From sum and count to the mean; the router sums logarithms."""


def assess_mean(mean: Mean, delta: Window, raw: Raw, look: Look) -> Assessed:
    """Return what a mean says after `delta` more."""
    memory = load_mean(raw) or MeanMemory(lost=int(bool(raw.get("known"))))
    if look.is_new_step:
        memory = replace(memory, step=EMPTY, means=replace(memory.means, open=EMPTY))
    memory = _updated(mean, memory, delta)
    step = memory.step
    candidate = mean.value(step.sum_c, step.n_c) if step.n_c else None
    stable = mean.value(step.sum_s, step.n_s) if step.n_s else None
    limit = mean.limit(stable) if stable is not None else None
    text = f"too few requests for a mean, since {look.base.since:%H:%M:%S}"
    if candidate is not None and stable is not None and limit is not None:
        text = (
            f"{mean.what} {candidate:.4g} over {step.n_c:,} requests beside {stable:.4g} over "
            f"{step.n_s:,} on stable, limit {limit:.4g}, {memory.means.windows} windows, "
            f"since {look.base.since:%H:%M:%S}"
        )
    text += wording.lost(max(memory.lost, look.base.lost))
    judgement = Judgement(
        mean.name,
        "Pass",
        "NothingAgainst",
        text,
        candidate=candidate,
        baseline=stable,
        limit=limit,
        samples=step.n_c,
        baseline_samples=step.n_s,
        role=mean.role,
        since=to_wire(look.base.since),
        looks=memory.looks,
    )
    made = Assessed(
        judgement,
        memory.raw(),
        mean.group,
        memory.means.log_e,
        fail_reason=mean.fail_reason,
        words=text,
    )
    if not step.n_c:
        return made.said("NoData", "NoTraffic", text)
    if not memory.means.windows:
        return made.said("Inconclusive", "TooFewRequests", f"no window is full yet: {text}")
    return made


def _updated(mean: Mean, memory: MeanMemory, delta: Window) -> MeanMemory:
    opened = memory.means.open + delta
    memory = replace(memory, step=memory.step + delta, means=replace(memory.means, open=opened))
    if delta.n_c:
        memory = replace(memory, looks=and_look(memory.looks, mean.value(delta.sum_c, delta.n_c)))
    if not opened.is_full:
        return memory
    candidate = mean.value(opened.sum_c, opened.n_c)
    limit = mean.limit(mean.value(opened.sum_s, opened.n_s))
    emptied = replace(memory.means, open=EMPTY)
    if candidate <= 0 or limit <= 0:
        return replace(memory, means=emptied)
    return replace(memory, means=emptied.observed(math.log(candidate / limit)))
