"""``python -m tests.bench.decide``: what one decision costs, over the passes of a whole rollout.

The passes are those of version 1 and version 2 in the world of the unit tests; every look at facts
is recorded and then decided again, alone, so that only `decide` is timed.
"""

import statistics
import time
from datetime import datetime

from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.rollout import decide as state_machine
from slipway.policy.rollout import rolling_back
from slipway.policy.rollout.recall import recall

from tests.bench.table import Figure, format_table
from tests.unit.policy.world import DecisionWorld

ROUNDS = 15


def record_passes() -> list[tuple[Facts, datetime]]:
    """Return facts and time of every pass of two rollouts."""
    world, passes = DecisionWorld(1), []
    see = world.facts

    def remember() -> Facts:
        facts = see()
        passes.append((facts, world.now))
        return facts

    world.facts = remember  # type: ignore[method-assign]
    for version in ("1", "2"):
        world.ask_for(version)
        world.settle(200)
    return passes


def time_decisions(passes: list[tuple[Facts, datetime]]) -> list[float]:
    """Return the microseconds of each pass, the median of `ROUNDS` in turn."""
    rounds: list[list[float]] = [[] for _ in passes]
    for _ in range(ROUNDS):
        for number, (facts, now) in enumerate(passes):
            began = time.perf_counter()
            state_machine.decide(facts, now)
            rounds[number].append((time.perf_counter() - began) * 1e6)
    return [statistics.median(times) for times in rounds]


def count_recalls(passes: list[tuple[Facts, datetime]]) -> list[int]:
    """Return how often each decision recalls what the last pass left."""
    callers = (state_machine, rolling_back)
    calls = 0

    def counted(facts: Facts) -> Decision:
        nonlocal calls
        calls += 1
        return recall(facts)

    counts = []
    for module in callers:
        vars(module)["recall"] = counted
    for facts, now in passes:
        calls = 0
        state_machine.decide(facts, now)
        counts.append(calls)
    for module in callers:
        vars(module)["recall"] = recall
    return counts


def main() -> None:
    """Print the table."""
    passes = record_passes()
    micros, recalls = time_decisions(passes), count_recalls(passes)
    figures = [
        Figure(f"decide, median of {len(passes)} passes", statistics.median(micros), "us"),
        Figure("decide, slowest pass", max(micros), "us"),
        Figure("calls of recall per decide, median", statistics.median(recalls), ""),
        Figure("calls of recall per decide, most", max(recalls), ""),
    ]
    print("\n".join(format_table(figures)))


if __name__ == "__main__":
    main()
