"""``python -m tests.bench.peers [--quick] [--at-once N]``: Slipway beside Argo Rollouts."""

import argparse
import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from tests.bench.apiserver import run_api_server, wait_until_idle
from tests.bench.peers.comparison import Comparison, compare, format_comparisons
from tests.bench.peers.rounds import FULL, QUICK, Course, Size, Turn
from tests.bench.peers.sides import SIDES, define
from tests.bench.people import connect_people
from tests.cluster import go
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say
from tests.peers import argo_rollouts


async def _run(size: Size) -> list[Comparison]:
    turns: dict[str, list[Turn]] = {side.name: [] for side in SIDES}
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(run_api_server())
        people = await stack.enter_async_context(connect_people(server))
        await define(people)
        await asyncio.to_thread(wait_until_idle, server)

        course = Course(server, people, place, size)
        for number in range(size.rounds):
            # by turns also within a round: whatever drifts helps neither
            for side in SIDES if number % 2 == 0 else SIDES[::-1]:
                say(f"round {number + 1} of {size.rounds}: {side.name}")
                turns[side.name].append(await course.take_turn(side, number))

    theirs, ours = ([turn.figures for turn in turns[side.name]] for side in SIDES)
    return list(compare(size.at_once, theirs, ours))


def main() -> int:
    """Print the table; 1 where a target is missed, 2 where nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round with half as much")
    parser.add_argument("--rounds", type=int, help=f"of both, by turns; {FULL.rounds}")
    parser.add_argument("--one-by-one", type=int, metavar="N", help=f"objects; {FULL.one_by_one}")
    parser.add_argument("--at-once", type=int, metavar="N", help=f"objects; {FULL.at_once}")
    options = vars(parser.parse_args())
    size = QUICK if options.pop("quick") else FULL
    size = replace(size, **{name: number for name, number in options.items() if number})

    try:
        go.require_go()  # also where all is built: it knows where the module's CRDs are
        argo_rollouts.build_controller()
    except ClusterError as problem:
        print(f"no Argo Rollouts to compare with: {problem}", file=sys.stderr)
        return 2

    comparisons = asyncio.run(_run(size))
    say("\n" + "\n".join(format_comparisons(comparisons)))
    return int(any(comparison.is_met is False for comparison in comparisons))


if __name__ == "__main__":
    sys.exit(main())
