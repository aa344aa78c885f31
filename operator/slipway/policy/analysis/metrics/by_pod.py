"""Errors by pod: one bad pod of several is found and named, and the version is not blamed for it.

In all of a candidate's requests, one bad pod of many is a small excess, which `errors` tolerates or
takes long to see. Here each pod of the candidate is compared with all of stable
(`statistics.strata`). Where one stands out from its siblings too, the weight is held and the pod is
named: its bytes are those of its siblings, so it is no evidence against them. What all pods answer
together stays the business of `errors`, and where that metric blames the candidate it names the pod
as well.

A pod is known by its address. One that is replaced is another stratum; its first look only takes
its counters down.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from json import dumps
from typing import Any

from slipway.api.counters import MOST_PODS, Counters, PodCounters
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.counter_deltas import is_older, life_of_envoy, to_count
from slipway.policy.analysis.metric_memory import (
    MOST_PARSED,
    UNBET,
    RawState,
    decode_state,
    read_floats,
)
from slipway.policy.analysis.metrics.assessment import Assessment, Look
from slipway.policy.analysis.metrics.share import share_to_place
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import Pair, StartMixture, bet_on_worse
from slipway.policy.statistics.strata import StrataMixture, Stratum, most_evidence
from slipway.records import record, replace

NAME = "pod-errors"
FEWEST = 2
"""Pods: of one alone, `errors` says everything."""
NAMED_FROM = math.log(10.0)
"""Evidence from which a Fail of `errors` names the pod."""
FADE_SECONDS = 300.0
"""How long ago the requests are, about, whose shares are compared and shown."""
ROOM = 10_000
"""Characters for the counters of the proxies; the strata have the rest of 16 KiB."""

Count = tuple[int, int]
"""Requests and errors."""
Pods = Mapping[str, Count]
"""By address."""
ProxyPods = tuple[int, Pods, Pods]
"""Of one proxy: which life of Envoy, and what it counted of the candidate's and stable's pods."""


@record
class Recent:
    """Requests and errors of the last minutes; older ones count for less."""

    requests: float = 0.0
    errors: float = 0.0

    def after(self, gained: Count, fade: float) -> "Recent":
        """Return what is recent after so many more."""
        return Recent(self.requests * fade + gained[0], self.errors * fade + gained[1])

    @property
    def share(self) -> float:
        """Of the requests, those that failed."""
        return min(1.0, self.errors / self.requests) if self.requests else 0.0


@record
class PodMemory:
    """What is remembered of the pods."""

    mixture: StrataMixture = field(default_factory=StrataMixture)
    recent: Mapping[str, Recent] = field(default_factory=dict)
    """By the candidate's pods."""
    stable: Recent = Recent()
    seen: Mapping[str, ProxyPods] = field(default_factory=dict)
    """By proxy, what was read last."""

    def raw(self) -> RawState:
        """Return the value for status; proxies beyond its size are new at each look."""
        pods = {
            key: [
                each.given,
                *each.starts.wealth,
                each.starts.kept,
                self.recent[key].requests,
                self.recent[key].errors,
            ]
            for key, each in self.mixture.strata.items()
        }

        seen, room = {}, ROOM
        for proxy, counted in self.seen.items():
            room -= len(dumps({proxy: counted}, separators=(",", ":")))
            if room > 0:
                seen[proxy] = counted
        stable = [self.stable.requests, self.stable.errors]
        return {"i": self.mixture.idle, "p": pods, "r": stable, "c": seen}


@lru_cache(MOST_PARSED)
def load_pods(text: str | None) -> PodMemory | None:
    """Read the memory; None where it is not one."""
    raw: Mapping[str, Any] = decode_state(text)
    try:
        (idle,) = read_floats([raw["i"]])
        strata, recent = {}, {}
        for key, values in raw["p"].items():
            given, *wealth, kept, requests, errors = read_floats(values)
            if len(wealth) != len(UNBET.wealth) or not 0 <= kept <= 1:
                return None
            strata[key] = Stratum(given, StartMixture(tuple(wealth), kept))
            recent[key] = Recent(max(0.0, requests), max(0.0, errors))

        requests, errors = read_floats(raw["r"])
        of_stable = Recent(max(0.0, requests), max(0.0, errors))
        seen = {
            proxy: (int(life), _read_pods(candidate), _read_pods(stable))
            for proxy, (life, candidate, stable) in raw["c"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    parts = [idle, *(each.given for each in strata.values())]
    is_sound = min(parts) >= 0 and sum(parts) <= 1 + 1e-6
    return PodMemory(StrataMixture(idle, strata), recent, of_stable, seen) if is_sound else None


def _read_pods(raw: Mapping[str, Any]) -> Pods:
    found = {}
    for address, values in raw.items():
        requests, errors = read_floats(values)
        found[address] = (int(requests), int(errors))
    return found


def assess_pods(
    ticks: Sequence[Counters], names: Mapping[str, str], text: str | None, look: Look
) -> Assessment | None:
    """Return what the pods say; None where the candidate has not had several.

    Args:
        ticks: the pages of the proxies that answered.
        names: names of the candidate's pods by address.
        text: what was stored of the pods with the base of this look.
        look: the frame of the look.

    """
    now = _read_ticks(ticks, look)
    before = load_pods(text)
    present = {address for _, candidate, _ in now.values() for address in candidate}
    if before is None and len(present) < FEWEST:
        return None

    after = _count_look(before or PodMemory(), now, present, look)
    judgement, advice = _judge_pods(after, names, look)
    return Assessment(judgement, log_e=after.mixture.log_e, advice=advice)


def _read_ticks(ticks: Sequence[Counters], look: Look) -> dict[str, ProxyPods]:
    """Return the counters of the pages that have some by pod."""
    plan, found = look.plan, {}
    for tick in ticks:
        by_revision = {
            entry.revision: entry.pods
            for entry in tick.judged_entries(plan.route)
            if entry.pods is not None
        }
        if plan.candidate in by_revision and plan.stable in by_revision:
            of_candidate, of_stable = (
                _to_counts(by_revision[name]) for name in (plan.candidate, plan.stable)
            )
            found[tick.proxy] = (life_of_envoy(tick), of_candidate, of_stable)
    return found


def _to_counts(pods: Sequence[PodCounters]) -> Pods:
    """A request that failed before it had a connection is an error that was never sent."""
    counts = {}
    for pod in pods[:MOST_PODS]:
        errors = to_count(pod.errors)
        counts[pod.address] = (max(to_count(pod.requests), errors), errors)
    return counts


def _count_look(
    before: PodMemory, now: Mapping[str, ProxyPods], present: set[str], look: Look
) -> PodMemory:
    """Return the memory with one look more; a look that begins a step takes counters down only."""
    known = {} if look.is_new_step else before.seen
    of_candidate, of_stable = _gained_by_pod(known, now)

    # Where no page has pods, nobody has gone: they were not read.
    members = sorted(present) if now else list(before.mixture.strata)
    mixture = before.mixture.with_members(members[:MOST_PODS])
    most = most_evidence(-math.log(look.plan.false_rollback))
    tolerance = look.plan.tolerance
    strata = {}
    for key, stratum in mixture.strata.items():
        won = bet_on_worse(
            Pair(*of_candidate.get(key, (0, 0)), *of_stable),
            1 + tolerance.relative,
            tolerance.absolute,
        )
        strata[key] = stratum.after(won, share_to_place(stratum.starts.kept, look), most)

    fade = math.exp(-max(0.0, look.seconds) / FADE_SECONDS)
    newest = {proxy: _newest(known.get(proxy), item) for proxy, item in now.items()}
    return PodMemory(
        StrataMixture(mixture.idle, strata),
        {
            key: before.recent.get(key, Recent()).after(of_candidate.get(key, (0, 0)), fade)
            for key in strata
        },
        before.stable.after(of_stable, fade),
        {**newest, **{proxy: item for proxy, item in known.items() if proxy not in newest}},
    )


def _gained_by_pod(
    before: Mapping[str, ProxyPods], now: Mapping[str, ProxyPods]
) -> tuple[dict[str, Count], Count]:
    """Return what was added by each pod of the candidate, and by all of stable's.

    A pod or a proxy that is seen first, or began anew, adds nothing yet.
    """
    by_pod: dict[str, Count] = {}
    requests = errors = 0
    for proxy, (life, candidate, stable) in now.items():
        known_life, known_candidate, known_stable = before.get(proxy, (life, {}, {}))
        if known_life != life:
            continue
        for address, count in candidate.items():
            gained = _gained(count, known_candidate.get(address))
            old = by_pod.get(address, (0, 0))
            by_pod[address] = (old[0] + gained[0], old[1] + gained[1])
        for address, count in stable.items():
            gained = _gained(count, known_stable.get(address))
            requests, errors = requests + gained[0], errors + gained[1]
    return by_pod, (requests, errors)


def _gained(now: Count, before: Count | None) -> Count:
    if before is None or now[0] < before[0]:
        return 0, 0
    return now[0] - before[0], max(0, now[1] - before[1])


def _newest(before: ProxyPods | None, now: ProxyPods) -> ProxyPods:
    """Return the counters to go on from: an answer that is older than the last moves nothing."""
    if before is None or before[0] != now[0]:
        return now
    candidate, stable = (
        {
            address: known[address] if _is_older(count, known.get(address)) else count
            for address, count in pods.items()
        }
        for known, pods in zip(before[1:], now[1:], strict=True)
    )
    return now[0], candidate, stable


def _is_older(now: Count, before: Count | None) -> bool:
    return before is not None and is_older(now[0], before[0])


def _judge_pods(memory: PodMemory, names: Mapping[str, str], look: Look) -> tuple[Judgement, str]:
    """Return the judgement, and what a Fail of `errors` should say of the pods; empty: nothing."""
    strata, tolerance = memory.mixture.strata, look.plan.tolerance
    worst = max(strata, key=lambda key: strata[key].log_e, default="")
    own = memory.recent.get(worst, Recent())
    siblings = _sum_recent(memory.recent[key] for key in strata if key != worst)

    log_e, enough = memory.mixture.log_e, -math.log(look.plan.false_rollback)
    limit = min(1.0, (1 + tolerance.relative) * siblings.share + tolerance.absolute)
    stands_out = siblings.requests > 0 and own.share > limit
    figures = _compare_pods(names.get(worst, worst), own, siblings, memory.stable)

    if stands_out and log_e >= enough:
        verdict, reason = Verdict.INCONCLUSIVE, Reason.POD_STANDS_OUT
        message = (
            f"{figures}; evidence {wording.odds_against(log_e)} (holds at "
            f"{wording.odds_against(enough)}): look at its node and its log, or delete the pod"
        )
    else:
        verdict, reason = Verdict.PASS, Reason.NOTHING_AGAINST
        message = f"none of {len(strata)} pods stands out; of the worst: {figures}"
        if len(strata) < FEWEST:
            message = "the candidate has one pod, so there is none to compare it with"

    judgement = Judgement(
        NAME,
        verdict,
        reason,
        message,
        memory=look.stamp(memory),
        since=wording.timestamp(look.base.since),
    )
    if reason is Reason.POD_STANDS_OUT:  # the worst of several is no value of the candidate's
        judgement = replace(judgement, candidate=own.share, baseline=siblings.share, limit=limit)
    return judgement, figures if stands_out and log_e >= NAMED_FROM else ""


def _sum_recent(parts: Iterable[Recent]) -> Recent:
    requests = errors = 0.0
    for part in parts:
        requests, errors = requests + part.requests, errors + part.errors
    return Recent(requests, errors)


def _compare_pods(name: str, own: Recent, siblings: Recent, stable: Recent) -> str:
    return (
        f"pod {name} answers {own.share:.1%} with errors, its siblings {siblings.share:.1%}, "
        f"stable {stable.share:.1%}"
    )
