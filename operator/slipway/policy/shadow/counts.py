"""The pairs of a rollout, summed over router pods and over restarts of their comparers.

A comparer counts from its start, and from the order that it was given, on. What an earlier run of
it counted is kept here, so that no pair is lost and none counts twice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field

from slipway.api.pairs import Pairs, RoutePairs, ratio_edges

MUCH = 4.0
"""Times as long as the other side: what chance does not do to one request of many."""
MOST_PODS = 16
MOST_SAMPLES = 5
MOST_PAIRS = 10**12
"""More than any rollout has; larger numbers are none that a comparer counted."""


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Counts of pairs; the sum of several is what all of them have seen."""

    pairs: int = 0
    """Requests that both were asked."""
    worse: int = 0
    """Of these, those on which the candidate alone made an error, or the worse one."""
    better: int = 0
    """Those on which stable did."""
    both: int = 0
    """Those on which both made the same kind of error."""
    agreed: int = 0
    """Pairs of answers that are the same within their rules."""
    differing: int = 0
    """Pairs of answers that are not."""
    timed: int = 0
    """Pairs of answers whose times are known."""
    slower: int = 0
    """Of these, those in which the candidate took longer than the limit allows."""
    much_slower: int = 0
    """Those in which it took `MUCH` times as long as stable."""
    much_faster: int = 0
    """Those in which stable took `MUCH` times as long as the candidate."""
    dropped: int = 0
    """Copies that made no pair."""

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(*(map(sum, zip(astuple(self), astuple(other), strict=True))))

    @property
    def is_sound(self) -> bool:
        """Whether numbers like these can come about."""
        parts = (
            self.worse + self.better + self.both,
            self.agreed + self.differing,
            self.timed,
        )
        return (
            all(0 <= number <= MOST_PAIRS for number in astuple(self))
            and all(part <= self.pairs for part in parts)
            and max(self.slower, self.much_slower + self.much_faster) <= self.timed
        )


NO_PAIRS = PairCounts()


@dataclass(frozen=True, slots=True)
class PairsMemory:
    """What was counted so far, by router pod."""

    past: PairCounts = NO_PAIRS
    """Of comparers that run no more, or count anew."""
    last: Mapping[str, tuple[str, PairCounts]] = field(default_factory=dict)
    """By pod: which counting it is, and its newest counts."""

    @property
    def total(self) -> PairCounts:
        """All pairs of the rollout."""
        return sum((counts for _, counts in self.last.values()), self.past)

    def encode(self) -> str:
        """Return the text for status."""
        last = {pod: [key, astuple(counts)] for pod, (key, counts) in self.last.items()}
        return json.dumps({"past": astuple(self.past), "last": last}, separators=(",", ":"))


def decode_memory(text: str | None) -> PairsMemory:
    """Return what was stored; nothing, where Slipway did not write it: then counting goes on."""
    try:
        found = json.loads(text or "")
        past = PairCounts(*map(int, found["past"]))
        last = {
            str(pod): (str(key), PairCounts(*map(int, counts)))
            for pod, (key, counts) in found["last"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return PairsMemory()
    memory = PairsMemory(past, last)
    return memory if memory.total.is_sound else PairsMemory()


def key_of(page: Pairs, entry: RoutePairs) -> str:
    """Return what tells one counting from another: the comparer's start, and its order."""
    return f"{page.proxy} {page.start} {entry.since}"


def find_entries(
    pages: Iterable[Pairs | None], route: str, stable: str, candidate: str
) -> list[tuple[Pairs, RoutePairs]]:
    """Return what the pages have of a candidate beside stable."""
    return [
        (page, entry)
        for page in pages
        if page is not None
        for entry in page.entries(route)
        if (entry.stable, entry.candidate) == (stable, candidate)
    ]


def add_pages(
    memory: PairsMemory,
    found: Iterable[tuple[Pairs, RoutePairs]],
    *,
    slower_than: float,
    earlier: Iterable[str] = (),
) -> PairsMemory:
    """Return the memory after a look; `slower_than` is a ratio of times.

    `earlier` are countings of orders before this one, which are no evidence of this rollout. Counts
    that are lower than before, or cannot be, are an older or a broken page, and change nothing.
    """
    past, last = memory.past, dict(memory.last)
    ignored = frozenset(earlier)
    for page, entry in found:
        key, counts = key_of(page, entry), count_pairs(page, entry, slower_than)
        if key in ignored or not counts.is_sound:
            continue
        before = last.get(page.proxy)
        if before is not None and before[0] == key and before[1].pairs > counts.pairs:
            continue
        if before is not None and before[0] != key:
            past += before[1]
        last[page.proxy] = (key, counts)

    while len(last) > MOST_PODS:
        past += last.pop(next(iter(last)))[1]
    return PairsMemory(past, last)


def count_pairs(page: Pairs, entry: RoutePairs, slower_than: float) -> PairCounts:
    """Return the counts of one entry of a page."""
    outcomes, edges = entry.outcomes, ratio_edges()
    ratios = entry.ratios if len(entry.ratios) == len(edges) + 1 else []
    dropped = sum(
        item.dropped.total
        for item in page.copies
        if (item.name, item.candidate) == (entry.name, entry.candidate)
    )

    def above(ratio: float) -> int:
        """Count the pairs above the first edge that is not below the ratio."""
        number = next((at for at, edge in enumerate(edges) if edge >= ratio), len(edges))
        return sum(ratios[number + 1 :])

    return PairCounts(
        pairs=outcomes.total,
        worse=outcomes.candidate_worse,
        better=outcomes.stable_worse,
        both=outcomes.refused_refused + outcomes.failed_failed,
        agreed=entry.agreed,
        differing=entry.disagreed,
        timed=sum(ratios),
        slower=above(slower_than),
        much_slower=above(MUCH),
        much_faster=sum(ratios) - above(1 / MUCH),
        dropped=dropped,
    )
