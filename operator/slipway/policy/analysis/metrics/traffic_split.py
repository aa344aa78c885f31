"""Do the requests that the candidate is sent come to an end?

A request is counted when it ends, so a candidate that hangs completes nothing, and every error
ratio of it is perfect. Two signs give it away. Its completions fall short of its weight: an
e-process on the split, with four fifths of the weight as what is allowed, over all moments at
which it may have begun. Or requests are in flight, nothing of it completes for much longer than
stable's p99, and stable does complete. Where many of its requests are in flight, it was asked and
does not answer: Fail, Unresponsive. Where they are not, nobody asked it: NotRouted, which holds
the weight and blames nobody.

Source: M. Lindon and A. Malek (NeurIPS 2022), sample ratio mismatch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api.times import from_wire, to_wire
from slipway.policy.analysis import wording
from slipway.policy.analysis.memory import Raw
from slipway.policy.analysis.metrics.assessment import Assessed, Look
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import (
    FIRST_SHARE,
    NEVER,
    NOTHING,
    SMALLEST,
    Pair,
    log_sum,
    share_of,
)

NAME = "traffic"
ALLOWED = 0.8
"""Of its weight that a candidate's completions may be."""
FRACTIONS = (0.5, 0.15, 0.01)
"""Of that, bet to be what is left."""
ENOUGH = math.log(1000.0)
"""0.1 % is the chance that a right split looks this wrong; it comes on top of falseRollback."""
HUNG_SECONDS = 30.0
HUNG_TIMES = 5.0
"""Times stable's p99."""
CROWD = 3.0
"""Times the requests in flight that stable's would lead to expect."""
FEW = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Evidence that the candidate answers less than its share."""

    wealth: tuple[float, ...] = (NEVER,) * len(FRACTIONS)
    kept: float = 1.0
    hung_since: datetime | None = None
    """Since when it has requests in flight and completes none."""
    stable_since: int = 0
    """What stable completed meanwhile."""
    step: Pair = NOTHING

    def raw(self) -> Raw:
        """Return the value for status."""
        hung = to_wire(self.hung_since) if self.hung_since else None
        step = [self.step.n_c, self.step.n_s]
        return {"w": self.wealth, "k": self.kept, "h": hung, "m": self.stable_since, "t": step}


def load_split(raw: object) -> Split:
    """Read the memory; anything else is empty."""
    if not isinstance(raw, dict):
        return Split()
    try:
        wealth = tuple(float(value) for value in raw["w"])
        n_c, n_s = (int(value) for value in raw["t"])
        kept = float(raw["k"])
        hung = from_wire(raw["h"])
        found = Split(wealth, kept, hung, int(raw["m"]), Pair(n_c=n_c, n_s=n_s))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Split()
    sound = len(wealth) == len(FRACTIONS) and all(map(math.isfinite, (*wealth, kept)))
    return found if sound else Split()


def assess_split(
    before: Split, delta: Pair, active: tuple[int, int], was: tuple[int, int], look: Look
) -> tuple[Assessed, Split]:
    """Return what the split says after `delta` more completions.

    `active` is what the candidate and stable have in flight now, `was` what they had at the base.
    """
    if look.is_new_step:
        before = Split()
    after = replace(
        _bet(before, delta, look),
        step=before.step + delta,
        hung_since=_hung_since(before, delta, active, was, look),
        stable_since=0 if delta.n_c else before.stable_since + delta.n_s,
    )
    pair = after.step
    text = (
        f"{pair.n_c:,} of {pair.n_c + pair.n_s:,} completed requests are the candidate's at weight "
        f"{look.plan.weight} %, {active[0]:,} of its requests are in flight, "
        f"since {look.base.since:%H:%M:%S}"
    )
    total = pair.n_c + pair.n_s
    judgement = Judgement(
        NAME,
        "Pass",
        "Answering",
        text,
        candidate=pair.n_c / total if total else None,
        baseline=look.plan.weight / 100,
        limit=ALLOWED * look.plan.weight / 100,
        samples=pair.n_c,
        baseline_samples=pair.n_s,
        since=to_wire(look.base.since),
    )
    made = Assessed(judgement, {}, words=text + wording.lost(look.base.lost))
    return _verdict(after, made, active, look), after


def _bet(split: Split, delta: Pair, look: Look) -> Split:
    share = FIRST_SHARE if split.kept >= 1.0 else share_of(look.seconds)
    placed = math.log(max(SMALLEST, split.kept * share))
    won = _won(delta, look.plan.weight / 100)
    wealth = tuple(
        max(NEVER, log_sum((old, placed)) + new) for old, new in zip(split.wealth, won, strict=True)
    )
    return replace(split, wealth=wealth, kept=split.kept * (1 - share))


def _won(delta: Pair, weight: float) -> Sequence[float]:
    allowed = ALLOWED * weight
    return [
        delta.n_c * math.log(fraction)
        + delta.n_s * math.log((1 - allowed * fraction) / (1 - allowed))
        for fraction in FRACTIONS
    ]


def _hung_since(
    before: Split, delta: Pair, active: tuple[int, int], was: tuple[int, int], look: Look
) -> datetime | None:
    if delta.n_c or not active[0]:
        return look.now if active[0] else None
    if before.hung_since is not None:
        return before.hung_since
    return look.now if look.is_new_step or not was[0] else look.previous


def _verdict(split: Split, made: Assessed, active: tuple[int, int], look: Look) -> Assessed:
    log_e = log_sum((log_sum(split.wealth) - math.log(len(FRACTIONS)), math.log(split.kept)))
    patience = max(HUNG_SECONDS, HUNG_TIMES * look.base.p99 / 1000, look.plan.timeout_seconds)
    silent = (look.now - split.hung_since).total_seconds() if split.hung_since else 0.0
    is_hung = silent >= patience
    if is_hung and active[1] and not split.stable_since:
        text = f"stable answers nothing either for {wording.duration(silent)}: {made.words}"
        return made.said("Inconclusive", "SharedFault", text)
    weight = look.plan.weight / 100
    expected = active[1] * weight / max(1 - weight, 0.01)
    is_crowded = active[0] > CROWD * expected + FEW
    if is_hung or (log_e >= ENOUGH and is_crowded):
        hung = f"nothing came back for {wording.duration(silent)}"
        waits = hung if is_hung else "it falls behind"
        return made.said(
            "Fail", "Unresponsive", f"it is asked and does not answer, {waits}: {made.words}"
        )
    if log_e >= ENOUGH:
        text = f"it gets far less than its weight and has little in flight: {made.words}"
        return made.said("Inconclusive", "NotRouted", text)
    if not split.step.n_c:
        return made.said("NoData", "NoTraffic", f"the candidate answered nothing yet: {made.words}")
    return made
