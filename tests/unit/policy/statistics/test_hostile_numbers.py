"""Every formula on hostile numbers: it answers, and what it answers can be calculated with."""

import math

from hypothesis import given
from hypothesis import strategies as st
from slipway.policy.analysis import wording
from slipway.policy.analysis.external.answer import (
    Series,
    counters_by_bin,
    counters_by_labels,
    single_number,
)
from slipway.policy.statistics import agreement, dispersion, drift, eprocess, mean_windows, wilson

HUGE = 10**12
EVENTS = st.integers(0, 30) | st.integers(0, HUGE)
SECONDS = st.sampled_from([-86_400.0 * 900, -5.0, 0.0, 5.0, 180.0, 3600.0, 86_400.0 * 900])
SHARES = st.floats(0, 1)


@st.composite
def pairs(draw: st.DrawFn) -> eprocess.Pair:
    """Counts as the judge makes them: no more events than requests."""
    n_c, n_s = draw(EVENTS), draw(EVENTS)
    return eprocess.Pair(n_c, min(n_c, draw(EVENTS)), n_s, min(n_s, draw(EVENTS)))


@given(pair=pairs(), relative=st.floats(0, 1000), absolute=SHARES)
def test_bets_win_and_lose_finite_sums(
    pair: eprocess.Pair, relative: float, absolute: float
) -> None:
    won = [
        *eprocess.bet_on_worse(pair, relative, absolute),
        *eprocess.bet_on_better(pair, relative, absolute),
        *eprocess.bet_on_above(pair, absolute),
    ]
    assert all(map(math.isfinite, won))


@given(pair=pairs(), relative=st.floats(0, 1000), absolute=SHARES)
def test_without_events_of_the_candidate_nothing_speaks_against_it(
    pair: eprocess.Pair, relative: float, absolute: float
) -> None:
    clean = eprocess.Pair(pair.n_c, 0, pair.n_s, pair.k_s)
    assert max(eprocess.bet_on_worse(clean, relative, absolute)) <= 0


@given(pair=pairs(), margin=st.floats(1e-4, 1), missing=st.floats(-1e30, 1e30))
def test_a_forecast_of_requests_is_a_number_or_none(
    pair: eprocess.Pair, margin: float, missing: float
) -> None:
    needed = eprocess.needed_for_pass(pair, 1.25, margin, missing)
    assert needed is None or 0 <= needed < math.inf
    assert wording.round_up_requests(needed or 0.0)
    assert wording.time_to_plan(needed or 0.0)


@given(looks=st.lists(st.tuples(pairs(), SECONDS), max_size=12))
def test_evidence_over_any_looks_is_finite_and_its_bets_are_never_more_than_one(
    looks: list[tuple[eprocess.Pair, float]],
) -> None:
    starts, unbet = eprocess.StartMixture(), eprocess.StartMixture()
    guard = dispersion.DispersionGuard()
    for pair, seconds in looks:
        share = eprocess.share_begun_within(seconds)
        starts = starts.after(eprocess.bet_on_worse(pair, 1.25, 0.002), share)
        unbet = unbet.after((0.0,) * len(eprocess.RATIOS), share)
        guard = guard.after(pair, max(0.0, seconds))
        assert math.isfinite(starts.log_e)
        assert math.isfinite(guard.log_factor)
        assert wording.odds_against(starts.log_e)
    assert unbet.log_e <= 1e-12
    assert 0 <= unbet.kept <= 1


@given(kept=SHARES, share=SHARES)
def test_what_is_placed_and_what_is_left_are_what_there_was(kept: float, share: float) -> None:
    placed, left = eprocess.place_bets(kept, share)
    assert placed >= 0
    assert left >= 0
    assert placed + left <= kept * (1 + 1e-15)


@given(differences=st.lists(st.floats(-1500, 1500), max_size=30))
def test_a_mean_of_any_windows_is_weighed(differences: list[float]) -> None:
    windows = mean_windows.MeanWindows()
    for difference in differences:
        windows = windows.with_window(difference)
    assert math.isfinite(windows.log_e)


@given(bad=st.integers(-HUGE, HUGE), total=st.integers(-HUGE, HUGE))
def test_an_interval_lies_between_zero_and_one(bad: int, total: int) -> None:
    low, high = wilson.wilson_interval(bad, total, wilson.FAIL_Z)
    assert 0 <= low <= high <= 1


@given(worse=st.integers(0, 300), better=st.integers(0, 300), total=st.integers(0, 300))
def test_cases_that_agree_prove_a_share(worse: int, better: int, total: int) -> None:
    assert 0 <= agreement.mcnemar_p(worse, better) <= 1
    assert 0 <= agreement.lower_bound(min(worse, total), total) <= 1


NUMBERS = st.floats() | st.integers(0, HUGE).map(float)
BINS = st.dictionaries(st.text(max_size=3), NUMBERS, max_size=6)
TEXTS = (
    st.none()
    | st.text()
    | st.sampled_from(
        [
            '["s",1e9,0,0,{}]',
            '["s",-1,"x",[],{"a":[1,2]}]',
            '["s",3,0.1,0.2,{"a":[1]}]',
            '["s",1e999]',
        ]
    )
)


@given(text=TEXTS, candidate=BINS, stable=BINS)
def test_a_shift_of_any_bins_is_measured(
    text: str | None, candidate: dict[str, float], stable: dict[str, float]
) -> None:
    shift = drift.measure_shift(text, "s", candidate, stable)
    again = drift.measure_shift(shift.memory.encode(), "s", candidate, stable)
    for found in (shift, again):
        assert found.is_large in {True, False}
        assert all(math.isfinite(number) for number in (found.index, found.limit) if number)


SERIES = st.builds(
    Series, st.dictionaries(st.sampled_from("abc"), st.text(max_size=2)), st.floats()
)


@given(answer=st.lists(SERIES, max_size=4).map(tuple))
def test_any_answer_of_a_source_is_numbers_or_a_reason(answer: tuple[Series, ...]) -> None:
    number = single_number(answer)
    assert not isinstance(number, float) or math.isfinite(number)
    for found in (counters_by_labels(answer, 3), counters_by_bin(answer, "a", 3)):
        if isinstance(found, dict):
            assert all(0 <= value < math.inf for value in found.values())
