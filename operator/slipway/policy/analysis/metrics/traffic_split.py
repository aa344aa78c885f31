"""Do the requests that the candidate is sent come to an end?

A request that hangs is never counted as an error. Three signs give it away.

*More is in flight than stable's lead to expect.* Each request is sent to the candidate with the
chance of its weight, whoever else is on the way. So if its answers take as long as stable's, the
candidate's part of what is in flight is binomial, however long answers take, whatever bursts come,
and whether both arms hang. Here the candidate may even have three times its part. The chance of as
many is at most exp(-n KL(share, allowed)) (Chernoff), and below one in a million at every look of
30 seconds (or five times stable's p99) it is no chance. What began at an earlier and smaller weight
speaks for it; where a weight fell, what began before has come to its end by then.

*Silence.* More than one of its requests is on the way, nothing came back for five times stable's
p99, and stable answered meanwhile as many as would have been seven of the candidate's: none is then
a chance of exp(-7).

*Streams.* Messages go in on its gRPC streams and none comes out, where stable's streams answer. A
stream on which messages come does not hang, however long it is open.

Where requests do not even reach it the reason is NotRouted, which holds the weight and is not held
against the candidate: an e-process on what was begun, with four fifths of the weight as what is
allowed, over all moments at which it may have begun.

Sources: M. Lindon and A. Malek (NeurIPS 2022), sample ratio mismatch; H. Chernoff (1952).
"""

import math
from collections.abc import Sequence
from datetime import datetime

from slipway.api.reasons import Reason
from slipway.api.times import from_wire, to_wire
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.counter_deltas import HISTOGRAM_END_MILLIS, Flow
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
from slipway.policy.weights import ALL
from slipway.records import record

NAME = "traffic"
ALLOWED = 0.8
"""Of its weight that a candidate's requests may be."""
FRACTIONS = (0.5, 0.15, 0.01)
"""Of that, bet to be what is left."""
ENOUGH = math.log(1000.0)
"""0.1% is the chance that a right split looks this wrong; it comes on top of falseRollback."""
HUNG_SECONDS = 30.0
CROWD = 3.0
"""Times the requests in flight that stable's lead to expect: slow is not yet hanging."""
CROWD_ENOUGH = math.log(1e6)
"""One in a million is the chance of a crowd at one look, and more so at every look of 30 s."""
FEW = 5
"""Requests in flight that blame nobody where stable has no traffic to compare with."""


@record
class StreamSilence:
    """Messages went in on the candidate's streams, and none came out."""

    since: datetime
    sent: int = 0
    """To the candidate's streams since then."""
    stable_sent: int = 0
    stable_came: int = 0

    @property
    def expected(self) -> float:
        """How many answers stable's streams lead to expect."""
        return self.sent * self.stable_came / self.stable_sent if self.stable_sent else 0.0

    def raw(self) -> list[object]:
        """Return the value for status."""
        return [to_wire(self.since), self.sent, self.stable_sent, self.stable_came]


@record
class SplitMemory:
    """Evidence that requests do not reach the candidate, or do not come back."""

    wealth: tuple[float, ...] = (NEVER,) * len(FRACTIONS)
    kept: float = 1.0
    hung_since: datetime | None = None
    """Since when it has requests in flight and nothing comes back."""
    stable_since: int = 0
    """What stable answered meanwhile."""
    crowded_since: datetime | None = None
    """Since when more is in flight than stable's lead to expect; goes on over weights."""
    streams: StreamSilence | None = None
    step: Pair = NOTHING
    """Answered in this step."""
    unanswered: tuple[int, int] = (0, 0)
    """Of what the candidate and stable began in this step, less what they answered in it."""

    def raw(self) -> RawState:
        """Return the value for status."""
        return {
            "w": self.wealth,
            "k": self.kept,
            "h": to_wire(self.hung_since) if self.hung_since else None,
            "m": self.stable_since,
            "t": [self.step.n_c, self.step.n_s],
            "u": self.unanswered,
            "o": to_wire(self.crowded_since) if self.crowded_since else None,
            "y": self.streams.raw() if self.streams else None,
        }

    def count_open(self, candidate: Flow, stable: Flow) -> tuple[int, int]:
        """Return how many of each revision's requests of this step may still fail.

        Those in flight, or all that were not answered, if more: clients gave some of them up.
        """
        return (
            max(candidate.in_flight, self.unanswered[0]),
            max(stable.in_flight, self.unanswered[1]),
        )


def load_split(raw: object) -> SplitMemory:
    """Read the memory; anything else is empty."""
    if not isinstance(raw, dict):
        return SplitMemory()
    try:
        wealth = tuple(float(value) for value in raw["w"])
        n_c, n_s = (int(value) for value in raw["t"])
        kept = float(raw["k"])
        of_candidate, of_stable = (int(value) for value in raw.get("u", (0, 0)))

        found = SplitMemory(
            wealth,
            kept,
            _read_moment(raw["h"]),
            int(raw["m"]),
            _read_moment(raw.get("o")),
            _load_streams(raw.get("y")),
            Pair(n_c=n_c, n_s=n_s),
            (of_candidate, of_stable),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return SplitMemory()
    sound = len(wealth) == len(FRACTIONS) and are_sound(*wealth, kept) and 0 <= kept <= 1
    return found if sound else SplitMemory()


def _read_moment(text: object) -> datetime | None:
    moment = from_wire(str(text)) if text is not None else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _load_streams(raw: object) -> StreamSilence | None:
    if not isinstance(raw, list):
        return None
    moment, sent, stable_sent, stable_came = raw
    since = _read_moment(moment)
    return StreamSilence(since, int(sent), int(stable_sent), int(stable_came)) if since else None


def assess_split(
    before: SplitMemory, candidate: Flow, stable: Flow, waiting_before: int, look: Look
) -> tuple[Assessment, SplitMemory]:
    """Return what the split says after what was begun and answered since the base.

    `waiting_before` is how many of the candidate's requests were in flight at the base.
    """
    if look.is_new_step:
        before = SplitMemory(crowded_since=before.crowded_since)
    answered = Pair(n_c=candidate.answered, n_s=stable.answered)
    came_back = candidate.answered + candidate.came_back
    wealth, kept = _bet_on_shortfall(before, Pair(n_c=candidate.begun, n_s=stable.begun), look)
    after = SplitMemory(
        wealth,
        kept,
        hung_since=_hung_since(before, candidate, waiting_before, look),
        stable_since=0 if came_back else before.stable_since + stable.answered,
        crowded_since=_crowded_since(before, candidate, stable, look),
        streams=_stream_silence(before, candidate, stable, look),
        step=before.step + answered,
        unanswered=_count_unanswered(before, candidate, stable, look),
    )

    pair, weight = after.step, look.plan.weight / ALL
    total = pair.n_c + pair.n_s
    text = _compare_with_weight(pair, candidate.in_flight, look)
    judgement = Judgement(
        NAME,
        Verdict.PASS,
        Reason.ANSWERING,
        text,
        candidate=pair.n_c / total if total else None,
        baseline=weight,
        limit=ALLOWED * look.plan.weight / ALL,
        samples=pair.n_c,
        baseline_samples=pair.n_s,
        since=wording.timestamp(look.base.since),
    )
    assessment = Assessment(judgement, figures=text + wording.lost_state_note(look.base.lost))
    return _with_own_verdict(after, assessment, candidate, stable, look), after


def _count_unanswered(
    before: SplitMemory, candidate: Flow, stable: Flow, look: Look
) -> tuple[int, int]:
    if look.is_new_step:
        return 0, 0
    return (
        before.unanswered[0] + candidate.begun - candidate.answered,
        before.unanswered[1] + stable.begun - stable.answered,
    )


def _bet_on_shortfall(
    split: SplitMemory, begun: Pair, look: Look
) -> tuple[tuple[float, ...], float]:
    """Return the wealth of each bet after `begun` more, and what is kept for later ones."""
    if look.is_new_step:  # what is in flight now began at the weight before
        begun = NOTHING
    share = FIRST_SHARE if split.kept >= 1.0 else share_begun_within(look.seconds)
    placed, kept = place_bets(split.kept, share)
    log_placed = log_of(placed)
    won = _log_e_of_shortfall(begun, look.plan.weight / ALL)
    wealth = tuple(
        max(NEVER, log_sum((old, log_placed)) + new)
        for old, new in zip(split.wealth, won, strict=True)
    )
    return wealth, kept


def _log_e_of_shortfall(delta: Pair, weight: float) -> Sequence[float]:
    """Return log e of each bet against "at least `ALLOWED` of the weight begins"."""
    allowed = ALLOWED * weight
    return [
        delta.n_c * math.log(fraction)
        + delta.n_s * math.log((1 - allowed * fraction) / (1 - allowed))
        for fraction in FRACTIONS
    ]


def _hung_since(
    before: SplitMemory, candidate: Flow, waiting_before: int, look: Look
) -> datetime | None:
    if not candidate.waiting:
        return None
    if candidate.answered or candidate.came_back or look.is_gap:
        return look.now
    if before.hung_since is not None:
        return before.hung_since
    return look.now if look.is_new_step or not waiting_before else look.previous


def _crowded_since(
    before: SplitMemory, candidate: Flow, stable: Flow, look: Look
) -> datetime | None:
    weight = look.plan.weight / ALL
    if log_chance_of_crowd(candidate.waiting, stable.waiting, weight) > -CROWD_ENOUGH:
        return None
    return look.now if look.is_gap else before.crowded_since or look.now


def log_chance_of_crowd(candidate: int, stable: int, weight: float) -> float:
    """Return at most how likely it is that so many requests in flight are the candidate's.

    `weight` is its share of the requests, 0 to 1, of which `CROWD` times the odds are allowed.
    """
    total = candidate + stable
    if not total or not 0 < weight < 1:
        return 0.0
    odds = CROWD * weight / (1 - weight)
    allowed, share = odds / (1 + odds), candidate / total
    if share <= allowed:
        return 0.0
    rest = (1 - share) * math.log((1 - share) / (1 - allowed)) if stable else 0.0
    return -total * (share * math.log(share / allowed) + rest)


def _stream_silence(
    before: SplitMemory, candidate: Flow, stable: Flow, look: Look
) -> StreamSilence | None:
    silence = before.streams
    if candidate.came_back or not candidate.in_flight:
        return None
    if silence is None or look.is_gap:
        silence = StreamSilence(look.now) if candidate.sent else None
    if silence is None:
        return None
    return StreamSilence(
        silence.since,
        silence.sent + candidate.sent,
        silence.stable_sent + stable.sent,
        silence.stable_came + stable.came_back,
    )


def _compare_with_weight(pair: Pair, in_flight: int, look: Look) -> str:
    """Say the candidate's part of the completed requests, and what its weight lets expect."""
    weight, total = look.plan.weight, pair.n_c + pair.n_s
    part = f" ({pair.n_c / total:.1%})" if total else ""
    return (
        f"the candidate completed {pair.n_c:,} of {total:,} requests{part} at a weight of "
        f"{weight}%, where it should complete at least {ALLOWED * weight:.1f}%; "
        f"{in_flight:,} in flight, "
        f"since {wording.time_of_day(look.base.since)}"
    )


def _with_own_verdict(
    split: SplitMemory, assessment: Assessment, candidate: Flow, stable: Flow, look: Look
) -> Assessment:
    silent = _seconds_since(split.hung_since, look)
    is_hung = silent >= _patience(look)

    # First of all: where stable hangs too, nothing that follows is the candidate's fault.
    text = assessment.figures
    if is_hung and stable.waiting and not split.stable_since:
        message = f"stable has completed nothing for {wording.time_to_plan(silent)} either: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.SHARED_FAULT, message)

    blame = _what_hangs(split, candidate, stable, look)
    if blame is not None:
        message = f"requests are in flight and {blame}: {text}"
        return assessment.with_verdict(Verdict.FAIL, Reason.UNRESPONSIVE, message)

    if is_hung:
        message = (
            f"none of the few requests in flight was completed for "
            f"{wording.time_to_plan(silent)}: open streams, long answers, or requests that hang: "
            f"{text}"
        )
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.UNDECIDED, message)
    if split.crowded_since is not None:
        message = f"{_compare_crowds(candidate, stable, look)}: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.UNDER_SUSPICION, message)
    if _falls_short(split):
        message = f"receives far less than its weight, with few requests in flight: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.NOT_ROUTED, message)
    if not split.step.n_c:
        message = f"no completed requests on the candidate yet: {text}"
        return assessment.with_verdict(Verdict.NO_DATA, Reason.NO_TRAFFIC, message)
    return assessment


def _what_hangs(split: SplitMemory, candidate: Flow, stable: Flow, look: Look) -> str | None:
    """Return what shows that the candidate does not answer, or None."""
    silent = _seconds_since(split.hung_since, look)
    if silent >= _patience(look) and _silence_speaks(split, candidate, look):
        return f"none completed for {wording.time_to_plan(silent)}"

    if _seconds_since(split.crowded_since, look) >= max(HUNG_SECONDS, look.slowest_seconds):
        return _compare_crowds(candidate, stable, look)

    streams = split.streams
    if streams is None or _seconds_since(streams.since, look) < _patience(look):
        return None
    if candidate.in_flight > 1 and streams.expected >= ENOUGH:
        return (
            f"none of {streams.sent:,} messages on its streams was answered, "
            f"{streams.stable_came:,} of {streams.stable_sent:,} were on stable's"
        )
    return None


def _silence_speaks(split: SplitMemory, candidate: Flow, look: Look) -> bool:
    """Whether that nothing comes back can be no chance: stable answers, within a known time."""
    weight = look.plan.weight / ALL
    if weight >= 1:
        return candidate.waiting > FEW
    is_known = 0 < look.base.p99 < HISTOGRAM_END_MILLIS
    missed = split.stable_since * weight / (1 - weight)
    return is_known and candidate.waiting > 1 and missed >= ENOUGH


def _compare_crowds(candidate: Flow, stable: Flow, look: Look) -> str:
    weight = look.plan.weight
    expected = stable.waiting * weight / max(ALL - weight, 1)
    return (
        f"{candidate.waiting:,} have no answer, where stable's {stable.waiting:,} lead to expect "
        f"{expected:,.1f}"
    )


def _falls_short(split: SplitMemory) -> bool:
    log_e = log_sum((log_sum(split.wealth) - math.log(len(FRACTIONS)), log_of(split.kept)))
    return log_e >= ENOUGH


def _patience(look: Look) -> float:
    return max(HUNG_SECONDS, look.slowest_seconds, look.plan.timeout_seconds)


def _seconds_since(moment: datetime | None, look: Look) -> float:
    return (look.now - moment).total_seconds() if moment is not None else 0.0
