"""Which weights a proxy runs: the spec's, once its endpoints are there, and its own fail-over.

Pure: endpoints are counted and the time is passed in. A proxy deviates from the spec in two cases
only, and says so in `effectiveWeights`: a revision without ready endpoints has given its share
away, or the proxy is new and some revision of the spec has no endpoints yet.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from slipway.api.modelroute import Backend, ProxyStatus

GIVE_UP_SECONDS = 1.0
"""Without a ready endpoint for so long, a revision gives its share away."""
RETURN_SECONDS = 30.0
"""With ready endpoints for so long, it gets it back."""
FULL = 100

Weights = Mapping[str, int]
"""Percent by revision."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a revision's endpoints fared; seconds of a monotonic clock."""

    ready: bool
    since: float
    given_up: bool = False
    """Its share has gone to others."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a route has in force."""

    generation: int
    backends: tuple[Backend, ...]
    admitted: bool
    """False while a new proxy waits for the endpoints of the first spec that it saw."""
    health: Mapping[str, Health]

    @property
    def weights(self) -> Weights:
        """The weights that the spec asked for."""
        return {backend.revision: backend.weight for backend in self.backends}


@dataclass(frozen=True, slots=True)
class Decision:
    """What to run now."""

    standing: Standing
    effective: Weights
    """Percent for every backend in force, also 0; the sum is 100, or 0 where nothing serves."""
    look_again: float | None
    """When the passing of time alone may change the decision."""


def resume(
    backends: Collection[Backend], generation: int, own: ProxyStatus | None
) -> Standing | None:
    """Return what an earlier life of this proxy had in force, from its own words in the status.

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
        each.revision: Health(ready=False, since=float("-inf"), given_up=True)
        for each in kept
        if each.weight > 0 and known.get(each.revision) == 0
    }
    return Standing(own.generation, kept, admitted=True, health=health)


def decide(
    backends: Collection[Backend],
    generation: int,
    ready: Mapping[str, int],
    before: Standing | None,
    now: float,
) -> Decision:
    """Return the weights to run.

    Args:
        backends: the newest spec's.
        generation: the newest spec's.
        ready: ready endpoints by revision, for the newest spec's and the standing's backends.
        before: what is in force; None for a route that this proxy has never served.
        now: seconds of a monotonic clock.

    """
    standing = _admit(tuple(backends), generation, ready, before)
    health = _observe(standing, ready, before.health if before else {}, now)
    health = _give_up(standing.weights, health, now)
    standing = replace(standing, health=health)
    return Decision(standing, _effective(standing), _deadline(standing.weights, health, now))


def _admit(
    backends: tuple[Backend, ...],
    generation: int,
    ready: Mapping[str, int],
    before: Standing | None,
) -> Standing:
    """The newest spec, once every backend whose share grows has its endpoints; then it stays.

    A share that stays or shrinks is no reason to wait: the repair of a revision that is down has
    to join the route beside it.
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


def _observe(
    standing: Standing, ready: Mapping[str, int], before: Mapping[str, Health], now: float
) -> dict[str, Health]:
    """A changed generation forgets who had given up; how long it is down, it remembers."""
    found = {}
    for revision in {each.revision for each in standing.backends} | set(ready):
        is_ready = ready.get(revision, 0) > 0
        known = before.get(revision)
        since = known.since if known and known.ready == is_ready else now
        kept = standing.health.get(revision)
        found[revision] = Health(is_ready, since, given_up=kept is not None and kept.given_up)
    return found


def _give_up(weights: Weights, health: Mapping[str, Health], now: float) -> dict[str, Health]:
    changed = dict(health)
    for revision, state in health.items():
        if weights.get(revision, 0) == 0:
            changed[revision] = replace(state, given_up=False)
        elif not state.ready and now - state.since >= GIVE_UP_SECONDS:
            changed[revision] = replace(state, given_up=True)
        elif state.ready and now - state.since >= RETURN_SECONDS:
            changed[revision] = replace(state, given_up=False)
    return changed


def _effective(standing: Standing) -> Weights:
    """Nobody gives a share away to nobody: without a taker the weights stay as they are."""
    weights, health = standing.weights, standing.health
    weighted = [revision for revision, weight in weights.items() if weight > 0]
    if not standing.admitted:
        takers = [revision for revision in weighted if health[revision].ready]
        return _shared(weights, takers)
    if not any(health[revision].given_up for revision in weighted):
        return weights
    ready = [revision for revision in weighted if health[revision].ready]
    takers = [revision for revision in weighted if not health[revision].given_up] or ready
    return _shared(weights, takers) if ready else weights


def _shared(weights: Weights, takers: Collection[str]) -> Weights:
    """Give 100 to the takers in proportion to their weights; the first take what is left over."""
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


def _deadline(weights: Weights, health: Mapping[str, Health], now: float) -> float | None:
    due = [
        state.since + (RETURN_SECONDS if state.ready else GIVE_UP_SECONDS)
        for revision, state in health.items()
        if weights.get(revision, 0) > 0 and state.given_up == state.ready
    ]
    return min((moment for moment in due if moment > now), default=None)
