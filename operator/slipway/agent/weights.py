"""Which weights a proxy runs: the spec's, once its endpoints are there, and its own fail-over.

Pure: endpoint counts and the time are passed in. A proxy deviates from the spec in two cases only,
and says so in `effectiveWeights`: a revision without ready endpoints has given its share away, or
the proxy is new and some revision of the spec has no endpoints yet.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from slipway.api.modelroute import Asleep, Backend, ProxyStatus

GIVE_UP_SECONDS = 1.0
"""A revision without a ready endpoint for this long gives its share away."""
RETURN_SECONDS = 30.0
"""A revision with ready endpoints for this long gets its share back."""
FULL = 100

Weights = Mapping[str, int]
"""Percent by revision."""


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """Since when a revision has had endpoints that can answer, or none.

    In seconds of a monotonic clock. As a rule these are the ready ones.
    """

    ready: bool
    since: float
    given_up: bool = False
    """Whether its share has gone to others."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a route has in force."""

    generation: int
    backends: tuple[Backend, ...]
    admitted: bool
    """False while a new proxy waits for the endpoints of the first spec that it saw."""
    health: Mapping[str, EndpointHealth]
    asleep: Asleep | None = None
    """How requests are held that find no replica; None: they are not."""

    @property
    def weights(self) -> Weights:
        """The weights that the spec asked for."""
        return {backend.revision: backend.weight for backend in self.backends}


@dataclass(frozen=True, slots=True)
class ProxyWeights:
    """The weights to run now."""

    standing: Standing
    effective: Weights
    """Percent for every backend in force, also 0; the sum is 100, or 0 where nothing serves."""
    next_change_at: float | None
    """When the weights may change by the passing of time alone; None: never."""


def resume_standing(
    backends: Collection[Backend], generation: int, own: ProxyStatus | None
) -> Standing | None:
    """Return what this proxy had in force before a restart, from its own status entry.

    None for a new proxy. A revision that had given its share away still has.
    """
    if own is None:
        return None

    known = own.effective_weights
    if own.generation == generation:
        kept = tuple(backends)
    else:
        kept = tuple(
            each.model_copy(update={"weight": known[each.revision]})
            for each in backends
            if each.revision in known
        )

    health = {
        each.revision: EndpointHealth(ready=False, since=float("-inf"), given_up=True)
        for each in kept
        if each.weight > 0 and known.get(each.revision) == 0
    }
    return Standing(own.generation, kept, admitted=True, health=health)


def decide_weights(
    backends: Collection[Backend],
    generation: int,
    ready: Mapping[str, int],
    before: Standing | None,
    now: float,
    *,
    answering: Mapping[str, int] | None = None,
) -> ProxyWeights:
    """Return the weights to run.

    Args:
        backends: the newest spec's.
        generation: the newest spec's.
        ready: ready endpoints by revision, for the newest spec's and the standing's backends.
        before: what is in force; None for a route that this proxy has never served.
        now: seconds of a monotonic clock.
        answering: endpoints that are not ready and answer all the same, by revision. They keep a
            share where no revision has any that is ready, and admit nothing.

    """
    standing = _admit_spec(tuple(backends), generation, ready, before)
    able = ready if any(ready.values()) or answering is None else answering
    health = _observe_health(standing, able, before.health if before else {}, now)
    health = _give_up_shares(standing.weights, health, now)
    standing = replace(standing, health=health)
    return ProxyWeights(
        standing, _effective_weights(standing), _next_deadline(standing.weights, health, now)
    )


def _admit_spec(
    backends: tuple[Backend, ...],
    generation: int,
    ready: Mapping[str, int],
    before: Standing | None,
) -> Standing:
    """Admit the newest spec once every backend whose share grows has its endpoints.

    A share that stays or shrinks is no reason to wait: the replacement for a revision that is down
    has to join the route beside it.
    """
    held = before.weights if before is not None and before.admitted else {}
    grows = [each for each in backends if each.weight > held.get(each.revision, 0)]
    enough = all(ready.get(each.revision, 0) >= each.min_endpoints for each in grows)

    if before is None or not before.admitted:
        return Standing(generation, backends, admitted=enough, health={})
    if before.generation == generation:
        return replace(before, backends=backends)
    if enough:
        return Standing(generation, backends, admitted=True, health={})
    return before


def _observe_health(
    standing: Standing, ready: Mapping[str, int], before: Mapping[str, EndpointHealth], now: float
) -> dict[str, EndpointHealth]:
    """A new generation forgets which revisions had given up, but not how long they are down."""
    found = {}
    for revision in {each.revision for each in standing.backends} | set(ready):
        is_ready = ready.get(revision, 0) > 0
        known = before.get(revision)
        since = known.since if known and known.ready == is_ready else now
        kept = standing.health.get(revision)
        found[revision] = EndpointHealth(
            is_ready, since, given_up=kept is not None and kept.given_up
        )
    return found


def _give_up_shares(
    weights: Weights, health: Mapping[str, EndpointHealth], now: float
) -> dict[str, EndpointHealth]:
    changed = dict(health)
    for revision, state in health.items():
        if weights.get(revision, 0) == 0:
            changed[revision] = replace(state, given_up=False)
        elif not state.ready and now - state.since >= GIVE_UP_SECONDS:
            changed[revision] = replace(state, given_up=True)
        elif state.ready and now - state.since >= RETURN_SECONDS:
            changed[revision] = replace(state, given_up=False)
    return changed


def _effective_weights(standing: Standing) -> Weights:
    """Return the weights after fail-over; without a taker they stay as they are."""
    weights, health = standing.weights, standing.health
    weighted = [revision for revision, weight in weights.items() if weight > 0]
    if not standing.admitted:
        takers = [revision for revision in weighted if health[revision].ready]
        return _share_out(weights, takers)

    if not any(health[revision].given_up for revision in weighted):
        return weights
    ready = [revision for revision in weighted if health[revision].ready]
    takers = [revision for revision in weighted if not health[revision].given_up] or ready
    return _share_out(weights, takers) if ready else weights


def _share_out(weights: Weights, takers: Collection[str]) -> Weights:
    """Split 100 among the takers in proportion; the largest remainders get what is left over."""
    total = sum(weights[revision] for revision in takers)
    if total == 0:
        return dict.fromkeys(weights, 0)

    shares = {
        revision: weight * FULL // total if revision in takers else 0
        for revision, weight in weights.items()
    }
    by_rest = sorted(takers, key=lambda revision: -(weights[revision] * FULL % total))
    for revision in by_rest[: FULL - sum(shares.values())]:
        shares[revision] += 1
    return shares


def _next_deadline(
    weights: Weights, health: Mapping[str, EndpointHealth], now: float
) -> float | None:
    due = [
        state.since + (RETURN_SECONDS if state.ready else GIVE_UP_SECONDS)
        for revision, state in health.items()
        if weights.get(revision, 0) > 0 and state.given_up == state.ready
    ]
    return min((moment for moment in due if moment > now), default=None)
