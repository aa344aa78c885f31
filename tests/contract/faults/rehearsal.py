"""A rollout with default settings, in virtual time, of answers that were really given.

The state machine, the check's result, the comparer's counts and the judges are the operator's own;
the small world of the unit tests stands for the cluster, as in `tests.bench.analysis.rollouts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from slipway.api.counters import Counters
from slipway.api.modeldeployment import Outcome, Stage
from slipway.api.modeldeployment.rollout import Rollout
from slipway.api.reasons import Reason
from slipway.api.result import CheckResult
from slipway.policy.facts import JobFact

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.rollouts.climb import Climb
from tests.contract.faults.checked import GOLDEN_SET
from tests.contract.faults.tape import Tape
from tests.contract.faults.users import Comparer, Users
from tests.unit.policy.world import PROXIES

GIVE_UP_SECONDS = 24 * 3600
SEED = 7


class Caught(StrEnum):
    """Which part of a rollout refused a version."""

    SIGNATURE = "signature"
    GOLDEN_SET = "golden set"
    SHADOW = "shadow"
    STEPS = "steps"
    BAKE = "bake"
    HELD = "held"
    """No part refused it, and none was sure enough by the deadline: a person has to decide."""
    NOT = "not"

    @property
    def is_before_users(self) -> bool:
        return self in {Caught.SIGNATURE, Caught.GOLDEN_SET, Caught.SHADOW}

    @property
    def is_refusal(self) -> bool:
        return self not in {Caught.HELD, Caught.NOT}


BY_OUTCOME = {
    Outcome.PROMOTED: Caught.NOT,
    Outcome.REJECTED_BY_SIGNATURE: Caught.SIGNATURE,
    Outcome.REJECTED_BY_GOLDEN_SET: Caught.GOLDEN_SET,
    Outcome.REJECTED_BY_SHADOW: Caught.SHADOW,
    Outcome.ROLLED_BACK: Caught.STEPS,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout ended."""

    caught: Caught
    why: str
    """Reason and numbers, in the words of status."""
    shadow: str
    """What the shadow came to, likewise; empty: the rollout ended before."""
    pairs: int
    """Requests that both were asked in the shadow."""
    seconds: int
    """From the beginning of the rollout."""
    served: tuple[int, ...]
    """Numbers of the users' requests that the candidate answered until then."""

    @property
    def minutes(self) -> int:
        """Return the time, in whole minutes."""
        return round(self.seconds / 60)


class Rehearsal(Climb):
    """The world, in which both versions were really checked, and really answer."""

    users: Users | None = None
    checks: Mapping[str, CheckResult]
    """By version."""

    def answers(self) -> Sequence[Counters | None]:
        if self.users is None:
            return super().answers()
        return self.users.counters(self.candidate_and_stable(), self.now)

    def _load(self) -> None:
        """Requests come by the tick."""

    def _compare(self) -> None:
        """Likewise."""

    def _checked(self, job: JobFact) -> CheckResult:
        return self.checks[self.versions[job.subject.split(".")[0]]]

    def ask_with_defaults(self, version: str, shadow: Mapping[str, str]) -> None:
        """Ask for a version with the defaults of the schema, which the tests' builders have not."""
        rollout = {"bakeSeconds": Rollout().bake_seconds, "analysis": {}, "shadow": dict(shadow)}
        self.ask_for(version, rollout=rollout, model={"goldenSet": GOLDEN_SET})


def rehearse(
    tape: Tape, checks: Mapping[str, CheckResult], *, shadow: Mapping[str, str] | None = None
) -> Ending:
    """Roll version 2 out.

    Args:
        tape: what users ask, and what both versions answer.
        checks: results of the check by version, 1 and 2.
        shadow: of the spec, where it differs from the defaults.

    """
    world = Rehearsal(SEED)
    world.checks = checks
    world.ask_with_defaults("1", {})
    world.settle()
    assert world.serving() == "1", world.log

    stable = world.candidate_and_stable()[1]
    comparers = {name: Comparer(name, world.now) for name in PROXIES}
    world.comparers = dict(comparers)
    world.users = users = Users(tape, comparers, SEED)
    world.ask_with_defaults("2", shadow or {})

    begun, stage = world.now, None
    while (caught := _find_end(world, stage)) is None:
        assert (world.now - begun).total_seconds() < GIVE_UP_SECONDS, world.log
        stage = _stage(world)
        for comparer in comparers.values():
            comparer.follow(stable, world.shadow, world.now)
        users.pass_tick(world.weight / 100, stable)
        world.advance(TICK)
        world.acknowledge()
        world.look()
    return _ending(world, caught, int((world.now - begun).total_seconds()))


def _stage(world: Rehearsal) -> Stage | None:
    rollout = world.md.status.rollout
    return rollout.stage if rollout is not None else None


def _find_end(world: Rehearsal, stage: Stage | None) -> Caught | None:
    """Return how it ended, if it has; `stage` is that of the last look."""
    status = world.md.status
    if any(entry.reason == Reason.DEADLINE_EXCEEDED for entry in status.conditions):
        return Caught.HELD
    ends = [entry.outcome for entry in status.history if entry.version == "2"]
    if not ends:
        return None
    caught = BY_OUTCOME[ends[-1]]
    return Caught.BAKE if (caught, stage) == (Caught.STEPS, Stage.BAKING) else caught


def _ending(world: Rehearsal, caught: Caught, seconds: int) -> Ending:
    assert world.users is not None
    status = world.md.status
    shadow = status.rollout.shadow if status.rollout is not None else None
    said = [entry.reason for entry in status.history if entry.version == "2"]
    return Ending(
        caught=caught,
        why=said[-1] if said else world.log[-1],
        shadow=shadow.message if shadow is not None else "",
        pairs=shadow.pairs if shadow is not None else 0,
        seconds=seconds,
        served=tuple(world.users.served),
    )
