"""One version before all that could catch it: what each part says, and what users would get."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from slipway.api.result import CheckResult, CheckVerdict
from slipway.comparer.pair import Outcome

from tests.contract.faults.checked import check, record_golden_set
from tests.contract.faults.rehearsal import Caught, Ending, rehearse
from tests.contract.faults.serving import Served, serving
from tests.contract.faults.tape import Crowd, Tape
from tests.contract.faults.version import Family, Version

ASKED = 400
"""Users' requests that every version is asked, whatever caught it."""
SLOW_MICROS = 500_000
SHORTEST_MICROS = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """What users would get from a version; all but the last are shares of requests."""

    wrong: float
    """Wrong or an error, where stable's answer is right."""
    failed: float
    """HTTP 5xx."""
    slow: float
    """Longer than `SLOW_MICROS`."""
    times_as_long: float
    """Median of the candidate's time by stable's for the same request."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rehearsed rollout, and whom it hurt."""

    ending: Ending
    wronged: int
    """Users whom the candidate gave a wrong answer, and stable would have given a right one."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A version with all that was found of it."""

    family: str
    name: str
    what: str
    is_fault: bool
    rollout: Rollout
    """With default settings."""
    without_shadow: Rollout
    """With `shadow.mode: Off`."""
    measured: Measured

    @property
    def caught(self) -> Caught:
        return self.rollout.ending.caught

    @property
    def is_as_wanted(self) -> bool:
        return self.caught.is_before_users if self.is_fault else not self.caught.is_refusal


@dataclass(frozen=True, slots=True)
class Found:
    """The trials of a family, as they are kept."""

    day: str
    seconds: int
    trials: list[Trial]

    @classmethod
    def read(cls, file: Path) -> "Found":
        """Return what is kept."""
        return TypeAdapter(Found).validate_json(file.read_bytes())

    def write(self, file: Path) -> None:
        """Keep it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(TypeAdapter(Found).dump_json(self))


class Range:
    """A family's stable version on its server, beside which the others are tried."""

    def __init__(self, family: Family, stable: Served, scratch: Path) -> None:
        self._family, self._stable, self._scratch = family, stable, scratch
        self._crowd = Crowd(family)
        self._checks = 0
        record_golden_set(family, stable, scratch)
        self._first = self._check(stable, None)

    def _check(self, candidate: Served, stable: Served | None) -> CheckResult:
        self._checks += 1
        place = self._scratch / f"check-{self._checks}"
        return check(candidate, stable, self._family.name, self._scratch, place)

    def try_out(self, version: Version, *, is_fault: bool) -> Trial:
        """Serve a version, and let everything look for what is wrong with it."""
        with self._beside(version) as (tape, checks):
            rollout = without = _watch(tape, rehearse(tape, checks))
            if is_fault and checks["2"].verdict is CheckVerdict.PASS:
                without = _watch(tape, rehearse(tape, checks, shadow={"mode": "Off"}))
            return Trial(
                family=self._family.name,
                name=version.name,
                what=version.what,
                is_fault=is_fault,
                rollout=rollout,
                without_shadow=without,
                measured=_measure(tape),
            )

    def roll_out(self, version: Version) -> Ending:
        """Serve a version, and roll it out with default settings."""
        with self._beside(version) as (tape, checks):
            return rehearse(tape, checks)

    @contextmanager
    def _beside(self, version: Version) -> Iterator[tuple[Tape, dict[str, CheckResult]]]:
        """Serve a version, and check it; the results are by the number of the version."""
        with serving(version, self._family.name, self._scratch) as candidate:
            checks = {"1": self._first, "2": self._check(candidate, self._stable)}
            yield Tape(self._crowd, self._stable, candidate), checks


def _watch(tape: Tape, ending: Ending) -> Rollout:
    return Rollout(ending, sum(tape.is_wronged(number) for number in ending.served))


def _measure(tape: Tape) -> Measured:
    pairs = [tape.pair(number) for number in range(ASKED)]
    ratios = [found.micros / max(expected.micros, SHORTEST_MICROS) for expected, found in pairs]
    return Measured(
        wrong=sum(tape.is_wronged(number) for number in range(ASKED)) / ASKED,
        failed=sum(found.outcome is Outcome.FAILED for _, found in pairs) / ASKED,
        slow=sum(found.micros > SLOW_MICROS for _, found in pairs) / ASKED,
        times_as_long=statistics.median(ratios),
    )


@contextmanager
def ranging(family: Family, scratch: Path) -> Iterator[Range]:
    """Serve the family's stable version until the end of the block."""
    with serving(family.stable, family.name, scratch) as stable:
        yield Range(family, stable, scratch)
