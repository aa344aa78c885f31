"""From counters to samples: what counts once, what never counts, and what is remembered."""

from datetime import datetime

import pytest
from slipway.api.counters import Counters, latency_edges
from slipway.policy.analysis.counter_deltas import (
    EARLIER_ROWS,
    FIXED,
    REFUSED,
    ROWS,
    TIMED,
    CounterBase,
    Row,
    advance_base,
    far_edges,
    load_or_begin_base,
    log_millis,
    slow_edges,
)
from slipway.policy.analysis.metric_memory import encode_state
from slipway.policy.analysis.plan import Plan

from tests.builders import NOON, counted, later

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
STEP = "2026-11-21T12:00:00.000Z"
PLAN = Plan(route="digits", candidate=CANDIDATE, stable=STABLE, step=STEP, warm_up_seconds=0)
EDGE = 28.0
"""The smallest edge of the histogram that is at least 25 ms."""


def tick(
    proxy: str, candidate: int, *, errors: int = 0, stable: int = 100, start: str = "1"
) -> Counters:
    counts = {STABLE: (stable, 0, 0), CANDIDATE: (candidate, errors, 0)}
    return counted(proxy, counts, start=start)


def gained(*ticks: Counters) -> Row:
    """Advance by one tick after the other; return all that the candidate answered."""
    base, total = load_or_begin_base(None, PLAN, NOON), (0, 0)
    for number, one in enumerate(ticks):
        base, delta = advance_base(base, [one], PLAN, later(number))
        total = total[0] + delta.candidate[0], total[1] + delta.candidate[1]
    return total


def test_what_was_counted_before_the_first_look_never_counts() -> None:
    assert gained(tick("a", 70)) == (0, 0)


def test_what_was_counted_since_counts_once() -> None:
    assert gained(tick("a", 70), tick("a", 100, errors=3), tick("a", 100, errors=3)) == (30, 3)


def test_after_a_restart_of_envoy_all_that_it_counts_is_new() -> None:
    assert gained(tick("a", 70), tick("a", 100), tick("a", 5, start="2")) == (35, 0)


def test_a_counter_that_went_back_was_reset() -> None:
    assert gained(tick("a", 70), tick("a", 8)) == (8, 0)


def test_a_proxy_that_is_new_counts_from_its_first_look() -> None:
    assert gained(tick("a", 70), tick("a", 80), tick("b", 1000), tick("b", 1002)) == (12, 0)


def test_a_proxy_that_was_born_since_counts_from_its_birth() -> None:
    young = tick("b", 40, start=later(1).isoformat())
    assert gained(tick("a", 70), young) == (40, 0)


def test_a_proxy_that_is_away_for_a_while_loses_nothing() -> None:
    assert gained(tick("a", 70), tick("b", 0), tick("b", 5), tick("a", 90)) == (25, 0)


def test_pinned_requests_and_other_routes_are_not_judged() -> None:
    first = tick("a", 0)
    routes = [
        first.routes[1].model_copy(update={"requests": 9, "pinned": True}),
        first.routes[1].model_copy(update={"requests": 9, "name": "faces"}),
    ]
    second = first.model_copy(update={"routes": [*first.routes, *routes]})
    assert gained(first, second) == (0, 0)


def test_the_base_survives_a_restart_of_the_operator() -> None:
    base, _ = advance_base(load_or_begin_base(None, PLAN, NOON), [tick("a", 70)], PLAN, later(1))
    base, _ = advance_base(base, [tick("a", 100, errors=3)], PLAN, later(2))
    assert load_or_begin_base(encode_state(base.dump()), PLAN, later(3)) == base


def test_a_base_of_another_candidate_is_none_and_nothing_was_lost() -> None:
    base, _ = advance_base(load_or_begin_base(None, PLAN, NOON), [tick("a", 70)], PLAN, later(1))
    other = Plan(route="digits", candidate="cccccccc", stable=STABLE, step=STEP)
    assert load_or_begin_base(encode_state(base.dump()), other, later(3)) == CounterBase(
        "cccccccc", "", later(3), later(3), later(3)
    )


@pytest.mark.parametrize(("moment", "lost"), [(later(10), 0), (later(61), 1)])
def test_a_step_without_a_memory_has_lost_it_unless_it_is_young(
    moment: datetime, lost: int
) -> None:
    assert load_or_begin_base(None, PLAN, moment).lost == lost


@pytest.mark.parametrize("key", EARLIER_ROWS)
def test_a_base_that_an_earlier_version_stored_goes_on_without_its_missing_columns(
    key: str,
) -> None:
    columns = EARLIER_ROWS[key]
    base, _ = advance_base(load_or_begin_base(None, PLAN, NOON), [tick("a", 70)], PLAN, later(1))
    stored = base.dump()
    rows = {
        proxy: (life, {name: (*row[:columns], *row[FIXED:]) for name, row in by_name.items()})
        for proxy, (life, by_name) in base.seen.items()
    }
    earlier = {**{name: value for name, value in stored.items() if name != ROWS}, key: rows}
    now = counted(
        "a", {STABLE: (150, 0, 3), CANDIDATE: (100, 2, 1)}, refused={STABLE: 9, CANDIDATE: 9}
    )

    after, delta = advance_base(
        load_or_begin_base(encode_state(earlier), PLAN, later(2)), [now], PLAN, later(2)
    )
    assert delta.candidate[:2] == (30, 2)
    assert not any(delta.candidate[columns:FIXED])
    assert delta.candidate[FIXED:] == (1,)

    more = counted(
        "a", {STABLE: (150, 0, 3), CANDIDATE: (100, 2, 1)}, refused={STABLE: 9, CANDIDATE: 12}
    )
    _, delta = advance_base(after, [more], PLAN, later(3))
    assert delta.candidate[REFUSED] == 3
    assert delta.candidate[TIMED] == 0


def test_an_agent_that_tells_no_refused_requests_apart_counts_all_client_errors() -> None:
    def told(client_errors: int) -> Counters:
        found = tick("a", 70)
        routes = [
            entry.model_copy(update={"client_errors": client_errors, "refused": None})
            for entry in found.routes
        ]
        return found.model_copy(update={"routes": routes})

    base, _ = advance_base(load_or_begin_base(None, PLAN, NOON), [told(4)], PLAN, later(1))
    _, delta = advance_base(base, [told(9)], PLAN, later(2))
    assert delta.candidate[REFUSED] == 5


# ── what slow is ──


def with_latencies(counts: dict[int, int]) -> Counters:
    edges = latency_edges()
    found = tick("a", 0)
    row = [counts.get(edge, 0) for edge in edges] + [0]
    latency = found.routes[0].latency.model_copy(update={"counts": row})
    routes = [found.routes[0].model_copy(update={"latency": latency}), found.routes[1]]
    return found.model_copy(update={"routes": routes})


def test_the_slowest_thousandth_has_the_edges_of_the_bucket_of_the_p999() -> None:
    few = with_latencies({56: 8_900, 108: 80, 2465: 19})
    many = with_latencies({56: 17_800, 108: 160, 2465: 40})
    many = many.model_copy(
        update={"routes": [many.routes[0].model_copy(update={"requests": 18_000}), many.routes[1]]}
    )
    assert far_edges([few], PLAN, above=EDGE) is None
    assert far_edges([many], PLAN, above=EDGE) == (1972, 2465)
    assert far_edges([many], PLAN, above=2000) == (2465,)
    assert far_edges([many], PLAN, above=5000) == ()


def test_far_edges_that_are_chosen_begin_to_count_and_stay() -> None:
    def seen(total: int, slow: int) -> Counters:
        return counted("a", {STABLE: (total, 0, slow), CANDIDATE: (total // 10, 0, slow // 10)})

    base, _ = advance_base(load_or_begin_base(None, PLAN, NOON), [seen(200, 0)], PLAN, later(1))
    assert base.far is None
    base, delta = advance_base(base, [seen(20_000, 40)], PLAN, later(2))
    assert base.far == (56_052, 60_000)
    assert delta.candidate[FIXED + len(base.edges) :] == (0, 0)

    again = load_or_begin_base(encode_state(base.dump()), PLAN, later(3))
    base, delta = advance_base(again, [seen(30_000, 90)], PLAN, later(3))
    assert base.far == again.far
    assert delta.candidate[FIXED + len(base.edges) :] == (5, 0)


def test_slow_is_above_25_milliseconds_where_stable_is_quick() -> None:
    assert slow_edges([tick("a", 0)], PLAN)[0] == (EDGE,)
    assert EDGE in latency_edges()


def test_slow_is_above_the_p90_and_the_p99_of_a_stable_that_is_not_quick() -> None:
    found = with_latencies({56: 180, 108: 18, 414: 2})
    assert slow_edges([found], PLAN) == ((56.0, 108.0), 108.0)


def test_too_few_requests_of_stable_say_not_what_slow_is() -> None:
    assert slow_edges([tick("a", 500, stable=99)], PLAN) == ((), 0.0)


def test_when_the_edges_are_found_errors_go_on_and_slow_begins() -> None:
    base, _ = advance_base(
        load_or_begin_base(None, PLAN, NOON), [tick("a", 10, stable=0)], PLAN, later(1)
    )
    base, delta = advance_base(base, [tick("a", 30, errors=2, stable=100)], PLAN, later(2))
    assert base.edges == (EDGE,)
    assert (delta.candidate[:2], delta.candidate[FIXED:]) == ((20, 2), (0,))


def test_the_typical_latency_is_that_of_the_buckets_middles() -> None:
    latency = with_latencies({108: 200}).routes[0].latency
    assert log_millis(latency) / 200 / 1000 == pytest.approx(4.57, abs=0.02)
