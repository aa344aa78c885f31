"""``python -m tests.soak [--promotions N] [--rollbacks N]``: good and bad versions in turn.

Clients of every protocol send at a steady rate throughout. Operators are killed every 20 s, router
pods are deleted, and the API server stands still now and then. Prints what became of every version
and of every request. Fails where a request was lost, or a version ended otherwise than it had to.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

from slipway.api.modeldeployment import HistoryEntry, Outcome

from tests.bench.cluster.scene import NAMESPACE, Scene, a_model, make_scene
from tests.bench.table import Figure, format_table
from tests.cluster.progress import say
from tests.demo.report import describe_causes
from tests.e2e.deployed import Deployed
from tests.e2e.objects import step
from tests.e2e.operators import LEASE_TIMES, Operators
from tests.install import release
from tests.load.plan import Wire
from tests.load.pod import Load
from tests.soak.disturbances import Disturber, disturbing

NAME = "soaked"
SOUND, FAULTY = "sound.tar.gz", "failing.tar.gz"
RATES = {Wire.HTTP: 40.0, Wire.GRPC: 20.0, Wire.STREAM: 10.0}
"""Requests per second, by protocol."""
END_SECONDS = 300.0
SLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """One version."""

    version: str
    expected: Outcome
    entry: HistoryEntry
    seconds: float
    """From the apply on."""


@dataclass(slots=True)
class Soak:
    """What was seen."""

    disturber: Disturber
    ended: list[Ended] = field(default_factory=list)
    loads: dict[Wire, Load] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Ended]:
        """Versions that ended otherwise than they had to."""
        return [each for each in self.ended if each.entry.outcome is not each.expected]

    @property
    def lost(self) -> int:
        """Requests that failed and that no model failed on purpose."""
        return sum(load.total.lost for load in self.loads.values())


def run(scene: Scene, promotions: int, rollbacks: int) -> Soak:
    """Roll out so many good and bad versions, in turn, and return what was seen."""
    operators = Operators(scene.kubectl)
    with scene.serving(a_model(NAME, "first", SOUND)) as deployed, ExitStack() as stack:
        loads = {
            wire: stack.enter_context(scene.load(NAME, rate, f"load-{wire.lower()}", wire))
            for wire, rate in RATES.items()
        }
        with disturbing(scene.kubectl, NAMESPACE) as disturber:
            soak = Soak(disturber, loads=loads)
            for number, expected in enumerate(_order(promotions, rollbacks), 1):
                soak.ended.append(_roll_out(deployed, number, expected))
                _tell(soak, promotions + rollbacks)
        operators.wait_ready()
    return soak


def _order(promotions: int, rollbacks: int) -> Iterator[Outcome]:
    while promotions or rollbacks:
        if promotions:
            promotions -= 1
            yield Outcome.PROMOTED
        if rollbacks:
            rollbacks -= 1
            yield Outcome.ROLLED_BACK


def _roll_out(deployed: Deployed, number: int, expected: Outcome) -> Ended:
    version, began = f"v{number}", time.monotonic()
    is_good = expected is Outcome.PROMOTED

    deployed.apply(
        a_model(
            NAME,
            version,
            SOUND if is_good else FAULTY,
            steps=[step(25), step(50)] if is_good else [step(50)],
            strict=not is_good,
        )
    )
    entry = deployed.wait_for_end(version, END_SECONDS)
    return Ended(version, expected, entry, time.monotonic() - began)


def _tell(soak: Soak, total: int) -> None:
    last = soak.ended[-1]
    sent = sum(load.total.sent for load in soak.loads.values())
    say(
        f"{len(soak.ended)} of {total}: {last.version} {last.entry.outcome} in "
        f"{last.seconds:.0f} s; {sent:,} requests, {soak.lost} lost; "
        f"{len(soak.disturber.events)} disturbances"
    )


def make_table(scene: Scene, soak: Soak) -> list[Figure]:
    """Return the figures of a soak."""
    figures = []
    for outcome, what in ((Outcome.PROMOTED, "promotions"), (Outcome.ROLLED_BACK, "roll backs")):
        times = sorted(each.seconds for each in soak.ended if each.expected is outcome)
        if times:
            figures += [
                Figure(what, len(times), ""),
                Figure("  median, from the apply on", times[len(times) // 2], "s"),
                Figure("  the slowest", times[-1], "s"),
            ]

    figures.append(Figure("versions that ended otherwise than they had to", len(soak.wrong), "", 0))
    for wire, load in soak.loads.items():
        figures += [
            Figure(f"{wire} requests", load.total.sent, ""),
            Figure("  failed by the bad version itself", load.total.failed_by_model, ""),
            Figure("  lost", load.total.lost, "", 0),
        ]

    kinds = sorted({event.what for event in soak.disturber.events})
    for kind in kinds:
        count = sum(event.what == kind for event in soak.disturber.events)
        figures.append(Figure(kind, count, "times"))
    backs = sorted(scene.figures.decision_to_zero_seconds.values())
    if backs:
        figures += [
            Figure("decision -> weight 0 at all proxies, median", backs[len(backs) // 2], "s"),
            Figure("  nine of ten below", backs[min(len(backs) * 9 // 10, len(backs) - 1)], "s"),
            Figure("  the slowest", backs[-1], "s"),
        ]
    return figures


def explain(scene: Scene, soak: Soak) -> list[str]:
    """Say what went on during each slow roll back, and what was lost."""
    lines = []
    for back, seconds in scene.figures.decision_to_zero_seconds.items():
        if seconds > SLOW_SECONDS:
            # "NAME-VERSION TIME: TRIGGER", as Figures writes it.
            decided = datetime.fromisoformat(back.split(" ")[1].removesuffix(":")).timestamp()
            during = soak.disturber.during(decided - 1, decided + seconds)
            what = ", ".join(f"{e.what} at {e.began - decided:+.1f} s" for e in during)
            lines.append(f"  {seconds:.2f} s: {back}; during it: {what or 'no disturbance'}")

    lines += [
        f"  {each.version} had to be {each.expected}, was {each.entry.outcome}: {each.entry.reason}"
        for each in soak.wrong
    ]
    lines += [
        f"  {wire}: {describe_causes(load.records())}"
        for wire, load in soak.loads.items()
        if load.total.lost
    ]
    return lines


def main(words: list[str]) -> int:
    """Soak, print the table, and fail where something was lost or ended wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--promotions", type=int, default=100, help="good versions (default 100)")
    parser.add_argument("--rollbacks", type=int, default=100, help="bad versions (default 100)")
    options = parser.parse_args(words)

    release.up(LEASE_TIMES)
    with make_scene() as scene:
        soak = run(scene, options.promotions, options.rollbacks)
    figures = make_table(scene, soak)
    say("\n" + "\n".join([*format_table(figures), *explain(scene, soak)]))
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
