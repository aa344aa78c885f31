"""What a router pod's page of pairs says: one suite, for the real one and for the one in memory."""

from typing import Protocol

from slipway.api.pairs import Pairs, RoutePairs, ratio_edges
from slipway.api.reasons import Why
from slipway.policy.shadow.counts import count_pairs, find_entries, key_of

from tests.fakes.pairs import Order

STABLE, CANDIDATE = "0" * 8, "1" * 8
FIRST = Order("digits", STABLE, CANDIDATE, since="2026-01-01T00:00:00.000Z")
LATER = "2026-01-01T00:01:00.000Z"


class Pod(Protocol):
    """A router pod with its comparer."""

    async def give(self, order: Order | None) -> None:
        """Tell it what to compare; None: nothing."""

    async def compare(
        self,
        pairs: int,
        *,
        worse: int = 0,
        better: int = 0,
        both: int = 0,
        differing: int = 0,
        ratio: float = 1.0,
    ) -> None:
        """Let it compare so many pairs that end like this."""

    async def restart(self) -> None:
        """End the comparer, and begin another one with the same order."""

    async def stop(self) -> None:
        """End the comparer."""

    async def read(self) -> Pairs | Why:
        """Read its page as the operator does."""

    async def read_older(self) -> Pairs | Why:
        """Read the page of a pod whose agent is older than pairs are."""


async def page_of(pod: Pod) -> Pairs:
    found = await pod.read()
    assert isinstance(found, Pairs)
    return found


async def entry_of(pod: Pod, stable: str = STABLE, candidate: str = CANDIDATE) -> RoutePairs:
    [(_, entry)] = find_entries([await page_of(pod)], "digits", stable, candidate)
    return entry


async def key(pod: Pod) -> str:
    [(page, entry)] = find_entries([await page_of(pod)], "digits", STABLE, CANDIDATE)
    return key_of(page, entry)


class PairsContract:
    """The fixture `pod` comes from who inherits."""

    async def test_an_older_agent_is_a_reason(self, pod: Pod) -> None:
        assert isinstance(await pod.read_older(), Why)

    async def test_before_the_first_order_a_page_has_no_pairs(self, pod: Pod) -> None:
        page = await page_of(pod)
        assert (page.pairs, page.copies) == ([], [])

    async def test_every_pair_is_counted_by_what_became_of_it(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(10, worse=2, better=1, both=1, differing=3)
        entry = await entry_of(pod)
        outcomes = entry.outcomes
        assert (outcomes.total, outcomes.candidate_worse, outcomes.stable_worse) == (10, 2, 1)
        assert outcomes.same == 7
        assert (entry.agreed, entry.disagreed) == (3, 3)
        assert outcomes.ok_ok == entry.agreed + entry.disagreed == sum(entry.ratios)

    async def test_times_are_counted_where_both_answered(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(4, worse=1, ratio=2.0)
        await pod.compare(3, ratio=8.0)
        entry = await entry_of(pod)
        assert len(entry.ratios) == len(ratio_edges()) + 1
        counts = count_pairs(await page_of(pod), entry, slower_than=1.3)
        assert (counts.timed, counts.slower, counts.much_slower) == (6, 6, 3)
        assert counts.is_sound

    async def test_what_differs_is_kept_without_the_payload(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(30, differing=30)
        samples = (await entry_of(pod)).samples
        assert 0 < len(samples) <= 20
        assert samples[0].input_digest.startswith("sha256:")
        assert samples[0].output == "probabilities"

    async def test_counts_grow_as_long_as_the_order_is_the_same(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(5)
        before = await key(pod)
        await pod.give(Order("digits", STABLE, CANDIDATE, since=LATER))
        await pod.compare(5)
        assert (await entry_of(pod)).outcomes.total == 10
        assert await key(pod) == before

    async def test_another_candidate_is_counted_anew(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(5)
        await pod.give(Order("digits", STABLE, "2" * 8, since=LATER))
        await pod.compare(3)
        assert (await entry_of(pod, candidate="2" * 8)).outcomes.total == 3
        assert find_entries([await page_of(pod)], "digits", STABLE, CANDIDATE) == []

    async def test_another_stable_is_counted_for_itself(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(5)
        await pod.give(Order("digits", "3" * 8, CANDIDATE, since=LATER))
        await pod.compare(3)
        assert (await entry_of(pod, stable="3" * 8)).outcomes.total == 3

    async def test_without_an_order_nothing_is_shown(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(5)
        await pod.give(None)
        page = await page_of(pod)
        assert (page.pairs, page.copies) == ([], [])

    async def test_a_comparer_that_restarts_counts_from_nothing_and_says_so(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(5)
        before = await key(pod)
        await pod.restart()
        await pod.compare(2)
        assert (await entry_of(pod)).outcomes.total == 2
        assert await key(pod) != before

    async def test_what_a_comparer_counted_is_there_when_it_runs_no_more(self, pod: Pod) -> None:
        await pod.give(FIRST)
        await pod.compare(5)
        before = await page_of(pod)
        await pod.stop()
        after = await page_of(pod)
        assert (await entry_of(pod)).outcomes.total == 5
        assert after.at == before.at is not None
