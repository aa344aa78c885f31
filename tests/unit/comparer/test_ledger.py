"""What is counted, and when counting begins anew."""

from datetime import UTC, datetime, timedelta

from slipway.api.golden import Compare
from slipway.api.modelroute import Shadow, ShadowOutput
from slipway.api.pairs import MOST_SAMPLES, PairOutcomes
from slipway.api.shadow_orders import ShadowOrder
from slipway.comparer.ledger import MOST_STABLES, Drop, Ledger, PairTally
from slipway.comparer.pair import Outcome, Verdict

RULE = ShadowOutput(name="y", compare=Compare.EQUAL)
SAME = Verdict(Outcome.OK, Outcome.OK, {"y": True})


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def order(revision: str = "bbbbbbbb", **more: object) -> ShadowOrder:
    shadow = Shadow(revision=revision, **more)
    return ShadowOrder(route="digits", stable="aaaaaaaa", shadow=shadow)


def count_one(ledger: Ledger, stable: str = "aaaaaaaa", verdict: Verdict = SAME) -> None:
    book = ledger.find("digits")
    assert book is not None
    book.begin()
    book.settle(stable, verdict)


def test_an_order_for_another_candidate_or_by_other_rules_begins_anew() -> None:
    ledger = Ledger(Clock())
    ledger.follow([order()])
    count_one(ledger)
    first = ledger.pairs()[0].since
    ledger.follow([order(percent=10, max_pairs_per_second=5)])
    assert (ledger.pairs()[0].since, ledger.pairs()[0].agreed) == (first, 1)
    ledger.follow([order(outputs=[RULE])])
    assert ledger.pairs() == []
    assert ledger.copies()[0].since > first
    ledger.follow([])
    assert ledger.is_empty


def test_every_outcome_has_its_own_count() -> None:
    ledger = Ledger(Clock())
    ledger.follow([order()])
    for stable in Outcome:
        for candidate in Outcome:
            count_one(ledger, verdict=Verdict(stable, candidate))
    outcomes = ledger.pairs()[0].outcomes
    assert outcomes == PairOutcomes(**dict.fromkeys(PairOutcomes.model_fields, 1))
    assert (outcomes.same, outcomes.candidate_worse, outcomes.stable_worse) == (3, 3, 3)


def test_revisions_of_stable_are_told_apart_and_bounded() -> None:
    ledger = Ledger(Clock())
    ledger.follow([order()])
    for number in range(MOST_STABLES + 1):
        count_one(ledger, stable=f"{number:08}")
    copies = ledger.copies()[0]
    assert len(ledger.pairs()) == MOST_STABLES
    assert (copies.taken, copies.active, copies.dropped.broken) == (MOST_STABLES + 1, 0, 1)


def test_half_a_millisecond_more_of_a_model_that_answers_in_one_says_nothing() -> None:
    tally = PairTally()
    tally.count_times(900, 1500)
    tally.count_times(2000, 4000)
    edges = [1.0, 2.0]
    assert sum(tally.ratios) == len(edges)
    found = [number for number, count in enumerate(tally.ratios) if count]
    assert found[1] - found[0] == 8, "one doubling"


def test_samples_are_the_newest_and_bounded() -> None:
    assert PairTally().samples.maxlen == MOST_SAMPLES


def test_every_reason_to_drop_is_a_field_of_the_page() -> None:
    ledger = Ledger(Clock())
    ledger.follow([order()])
    book = ledger.find("digits")
    assert book is not None
    for why in Drop:
        book.begin()
        book.drop(why)
    assert ledger.copies()[0].dropped.total == len(Drop)
