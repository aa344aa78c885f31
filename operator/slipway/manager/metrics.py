"""Counts of passes."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from slipway.manager.health import Sample


class Passes:
    """How many passes there were, how they went, and how long they took."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def passed(self, kind: str, result: str, seconds: float) -> None:
        """Take note of one pass."""
        self._count[kind, result] += 1
        self._seconds[kind] += seconds

    def samples(self) -> Iterator[Sample]:
        """Return the metrics."""
        for (kind, result), count in sorted(self._count.items()):
            yield f'passes_total{{kind="{kind}",result="{result}"}}', count
        for kind, seconds in sorted(self._seconds.items()):
            yield f'pass_seconds_sum{{kind="{kind}"}}', seconds
