"""A share of requests, compared with stable's or with a fixed limit: errors, slow answers, events.

Against it: the e-process of `statistics.eprocess`, held back by the guard of
`statistics.dispersion`. For it: the mirror image, which must rule out, at 95%, that the next weight
does more harm than `maxHarm`.
"""

import math
from operator import add

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.metric_memory import (
    Counters,
    ShareMemory,
    StoredState,
    append_look,
    load_share,
    with_counters,
)
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look, Said
from slipway.policy.analysis.plan import PASS_AT
from slipway.policy.bake_plan import LARGE_CONTROL_PERCENT
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics.dispersion import BAKE, ENOUGH, STEPS
from slipway.policy.statistics.eprocess import (
    BETTER_BETS,
    FIRST_SHARE,
    NEVER,
    NOTHING,
    RATIOS,
    STEP_SHARE,
    Pair,
    bet_on_above,
    bet_on_better,
    bet_on_open,
    bet_on_worse,
    log_better,
    needed_for_pass,
    share_begun_in_bake,
    share_begun_within,
)
from slipway.records import record, replace

MOST_CREDIT = math.log(400.0)
"""Evidence for the candidate above it is not kept: it would excuse a fault that comes later."""
TAKEN_BACK_BELOW = 0.0
"""What was ruled out counts as such until the odds are even again."""
PROVEN_WITHIN = PASS_AT + math.log(4.0)
"""Nats that the best bet wins until its quarter of the evidence is a Pass."""
MANY_TIMES = 1000
PATIENCE = 4
"""Times what a bake brings, in which a good version is waited for."""
SHARED_FAULT = 0.2
"""Where stable itself is this bad, something else is broken: it is not the candidate's fault."""
RECENT_SECONDS = 60.0
ASKED_FROM = math.log(5.0)
"""Weaker evidence fails no candidate, so the dispersion guard is not asked."""
FEWEST_TIMED = 10
"""Requests from which on a time is said for those that are missing; fewer make no rate."""
FEWEST_RECENT = 5.0
Open = tuple[int, int]
"""Requests without an answer yet: of the candidate, of stable."""
NOTHING_OPEN: Open = (0, 0)


@record
class ShareMetric:
    """What is special about one share."""

    name: str
    what: str
    """What is counted, as messages begin: ``errors``, ``answers over 108 ms``."""
    fail_reason: Reason
    group: BudgetGroup
    role: Role = Role.REQUIRED
    relative: float = 1.25
    """Factor on stable's share that is allowed."""
    absolute: float = 0.001
    """Added to it."""
    maximum: float | None = None
    """Fixed limit instead of the comparison."""
    shared_at: float = SHARED_FAULT
    counts_spells: bool = False
    """With `maximum`: the worst spell is no evidence against the candidate (`Spells`)."""
    before: Pair | None = None
    """Requests and events of stable before the switch that `maximum` rests on; None: stable has
    traffic now, and its own requests count."""
    is_open: Open = NOTHING_OPEN
    """Requests of the candidate and of stable that began in this step and have no answer yet."""
    ratios: tuple[float, ...] = RATIOS
    """How much worse than allowed is bet on; as many as there are by default."""
    better_bets: tuple[float, ...] = BETTER_BETS
    passes_below: float | None = None
    """Factor on stable's share that a Pass has to rule out beside the harm; None: `relative`."""
    bake_harm: float | None = None
    """Excess that a promotion has to rule out, where the requests of a long bake can; None: none.
    Where errors are rare, the harm that a step may do is many times all of them."""
    suspect_at: float = math.inf
    advice: str = ""
    parts: int = 1
    """Of its group's budget."""

    @property
    def ruled_out(self) -> float:
        """Factor on stable's share that a Pass rules out."""
        return self.relative if self.passes_below is None else self.passes_below

    def limit(self, stable: float) -> float:
        """Return the highest share that is no worse."""
        if self.maximum is not None:
            return self.maximum
        return min(1.0, self.relative * stable + self.absolute)

    def count_answered(self, pair: Pair) -> int:
        """Return the requests that have an answer, of the revision that has fewer of them."""
        candidate = pair.n_c - self.is_open[0]
        return candidate if self.before is not None else min(candidate, pair.n_s - self.is_open[1])


def assess_share(
    share: ShareMetric,
    delta: Pair,
    stored: StoredState,
    look: Look,
    counters: Counters | None = None,
) -> Assessment:
    """Return what a share says after `delta` more requests; `counters` are remembered with it."""
    before = load_share(stored.text) or ShareMemory(lost=stored.times_lost)
    after = _count_look(share, before, delta, look)

    log_e, guard_margin = weigh_evidence(after, share.maximum)
    pair = after.step
    limit = share.limit(pair.k_s / pair.n_s if pair.n_s else 0.0)
    beside = Pair(pair.n_c, pair.k_c, share.before.n_s, share.before.k_s) if share.before else pair
    text = wording.compare_shares(
        share.what, beside, limit, look.base.since, is_before=share.before is not None
    )
    figures = text + wording.lost_state_note(max(after.lost, look.base.lost))

    # Made once, with its verdict: to change a judgement later costs more than to reach it.
    said = _own_verdict(share, after, limit, figures, look)
    return Assessment(
        describe_share(share, after, limit, look, said, counters=counters),
        share.group,
        log_e,
        guard_margin,
        share.fail_reason,
        share.parts,
        log_peak=after.peak,
        figures=figures,
        advice=share.advice,
        suspect_at=share.suspect_at,
    )


def weigh_evidence(memory: ShareMemory, maximum: float | None) -> tuple[float, float]:
    """Return log e against the candidate, and how far the guard is above what a Fail needs.

    The guard's Bayes factor is dear, and can only hold evidence back that there is.
    """
    log_e = memory.starts.log_e
    asks_guard = maximum is None and max(log_e, memory.peak) >= ASKED_FROM
    return log_e, memory.guard.log_factor - ENOUGH if asks_guard else math.inf


def describe_share(
    share: ShareMetric,
    memory: ShareMemory,
    limit: float,
    look: Look,
    said: Said,
    *,
    counters: Counters | None = None,
) -> Judgement:
    """Return the judgement with the step's numbers."""
    pair, stable = memory.step, share.before or memory.step
    verdict, reason, message = said

    return Judgement(
        share.name,
        verdict,
        reason,
        message,
        candidate=min(1.0, pair.k_c / pair.n_c) if pair.n_c else None,
        baseline=min(1.0, stable.k_s / stable.n_s) if stable.n_s else None,
        limit=limit,
        samples=pair.n_c,
        baseline_samples=stable.n_s,
        memory=look.stamp(with_counters(memory, counters)),
        role=share.role,
        since=wording.timestamp(look.base.since),
        looks=memory.looks,
    )


def _count_look(share: ShareMetric, before: ShareMemory, delta: Pair, look: Look) -> ShareMemory:
    """Return the memory with one look more; a step's own evidence starts over with it."""
    if look.is_new_step:
        before = _begin_step(before)

    placed = share_to_place(before.starts.kept, look)
    spells = before.spells
    if share.maximum is not None:
        against = delta
        if share.counts_spells:
            spells, against = spells.after(delta, look.seconds, share.maximum)
        won, passed = bet_on_above(against, share.maximum), _bet_on_below(delta, share.maximum)
    else:
        won = bet_on_worse(delta, share.relative, share.absolute, share.ratios)
        passed = bet_on_better(delta, share.ruled_out, look.margin, share.better_bets)
    step = before.step + delta
    wealth = tuple(map(add, before.wealth, passed))
    wealth, counts = _limit_credit(wealth, _without_open(share, wealth, step, look))

    starts = before.starts.after(won, placed)
    is_bake = look.plan.is_bake
    phase = BAKE if is_bake else STEPS
    fade = math.exp(-max(0.0, look.seconds) / RECENT_SECONDS)
    recent = (before.recent[0] * fade + delta.n_s, before.recent[1] * fade + delta.k_s)
    looks = before.looks
    if delta.n_c:
        looks = append_look(looks, min(1.0, delta.k_c / delta.n_c))

    return ShareMemory(
        starts=starts,
        peak=max(before.peak, starts.log_e) if is_bake else NEVER,
        guard=before.guard.after(delta, look.seconds, phase),
        wealth=wealth,
        best=_best_so_far(before.best, counts, look.plan.pass_at),
        step=step,
        recent=recent,
        block=before.block,
        failed=before.failed,
        checked=before.checked,
        looks=looks,
        spells=spells,
        lost=before.lost,
    )


def share_to_place(kept: float, look: Look) -> float:
    """Return which share of what is kept is placed on a fault that begins in this look.

    It is fixed before the look's events are counted: else the e-process is none.
    """
    if kept >= 1.0:
        return FIRST_SHARE
    if look.is_new_step:
        return STEP_SHARE
    if not look.plan.is_bake:
        return share_begun_within(look.seconds)
    return share_begun_in_bake(look.step_time.total_seconds() - look.seconds, look.seconds)


def _begin_step(before: ShareMemory) -> ShareMemory:
    """Return the memory at a new weight: a fault may come with it, so nothing is lent."""
    return replace(
        before,
        wealth=(0.0,) * len(before.wealth),
        best=0.0,
        step=NOTHING,
        recent=(0.0, 0.0),
        checked=0,
    )


def _limit_credit(
    wealth: tuple[float, ...], without_open: tuple[float, ...]
) -> tuple[tuple[float, ...], float]:
    """Return the evidence for the candidate with no more in all than is kept, and what counts."""
    counts = log_better(without_open)
    surplus = counts - MOST_CREDIT
    if surplus > 0:
        return tuple([value - surplus for value in wealth]), counts - surplus
    return wealth, counts


def _best_so_far(before: float, now: float, enough: float) -> float:
    """Return the evidence that counts for a Pass: the best, until what came later takes it back.

    Metrics need not pass at the same look, and a few unlucky requests take no Pass away.
    """
    return max(before, now) if before >= enough and now >= TAKEN_BACK_BELOW else now


def _without_open(
    share: ShareMetric, wealth: tuple[float, ...], step: Pair, look: Look
) -> tuple[float, ...]:
    """Return the wealth of each bet for a Pass if what hangs now never gets an answer.

    Failures that are slow would else be counted after the answers that are quick, and a version
    that hangs would pass for its silence.
    """
    if not share.is_open[0]:
        return wealth
    lost = bet_on_open(step, share.is_open, look.margin, share.better_bets)
    return tuple([value + loss for value, loss in zip(wealth, lost, strict=True)])


def _bet_on_below(pair: Pair, limit: float) -> list[float]:
    """Return log e of each bet against p_c >= limit."""
    return bet_on_better(Pair(pair.n_c, pair.k_c), 0.0, limit)


def _own_verdict(
    share: ShareMetric, memory: ShareMemory, limit: float, text: str, look: Look
) -> Said:
    pair, plan = memory.step, look.plan
    if not pair.n_c:
        what = "no completed requests on the candidate yet" if pair.n_s else "no requests yet"
        return Verdict.NO_DATA, Reason.NO_TRAFFIC, f"{what}: {text}"

    # Before a Pass: where everything is broken, the harm that a candidate adds cannot be measured.
    if _is_shared_fault(share, memory):
        message = f"stable is equally bad; not held against the candidate: {text}"
        return Verdict.INCONCLUSIVE, Reason.SHARED_FAULT, message

    unproven = _find_unproven(share, memory, look)
    if unproven is not None:
        return Verdict.INCONCLUSIVE, Reason.UNPROVEN, f"{unproven}: {text}"

    if memory.best >= plan.pass_at and share.count_answered(pair) >= plan.min_samples:
        left = look.slowest_seconds - look.step_time.total_seconds()
        if left > 0:
            wait = f"waiting {wording.time_to_plan(left)}, as some of stable's answers take so long"
            return Verdict.INCONCLUSIVE, Reason.UNDECIDED, f"{wait}: {text}"
        harm = f"harm to more than {plan.max_harm:.2%} of all requests"
        if share.before is not None:
            harm = "more than the limit"
        message = f"{text}; {harm} at {plan.next_weight}% is ruled out"
        return Verdict.PASS, Reason.WITHIN_HARM, message

    waits = share.is_open[0] > 0 and log_better(memory.wealth) >= plan.pass_at
    missing = _what_is_open(share) if waits else _what_is_missing(share, memory, look)
    message = f"{missing}: {text}"
    if share.advice and pair.k_c > limit * pair.n_c:
        message = f"{message}; {share.advice}"
    return Verdict.INCONCLUSIVE, Reason.UNDECIDED, message


def _find_unproven(share: ShareMetric, memory: ShareMemory, look: Look) -> str | None:
    """Return what the bake's requests could have ruled out and have not; None: nothing.

    Only where a version as good as stable would show it with `PATIENCE` times the requests so far.
    The split of a weight is one and the same, so its sums are as good as its looks.
    """
    pair, harm = memory.step, share.bake_harm
    is_control_large = look.plan.weight <= 100 - LARGE_CONTROL_PERCENT
    if harm is None or not look.plan.is_bake or not is_control_large or not pair.n_s:
        return None

    won = log_better(bet_on_better(pair, share.relative, harm, share.better_bets))
    needed = _needed_if_alike(share, pair, harm)
    if won >= PASS_AT or needed is None or needed > PATIENCE * pair.n_c:
        return None
    return f"more than {harm:.2%} beyond what is tolerated is not ruled out yet"


def _needed_if_alike(share: ShareMetric, pair: Pair, harm: float) -> float | None:
    """Return about how many requests a candidate with stable's very ratio takes to rule harm out.

    Of many times as many requests, so that few events are no rounded ones.
    """
    many = MANY_TIMES * pair.n_c
    alike = Pair(many, many * pair.k_s // pair.n_s, MANY_TIMES * pair.n_s, MANY_TIMES * pair.k_s)
    return needed_for_pass(alike, share.relative, harm, PROVEN_WITHIN, share.better_bets)


def _is_shared_fault(share: ShareMetric, memory: ShareMemory) -> bool:
    requests, events = memory.recent
    limit = share.maximum if share.maximum is not None else share.shared_at
    return requests >= FEWEST_RECENT and events / requests > limit


def _what_is_open(share: ShareMetric) -> str:
    count = share.is_open[0]
    requests = "request that began" if count == 1 else "requests that began"
    return f"waiting for {count:,} {requests} at this weight and may still fail"


def _what_is_missing(share: ShareMetric, memory: ShareMemory, look: Look) -> str:
    """Return what is missing for a Pass, in requests and time at the present rates."""
    pair, plan = memory.step, look.plan
    margin = look.margin if share.maximum is None else share.maximum
    relative = share.ruled_out if share.maximum is None else 0.0
    more = needed_for_pass(pair, relative, margin, plan.pass_at - memory.best, share.better_bets)

    if share.before is None and pair.n_s < plan.min_samples <= pair.n_c:
        return f"needs {plan.min_samples - pair.n_s} more requests on stable"
    if more is None:
        return "worse than stable so far; at this ratio no number of requests lets it pass"

    more = max(more, plan.min_samples - pair.n_c, 1)
    needed = f"needs about {wording.round_up_requests(more)} more candidate requests"
    if pair.n_c < FEWEST_TIMED:
        return needed
    rate = pair.n_c / max(look.step_time.total_seconds(), 1.0)
    return f"{needed} ({wording.time_to_plan(more / rate)} at the present rate)"
