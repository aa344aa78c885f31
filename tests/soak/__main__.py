"""``python -m tests.soak [--promotions N] [--rollbacks N]``: good and bad versions in turn.

Clients of every protocol send at a steady rate throughout. Operators are killed every 20 s, router
pods are deleted, and the API server stands still or is slow now and then. What was counted is
written after each version, so that a run that is cut short has its figures, and `--resume` adds to
them. Prints what became of every version and of every request. Fails where a request was lost, or
a version ended otherwise than it had to.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat

from slipway.api.modeldeployment import Outcome

from tests.bench.cluster.scene import NAMESPACE, Scene, a_model, make_scene
from tests.cluster.progress import say
from tests.e2e.deployed import Deployed
from tests.e2e.operators import LEASE_TIMES, Operators
from tests.install import release
from tests.kubectl import CLONE
from tests.soak.course import RATES, SOUND, Soaked, soaking
from tests.soak.table import is_sound, render
from tests.soak.tally import Tally, read_tally, write_tally

TALLY = CLONE / ".soak/tally.json"
TABLE = TALLY.with_name("table.txt")
NAME = "soaked"
ENOUGH_MINUTES = 600.0
RATE = sum(RATES.values())


@dataclass(frozen=True, slots=True)
class SoakSize:
    """How much of it."""

    models: int
    """Side by side."""
    rate: float
    """Requests per second on each of them."""
    minutes: float
    """No version begins after these."""


def run(scene: Scene, size: SoakSize, versions: list[Outcome], tally: Tally) -> None:
    """Roll out these versions, shared by the models, as far as the time goes."""
    names = [f"{NAME}-{number}" for number in range(1, size.models + 1)]
    with ExitStack() as stack, ThreadPoolExecutor(size.models) as pool:
        stacks = [stack.enter_context(ExitStack()) for _ in names]
        soaked = list(pool.map(_serve, repeat(scene), names, repeat(size.rate), stacks))
        with soaking(scene.kubectl, NAMESPACE, soaked, tally, note) as soak:
            soak.run(versions, time.monotonic() + 60 * size.minutes)
        Operators(scene.kubectl).wait_ready()
        list(pool.map(ExitStack.close, stacks))
        soak.count()


def _serve(scene: Scene, name: str, rate: float, stack: ExitStack) -> Soaked:
    first = a_model(name, "first", SOUND)
    deployed = stack.enter_context(Deployed(scene.kubectl, scene.figures, NAMESPACE, name))
    deployed.apply(first)
    deployed.wait_for_end(first.version)
    loads = {
        wire: stack.enter_context(
            scene.load(name, share * rate / RATE, f"{name}-{wire.lower()}", wire)
        )
        for wire, share in RATES.items()
    }
    return Soaked(deployed, first, loads)


def order(promotions: int, rollbacks: int) -> Iterator[Outcome]:
    """Return good and bad ones in turn, for as long as there are both."""
    while promotions or rollbacks:
        if promotions:
            promotions -= 1
            yield Outcome.PROMOTED
        if rollbacks:
            rollbacks -= 1
            yield Outcome.ROLLED_BACK


def note(tally: Tally) -> None:
    """Write the figures so far."""
    write_tally(tally, TALLY)
    TABLE.write_text(f"{render(tally)}\n")


def main(words: list[str]) -> int:
    """Soak, print the table, and fail where something was lost or ended wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--promotions", type=int, default=100, help="good versions (default 100)")
    parser.add_argument("--rollbacks", type=int, default=100, help="bad versions (default 100)")
    parser.add_argument("--models", type=int, default=3, help="side by side (default 3)")
    parser.add_argument(
        "--rate", type=float, default=RATE, help=f"requests a second on a model (default {RATE:g})"
    )
    parser.add_argument(
        "--minutes", type=float, default=ENOUGH_MINUTES, help="begin no version after these"
    )
    parser.add_argument("--resume", action="store_true", help="add to what was counted before")
    parser.add_argument("--table", action="store_true", help="only print what was counted before")
    options = parser.parse_args(words)

    tally = read_tally(TALLY) if options.resume or options.table else Tally()
    if not options.table:
        left = order(
            max(0, options.promotions - tally.count(Outcome.PROMOTED)),
            max(0, options.rollbacks - tally.count(Outcome.ROLLED_BACK)),
        )
        release.up(LEASE_TIMES)
        with make_scene() as scene:
            size = SoakSize(options.models, options.rate, options.minutes)
            run(scene, size, list(left), tally)

    say("\n" + render(tally))
    return int(not is_sound(tally))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
