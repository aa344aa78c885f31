"""Gate and fail-over, over pretended time."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.agent.weights import (
    FULL,
    GIVE_UP_SECONDS,
    RETURN_SECONDS,
    ProxyWeights,
    Standing,
    decide_weights,
    resume_standing,
)
from slipway.api.modelroute import Backend, ProxyStatus

STABLE, CANDIDATE, THIRD = "aaaaaaaa", "bbbbbbbb", "cccccccc"


def backends(weights: dict[str, int], minimum: int = 1) -> list[Backend]:
    return [
        Backend(revision=name, service=f"digits-{name}", weight=weight, min_endpoints=minimum)
        for name, weight in weights.items()
    ]


def an_entry(generation: int, weights: dict[str, int]) -> ProxyStatus:
    return ProxyStatus(
        name="router-0",
        uid="u",
        generation=generation,
        hash="h",
        effective_weights=weights,
        at="2026-11-21T21:00:00Z",
    )


@dataclass
class Proxy:
    """One route of one proxy: a spec, endpoints, and the time that passes."""

    spec: list[Backend]
    ready: dict[str, int]
    generation: int = 1
    now: float = 0.0
    standing: Standing | None = None
    answering: dict[str, int] = field(default_factory=dict)
    decision: ProxyWeights = field(init=False)

    def __post_init__(self) -> None:
        self.look()

    def look(self, *, after: float = 0.0) -> dict[str, int]:
        self.now += after
        self.decision = decide_weights(
            self.spec,
            self.generation,
            self.ready,
            self.standing,
            self.now,
            answering=self.answering,
        )
        self.standing = self.decision.standing
        return dict(self.decision.effective)

    def ask(self, spec: list[Backend]) -> dict[str, int]:
        self.spec = spec
        self.generation += 1
        return self.look()

    def count(self, **ready: int) -> dict[str, int]:
        self.ready |= ready
        return self.look()


def half_and_half() -> Proxy:
    return Proxy(backends({STABLE: 50, CANDIDATE: 50}), {STABLE: 1, CANDIDATE: 1})


def test_the_spec_is_in_force_when_its_endpoints_are_there() -> None:
    proxy = half_and_half()
    assert proxy.decision.effective == {STABLE: 50, CANDIDATE: 50}
    assert proxy.decision.next_change_at is None


def test_a_weight_waits_for_its_minimum_and_the_old_weights_stay() -> None:
    proxy = Proxy(backends({STABLE: 100}), {STABLE: 2})
    asked = backends({STABLE: 50, CANDIDATE: 50}, minimum=2)

    assert proxy.ask(asked) == {STABLE: 100}
    assert proxy.decision.standing.generation == 1
    assert proxy.count(bbbbbbbb=1) == {STABLE: 100}
    assert proxy.count(bbbbbbbb=2) == {STABLE: 50, CANDIDATE: 50}
    assert proxy.decision.standing.generation == 2


def test_a_weight_of_zero_waits_for_nothing() -> None:
    proxy = half_and_half()
    proxy.count(bbbbbbbb=0)
    assert proxy.ask(backends({STABLE: 100, CANDIDATE: 0})) == {STABLE: 100, CANDIDATE: 0}


def test_the_replacement_of_a_revision_that_is_down_joins_beside_it_and_takes_over() -> None:
    proxy = Proxy(backends({STABLE: 100}), {STABLE: 1})
    proxy.count(aaaaaaaa=0, bbbbbbbb=1)
    proxy.ask(backends({STABLE: 100, CANDIDATE: 0}))
    assert proxy.decision.standing.generation == 2
    assert proxy.ask(backends({STABLE: 0, CANDIDATE: 100})) == {STABLE: 0, CANDIDATE: 100}


def test_traffic_goes_back_only_to_a_revision_with_endpoints() -> None:
    proxy = half_and_half()
    proxy.count(aaaaaaaa=0)
    proxy.ask(backends({STABLE: 100, CANDIDATE: 0}))

    assert proxy.decision.standing.generation == 1

    proxy.count(aaaaaaaa=1)
    assert proxy.decision.effective == {STABLE: 100, CANDIDATE: 0}


def test_a_weight_in_force_no_longer_waits_for_its_minimum() -> None:
    proxy = Proxy(backends({STABLE: 50, CANDIDATE: 50}, minimum=2), {STABLE: 2, CANDIDATE: 2})
    assert proxy.count(bbbbbbbb=1) == {STABLE: 50, CANDIDATE: 50}


def test_a_new_proxy_serves_with_the_endpoints_there_are_and_is_not_admitted() -> None:
    proxy = Proxy(backends({STABLE: 50, CANDIDATE: 50}), {STABLE: 1})
    assert proxy.decision.effective == {STABLE: 100, CANDIDATE: 0}
    assert not proxy.decision.standing.admitted
    assert proxy.count(bbbbbbbb=1) == {STABLE: 50, CANDIDATE: 50}
    assert proxy.decision.standing.admitted


def test_a_new_proxy_without_endpoints_gives_no_revision_traffic() -> None:
    assert Proxy(backends({STABLE: 100}), {}).decision.effective == {STABLE: 0}


def test_a_share_is_given_away_after_a_second_and_not_before() -> None:
    proxy = half_and_half()
    assert proxy.count(bbbbbbbb=0) == {STABLE: 50, CANDIDATE: 50}
    assert proxy.decision.next_change_at == GIVE_UP_SECONDS
    assert proxy.look(after=GIVE_UP_SECONDS - 0.1) == {STABLE: 50, CANDIDATE: 50}
    assert proxy.look(after=0.1) == {STABLE: 100, CANDIDATE: 0}
    assert proxy.decision.next_change_at is None


def test_a_share_comes_back_after_thirty_seconds_of_ready_endpoints() -> None:
    proxy = half_and_half()
    proxy.count(bbbbbbbb=0)
    proxy.look(after=GIVE_UP_SECONDS)

    assert proxy.count(bbbbbbbb=1) == {STABLE: 100, CANDIDATE: 0}
    assert proxy.decision.next_change_at == proxy.now + RETURN_SECONDS
    assert proxy.look(after=RETURN_SECONDS - 1) == {STABLE: 100, CANDIDATE: 0}
    assert proxy.look(after=1) == {STABLE: 50, CANDIDATE: 50}


def test_flapping_endpoints_start_the_thirty_seconds_again() -> None:
    proxy = half_and_half()
    proxy.count(bbbbbbbb=0)
    proxy.look(after=GIVE_UP_SECONDS)
    for _ in range(5):
        proxy.count(bbbbbbbb=1)
        proxy.look(after=RETURN_SECONDS - 1)
        assert proxy.count(bbbbbbbb=0) == {STABLE: 100, CANDIDATE: 0}


def test_a_new_generation_takes_the_share_back_at_once() -> None:
    proxy = half_and_half()
    proxy.count(bbbbbbbb=0)
    proxy.look(after=GIVE_UP_SECONDS)
    proxy.count(bbbbbbbb=1)
    assert proxy.ask(backends({STABLE: 40, CANDIDATE: 60})) == {STABLE: 40, CANDIDATE: 60}


def test_a_revision_that_is_still_down_is_not_tried_again_by_a_new_generation() -> None:
    proxy = half_and_half()
    proxy.count(bbbbbbbb=0)
    proxy.look(after=GIVE_UP_SECONDS)
    asked = backends({STABLE: 40, CANDIDATE: 60}, minimum=0)
    assert proxy.ask(asked) == {STABLE: 100, CANDIDATE: 0}


def test_a_share_goes_to_weighted_revisions_only() -> None:
    proxy = Proxy(backends({STABLE: 0, CANDIDATE: 100}), {STABLE: 1, CANDIDATE: 1})
    proxy.count(bbbbbbbb=0)
    assert proxy.look(after=GIVE_UP_SECONDS) == {STABLE: 0, CANDIDATE: 100}


def test_when_all_are_down_the_weights_stay_and_the_first_to_return_takes_all() -> None:
    proxy = half_and_half()
    proxy.count(aaaaaaaa=0, bbbbbbbb=0)
    assert proxy.look(after=GIVE_UP_SECONDS) == {STABLE: 50, CANDIDATE: 50}
    assert proxy.count(bbbbbbbb=1) == {STABLE: 0, CANDIDATE: 100}


def test_a_share_is_split_in_proportion() -> None:
    proxy = Proxy(
        backends({STABLE: 60, CANDIDATE: 20, THIRD: 20}), {STABLE: 1, CANDIDATE: 1, THIRD: 1}
    )
    proxy.count(cccccccc=0)
    assert proxy.look(after=GIVE_UP_SECONDS) == {STABLE: 75, CANDIDATE: 25, THIRD: 0}


def test_a_restarted_agent_keeps_the_weights_that_it_had_reported() -> None:
    asked = backends({STABLE: 50, CANDIDATE: 50}, minimum=2)
    before = resume_standing(asked, 2, an_entry(1, {STABLE: 100, CANDIDATE: 0}))
    proxy = Proxy(asked, {STABLE: 2, CANDIDATE: 1}, generation=2, standing=before)
    assert proxy.decision.effective == {STABLE: 100, CANDIDATE: 0}
    assert proxy.decision.standing.generation == 1


def test_a_restarted_agent_remembers_which_revision_had_given_up() -> None:
    asked = backends({STABLE: 50, CANDIDATE: 50})
    before = resume_standing(asked, 2, an_entry(2, {STABLE: 100, CANDIDATE: 0}))
    proxy = Proxy(asked, {STABLE: 1, CANDIDATE: 1}, generation=2, standing=before)
    assert proxy.decision.effective == {STABLE: 100, CANDIDATE: 0}
    assert proxy.look(after=RETURN_SECONDS) == {STABLE: 50, CANDIDATE: 50}


def test_a_proxy_without_an_entry_is_new() -> None:
    assert resume_standing(backends({STABLE: 100}), 1, None) is None


SPLITS = st.tuples(st.integers(0, FULL), st.integers(0, FULL)).map(
    lambda cuts: (min(cuts), max(cuts) - min(cuts), FULL - max(cuts))
)
SECONDS = st.integers(0, 320).map(lambda eighths: eighths / 8)
"""Eighths of a second, which floats add up without rounding."""
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["spec", "ready", "answering", "wait"]),
        SPLITS,
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
        SECONDS,
    ),
    max_size=30,
)


@pytest.mark.parametrize("minimum", [0, 1, 2])
@given(moves=MOVES)
def test_weights_are_whole_and_sum_to_a_hundred_whatever_happens(
    minimum: int, moves: list[tuple[str, tuple[int, int, int], tuple[int, int, int], float]]
) -> None:
    revisions = (STABLE, CANDIDATE, THIRD)
    proxy = Proxy(backends({STABLE: 100}, minimum), {STABLE: 2})

    for kind, split, ready, seconds in moves:
        if kind == "spec":
            proxy.ask(backends(dict(zip(revisions, split, strict=True)), minimum))
        elif kind == "ready":
            proxy.count(**dict(zip(revisions, ready, strict=True)))
        elif kind == "answering":
            proxy.answering = dict(zip(revisions, ready, strict=True))
        proxy.look(after=seconds)

        weights = proxy.decision.effective
        assert sum(weights.values()) == FULL
        assert all(weight >= 0 for weight in weights.values())
        asked = proxy.decision.standing.weights
        up = [name for name in revisions if asked.get(name) and proxy.ready.get(name)]
        down = [name for name in asked if not proxy.ready.get(name)]
        if up and seconds >= GIVE_UP_SECONDS:
            assert all(weights[name] == 0 for name in down), (
                "no request goes to a revision that is down"
            )
