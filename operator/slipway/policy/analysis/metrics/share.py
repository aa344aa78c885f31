"""A share of requests, beside stable's or under a fixed limit: errors, slow answers, counters.

Against it: the e-process of `eprocess`, held back by the dispersion guard of `noise`. For it: the
mirror image, which must rule out, at 95 %, that the next weight does more harm than `maxHarm`.
"""

import math
from dataclasses import dataclass, replace

from slipway.api.times import to_wire
from slipway.policy.analysis import wording
from slipway.policy.analysis.memory import Raw, ShareMemory, and_look, load_share
from slipway.policy.analysis.metrics.assessment import Assessed, Group, Look
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics.dispersion import ENOUGH
from slipway.policy.statistics.eprocess import (
    FIRST_SHARE,
    NOTHING,
    STEP_SHARE,
    Pair,
    above,
    better,
    log_better,
    needed_for_pass,
    share_of,
    worse,
)

PASS_AT = math.log(20.0)
"""1 / 5 %: what promotion may get wrong at the margin, per step."""
SHARED_FAULT = 0.2
"""Where stable itself is this bad, something else is broken: nobody is blamed."""
RECENT_SECONDS = 60.0
ASKED_FROM = math.log(5.0)
"""Weaker evidence fails nobody, so the dispersion guard is not asked."""
FEWEST_RECENT = 5.0


@dataclass(frozen=True, slots=True)
class Share:
    """What is special about one share."""

    name: str
    what: str
    """Of the requests: ``errors``, ``slower than 108 ms``."""
    fail_reason: str
    group: Group
    role: Role = Role.REQUIRED
    relative: float = 1.25
    """Factor on stable's share that is allowed."""
    absolute: float = 0.002
    """Added to it."""
    maximum: float | None = None
    """Fixed limit instead of the comparison."""
    shared_at: float = SHARED_FAULT

    def limit(self, stable: float) -> float:
        """Return the highest share that is no worse."""
        if self.maximum is not None:
            return self.maximum
        return min(1.0, self.relative * stable + self.absolute)


def assess_share(share: Share, delta: Pair, raw: Raw, look: Look) -> Assessed:
    """Return what a share says after `delta` more requests."""
    stored = load_share(raw)
    before = stored or ShareMemory(lost=int(bool(raw.get("known"))))
    after = _updated(share, before, delta, look)
    log_e = after.starts.log_e
    is_asked = share.maximum is None and log_e >= ASKED_FROM
    consent = after.noise.log_factor - ENOUGH if is_asked else math.inf
    pair = after.step
    stable = pair.k_s / pair.n_s if pair.n_s else 0.0
    limit = share.limit(stable)
    text = wording.beside(share.what, pair, limit, look.base.since)
    judgement = Judgement(
        share.name,
        "Inconclusive",
        "Undecided",
        text,
        candidate=pair.k_c / pair.n_c if pair.n_c else None,
        baseline=stable if pair.n_s else None,
        limit=limit,
        samples=pair.n_c,
        baseline_samples=pair.n_s,
        role=share.role,
        since=to_wire(look.base.since),
        looks=after.looks,
    )
    made = Assessed(
        judgement,
        after.raw(),
        share.group,
        log_e,
        consent,
        share.fail_reason,
        text + wording.lost(max(after.lost, look.base.lost)),
    )
    return _verdict(share, after, made, look)


def _updated(share: Share, before: ShareMemory, delta: Pair, look: Look) -> ShareMemory:
    """Return the memory with one look more; a step's own evidence begins anew with it."""
    noise = before.noise
    if look.is_new_step:
        noise = noise.closed()
        before = replace(
            before,
            wealth=_carried(share, before.step, look),
            best=0.0,
            step=NOTHING,
            recent=(0.0, 0.0),
            checked=0,
        )
    placed = share_of(look.seconds)
    if before.starts.kept >= 1.0:
        placed = FIRST_SHARE
    elif look.is_new_step:
        placed = STEP_SHARE
    if share.maximum is not None:
        won, passed = above(delta, share.maximum), _below(delta, share.maximum)
    else:
        won = worse(delta, share.relative, share.absolute)
        passed = better(delta, share.relative, look.margin)
    fade = math.exp(-max(0.0, look.seconds) / RECENT_SECONDS)
    looks = before.looks
    if delta.n_c:
        looks = and_look(looks, delta.k_c / delta.n_c)
    wealth = tuple(old + new for old, new in zip(before.wealth, passed, strict=True))
    return replace(
        before,
        starts=before.starts.after(won, placed),
        noise=noise.after(delta, look.seconds),
        wealth=wealth,
        best=max(before.best, log_better(wealth)),
        step=before.step + delta,
        recent=(before.recent[0] * fade + delta.n_s, before.recent[1] * fade + delta.k_s),
        looks=looks,
    )


def _carried(share: Share, earlier: Pair, look: Look) -> tuple[float, ...]:
    """Return what the step before says about the harm at the next weight, at most half of a Pass.

    Its split was one and the same, so its sums are as good as its looks. The rest has to be shown
    at this weight, because some faults come with load.
    """
    if share.maximum is not None:
        won = _below(earlier, share.maximum)
    else:
        won = better(earlier, share.relative, look.margin)
    surplus = max(0.0, log_better(won) - PASS_AT / 2)
    return tuple(value - surplus for value in won)


def _below(pair: Pair, limit: float) -> list[float]:
    """Return log e of each bet against p_c >= limit."""
    return better(Pair(pair.n_c, pair.k_c), 0.0, limit)


def _verdict(share: Share, memory: ShareMemory, made: Assessed, look: Look) -> Assessed:
    pair, plan, text = memory.step, look.plan, made.words
    if not pair.n_c and not pair.n_s:
        return made.said("NoData", "NoTraffic", f"nobody asked yet: {text}")
    if not pair.n_c:
        return made.said("NoData", "NoTraffic", f"the candidate answered nothing yet: {text}")
    if _is_shared(share, memory):
        return made.said(
            "Inconclusive", "SharedFault", f"stable is as bad, nobody is blamed: {text}"
        )
    least = min(pair.n_c, pair.n_s)
    won = memory.best
    if won >= PASS_AT and least >= plan.min_samples:
        kept = f"at {plan.next_weight} % it adds less than {plan.max_harm:.2%} to all requests"
        return made.said("Pass", "WithinHarm", f"{text}; {kept}")
    missing = _missing(share, memory, won, look)
    return made.said("Inconclusive", "Undecided", f"{missing}: {text}")


def _is_shared(share: Share, memory: ShareMemory) -> bool:
    requests, events = memory.recent
    at = share.maximum if share.maximum is not None else share.shared_at
    return requests >= FEWEST_RECENT and events / requests > at


def _missing(share: Share, memory: ShareMemory, won: float, look: Look) -> str:
    """Return what is missing for a Pass, in requests and time at the present rates."""
    pair, plan = memory.step, look.plan
    margin = look.margin if share.maximum is None else share.maximum
    relative = share.relative if share.maximum is None else 0.0
    more = needed_for_pass(pair, relative, margin, PASS_AT - won)
    if pair.n_s < plan.min_samples <= pair.n_c:
        return f"needs {plan.min_samples - pair.n_s} more requests of stable"
    if more is None:
        return "at this ratio more requests would not show that it does no harm"
    more = max(more, plan.min_samples - pair.n_c, 1)
    rate = pair.n_c / max(look.step_time.total_seconds(), 1.0)
    return (
        f"needs about {wording.about(more)} more candidate requests "
        f"({wording.duration(more / rate)} at the present rate)"
    )
