"""From counters to samples: what counts once, what never counts, and what is remembered."""

import json

import pytest
from slipway.api.counters import Counters, latency_edges
from slipway.policy.analysis.samples import Memory, advance, load, slow_edge

from tests.builders import counted

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
STEP = "2026-11-21T12:00:00.000Z"
EDGE = 28.0
"""The smallest edge of the histogram that is at least 25 ms."""


def tick(
    proxy: str, candidate: int, *, errors: int = 0, stable: int = 100, start: str = "1"
) -> Counters:
    counts = {STABLE: (stable, 0, 0), CANDIDATE: (candidate, errors, 0)}
    return counted(proxy, counts, start=start)


def after(*ticks: Counters, memory: Memory | None = None) -> Memory:
    """Advance by one tick after the other."""
    memory = memory or Memory(step=STEP)
    for one in ticks:
        memory = advance(memory, [one], "digits", STABLE)
    return memory


def test_what_was_counted_before_the_first_look_never_counts() -> None:
    assert after(tick("a", 70)).sums == {}


def test_what_was_counted_since_counts_once() -> None:
    memory = after(tick("a", 70), tick("a", 100, errors=3), tick("a", 100, errors=3))
    assert memory.sums[CANDIDATE] == (30, 3, 0)


def test_after_a_restart_of_envoy_all_that_it_counts_is_new() -> None:
    memory = after(tick("a", 70), tick("a", 100), tick("a", 5, start="2"))
    assert memory.sums[CANDIDATE] == (35, 0, 0)


def test_a_counter_that_went_back_was_reset() -> None:
    assert after(tick("a", 70), tick("a", 8)).sums[CANDIDATE] == (8, 0, 0)


def test_a_proxy_that_is_new_counts_from_its_first_look() -> None:
    memory = after(tick("a", 70), tick("a", 80), tick("b", 1000), tick("b", 1002))
    assert memory.sums[CANDIDATE] == (12, 0, 0)


def test_a_proxy_that_is_away_for_a_while_loses_nothing() -> None:
    memory = after(tick("a", 70), tick("b", 0), tick("b", 5), tick("a", 90))
    assert memory.sums[CANDIDATE] == (25, 0, 0)


def test_pinned_requests_and_other_routes_are_not_judged() -> None:
    first = tick("a", 0)
    routes = [
        first.routes[1].model_copy(update={"requests": 9, "pinned": True}),
        first.routes[1].model_copy(update={"requests": 9, "name": "faces"}),
    ]
    second = first.model_copy(update={"routes": [*first.routes, *routes]})
    assert after(first, second).sums[CANDIDATE] == (0, 0, 0)


def test_the_memory_survives_a_restart_of_the_operator() -> None:
    memory = after(tick("a", 70), tick("a", 100, errors=3))
    assert load(memory.dump(), STEP) == memory


@pytest.mark.parametrize(
    "text", [None, "", "no json", "[]", "{}", '{"step": "x"}', f'{{"step": "{STEP}", "seen": 3}}']
)
def test_a_memory_that_is_lost_or_of_another_step_begins_anew(text: str | None) -> None:
    assert load(text, STEP).sums == {}
    assert load(text, STEP).step == STEP


def test_the_edge_outlives_its_step_and_nothing_else_does() -> None:
    memory = after(tick("a", 70), tick("a", 100))
    assert load(memory.dump(), "another") == Memory(step="another", edge=EDGE)


def test_the_memory_of_eight_proxies_and_two_revisions_fits_into_two_kibibytes() -> None:
    memory = Memory(step=STEP)
    for total in (10**9, 2 * 10**9):
        ticks = [
            counted(
                f"slipway-router-6d5f8b7c9d-{number:05d}",
                dict.fromkeys((STABLE, CANDIDATE), (total, total // 2, total // 3)),
                start="1763725000123",
            )
            for number in range(8)
        ]
        memory = advance(memory, ticks, "digits", STABLE)
    assert len(memory.seen) == 8
    assert len(memory.dump().encode()) <= 2048
    assert json.loads(memory.dump())["step"] == STEP


# ── what slow is ──


def test_slow_is_above_25_milliseconds_where_stable_is_quick() -> None:
    assert slow_edge([tick("a", 0)], "digits", STABLE) == EDGE
    assert EDGE in latency_edges()


def test_slow_is_a_quarter_above_the_p99_of_a_stable_that_is_not_quick() -> None:
    edges = latency_edges()
    found = tick("a", 0)
    counts = [0] * (len(edges) + 1)
    counts[edges.index(108)] = 100
    slow = found.routes[0].latency.model_copy(update={"counts": counts})
    routes = [found.routes[0].model_copy(update={"latency": slow}), found.routes[1]]
    edge = slow_edge([found.model_copy(update={"routes": routes})], "digits", STABLE)
    assert edge == min(limit for limit in edges if limit >= 1.25 * 108)


def test_too_few_requests_of_stable_say_not_what_slow_is() -> None:
    assert slow_edge([tick("a", 500, stable=29)], "digits", STABLE) is None


def test_when_the_edge_is_found_counting_begins_anew() -> None:
    memory = after(tick("a", 10, stable=0), tick("a", 20, stable=10), tick("a", 30, stable=100))
    assert memory.edge == EDGE
    assert memory.sums == {}
