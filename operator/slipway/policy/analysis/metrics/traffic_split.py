"""Do the requests that the candidate is sent come to an end?

A request is counted when it ends, so a candidate that hangs completes nothing, and every error
ratio of it is perfect. Two signs give it away. Its completions fall short of its weight: an
e-process on the split, with four fifths of the weight as what is allowed, over all moments at
which it may have begun. Or requests are in flight, nothing of it completes for much longer than
stable's p99, and stable does complete. Where many of its requests are in flight, it takes requests
and does not answer: Fail, Unresponsive. Where they are not, requests do not reach it: NotRouted,
which holds the weight and is not held against the candidate.

Source: M. Lindon and A. Malek (NeurIPS 2022), sample ratio mismatch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api.reasons import Reason
from slipway.api.times import from_wire, to_wire
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.metric_memory import RawState, are_sound
from slipway.policy.analysis.metrics.assessment import Assessment, Look
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import (
    FIRST_SHARE,
    NEVER,
    NOTHING,
    Pair,
    log_of,
    log_sum,
    place_bets,
    share_begun_within,
)

NAME = "traffic"
ALLOWED = 0.8
"""Of its weight that a candidate's completions may be."""
FRACTIONS = (0.5, 0.15, 0.01)
"""Of that, bet to be what is left."""
ENOUGH = math.log(1000.0)
"""0.1% is the chance that a right split looks this wrong; it comes on top of falseRollback."""
HUNG_SECONDS = 30.0
HUNG_TIMES = 5.0
"""Times stable's p99."""
CROWD = 3.0
"""Times the requests in flight that stable's would lead to expect."""
FEW = 5
"""Requests in flight that may be open streams or long answers, and blame nobody."""


@dataclass(frozen=True, slots=True)
class SplitMemory:
    """Evidence that the candidate answers less than its share."""

    wealth: tuple[float, ...] = (NEVER,) * len(FRACTIONS)
    kept: float = 1.0
    hung_since: datetime | None = None
    """Since when it has requests in flight and completes none."""
    stable_since: int = 0
    """What stable completed meanwhile."""
    step: Pair = NOTHING

    def raw(self) -> RawState:
        """Return the value for status."""
        hung = to_wire(self.hung_since) if self.hung_since else None
        step = [self.step.n_c, self.step.n_s]
        return {"w": self.wealth, "k": self.kept, "h": hung, "m": self.stable_since, "t": step}


def load_split(raw: object) -> SplitMemory:
    """Read the memory; anything else is empty."""
    if not isinstance(raw, dict):
        return SplitMemory()
    try:
        wealth = tuple(float(value) for value in raw["w"])
        n_c, n_s = (int(value) for value in raw["t"])
        kept = float(raw["k"])
        hung = from_wire(raw["h"])
        if hung is not None and hung.tzinfo is None:
            return SplitMemory()
        found = SplitMemory(wealth, kept, hung, int(raw["m"]), Pair(n_c=n_c, n_s=n_s))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return SplitMemory()
    sound = len(wealth) == len(FRACTIONS) and are_sound(*wealth, kept) and 0 <= kept <= 1
    return found if sound else SplitMemory()


def assess_split(
    before: SplitMemory,
    delta: Pair,
    active: tuple[int, int],
    active_before: tuple[int, int],
    look: Look,
) -> tuple[Assessment, SplitMemory]:
    """Return what the split says after `delta` more completions.

    `active` is what the candidate and stable have in flight now, `active_before` what they had at
    the base.
    """
    if look.is_new_step:
        before = SplitMemory()
    after = replace(
        _bet_on_shortfall(before, delta, look),
        step=before.step + delta,
        hung_since=_hung_since(before, delta, active, active_before, look),
        stable_since=0 if delta.n_c else before.stable_since + delta.n_s,
    )

    pair, weight = after.step, look.plan.weight / 100
    total = pair.n_c + pair.n_s
    text = _compare_with_weight(pair, active[0], look)
    judgement = Judgement(
        NAME,
        Verdict.PASS,
        Reason.ANSWERING,
        text,
        candidate=pair.n_c / total if total else None,
        baseline=weight,
        limit=ALLOWED * look.plan.weight / 100,
        samples=pair.n_c,
        baseline_samples=pair.n_s,
        since=to_wire(look.base.since),
    )
    assessment = Assessment(judgement, None, figures=text + wording.lost_state_note(look.base.lost))
    return _with_own_verdict(after, assessment, active, look), after


def _bet_on_shortfall(split: SplitMemory, delta: Pair, look: Look) -> SplitMemory:
    share = FIRST_SHARE if split.kept >= 1.0 else share_begun_within(look.seconds)
    placed, kept = place_bets(split.kept, share)
    log_placed = log_of(placed)
    won = _log_e_of_shortfall(delta, look.plan.weight / 100)
    wealth = tuple(
        max(NEVER, log_sum((old, log_placed)) + new)
        for old, new in zip(split.wealth, won, strict=True)
    )
    return replace(split, wealth=wealth, kept=kept)


def _log_e_of_shortfall(delta: Pair, weight: float) -> Sequence[float]:
    """Return log e of each bet against "at least `ALLOWED` of the weight completes"."""
    allowed = ALLOWED * weight
    return [
        delta.n_c * math.log(fraction)
        + delta.n_s * math.log((1 - allowed * fraction) / (1 - allowed))
        for fraction in FRACTIONS
    ]


def _hung_since(
    before: SplitMemory,
    delta: Pair,
    active: tuple[int, int],
    active_before: tuple[int, int],
    look: Look,
) -> datetime | None:
    if delta.n_c or look.is_gap or not active[0]:
        return look.now if active[0] else None
    if before.hung_since is not None:
        return before.hung_since
    return look.now if look.is_new_step or not active_before[0] else look.previous


def _compare_with_weight(pair: Pair, in_flight: int, look: Look) -> str:
    """Say the candidate's part of the completed requests, and what its weight lets expect."""
    weight, total = look.plan.weight, pair.n_c + pair.n_s
    part = f" ({pair.n_c / total:.1%})" if total else ""
    return (
        f"the candidate completed {pair.n_c:,} of {total:,} requests{part} at weight {weight}%, "
        f"at least {ALLOWED * weight:.1f}% expected; {in_flight:,} in flight, "
        f"since {look.base.since:%H:%M:%S}"
    )


def _with_own_verdict(
    split: SplitMemory, assessment: Assessment, active: tuple[int, int], look: Look
) -> Assessment:
    log_e = log_sum((log_sum(split.wealth) - math.log(len(FRACTIONS)), log_of(split.kept)))
    falls_short = log_e >= ENOUGH
    patience = max(HUNG_SECONDS, HUNG_TIMES * look.base.p99 / 1000, look.plan.timeout_seconds)
    silent = (look.now - split.hung_since).total_seconds() if split.hung_since else 0.0
    is_hung = silent >= patience

    # First of all: where stable hangs too, nothing that follows is the candidate's fault.
    text = assessment.figures
    if is_hung and active[1] and not split.stable_since:
        message = f"stable has completed nothing for {wording.time_to_plan(silent)} either: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.SHARED_FAULT, message)

    weight = look.plan.weight / 100
    expected = active[1] * weight / max(1 - weight, 0.01)
    is_crowded = active[0] > CROWD * expected + FEW
    if (is_hung and active[0] > FEW) or (falls_short and is_crowded):
        none = f"none completed for {wording.time_to_plan(silent)}"
        how = none if is_hung else "completions fall behind"
        message = f"requests are in flight and {how}: {text}"
        return assessment.with_verdict(Verdict.FAIL, Reason.UNRESPONSIVE, message)

    # A stream is one request in flight from its first message to its last, and so is a long answer.
    if is_hung:
        message = (
            f"none of the few requests in flight was completed for "
            f"{wording.time_to_plan(silent)}: open streams, long answers, or requests that hang: "
            f"{text}"
        )
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.UNDECIDED, message)
    if falls_short:
        message = f"receives far less than its weight, with few requests in flight: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.NOT_ROUTED, message)
    if not split.step.n_c:
        message = f"no completed requests on the candidate yet: {text}"
        return assessment.with_verdict(Verdict.NO_DATA, Reason.NO_TRAFFIC, message)
    return assessment
