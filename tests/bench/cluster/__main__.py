"""``python -m tests.bench.cluster [--quick] [--times N] [router] [rollback] [step] [judged]``.

Prints one table of figures.
"""

import argparse
import sys
from collections.abc import Callable

from tests.bench.cluster import judged, rollback, router, step
from tests.bench.cluster.scene import Scene, make_scene
from tests.bench.table import Figure, format_table
from tests.cluster.progress import say

PARTS: dict[str, tuple[Callable[[Scene, int], list[Figure]], int, int]] = {
    "router": (router.measure_router, 5, 2),
    "rollback": (rollback.measure_rollbacks, 10, 3),
    "step": (step.measure_steps, 5, 2),
    "judged": (judged.measure_judged, 5, 2),
}
"""By name: what measures it, how often, and how often with --quick."""


def main() -> int:
    """Print the table; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--times", type=int, help="so many repetitions of each part")
    options = parser.parse_args()

    unknown = sorted({*options.parts} - {*PARTS})
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")

    figures: list[Figure] = []
    with make_scene() as made:
        for name in options.parts or PARTS:
            measure, times, few = PARTS[name]
            often = options.times or (few if options.quick else times)
            say(f"{name}: {often} times")
            figures += measure(made, often)

    say("\n" + "\n".join(format_table(figures)))
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
