"""Steps and deadline that the spec leaves open: chosen once, and kept until the rollout is over."""

from slipway.api.modeldeployment import Schedule
from slipway.policy.rollout.scheduling import MEASURED_WITHIN_SECONDS

from tests.unit.policy.world import DecisionWorld

CAREFUL, QUICK = [5, 10, 25, 50], [50]


class QuietWorld(DecisionWorld):
    """A world with one request in a second, and no more."""

    def _load(self) -> None:
        stable = next(iter(self.weights or {}), None)
        if stable is not None:
            self.counts["router-a"].setdefault(stable, [0, 0, 0])[0] += 1


def begun(world: DecisionWorld, seconds: int = 45, **rollout: object) -> DecisionWorld:
    """Let version 1 serve, and ask for version 2."""
    world.ask_for("1")
    world.settle(60)
    world.ask_for("2", rollout={"bakeSeconds": 600, **rollout})
    run(world, seconds)
    return world


def run(world: DecisionWorld, seconds: int) -> None:
    for _ in range(seconds):
        world.advance()
        world.reconcile()


def schedule(world: DecisionWorld) -> Schedule | None:
    rollout = world.md.status.rollout
    return rollout.schedule if rollout is not None else None


def weights_of_2(world: DecisionWorld) -> list[int]:
    found = [weights.get("2", 0) for weights in world.written_weights()]
    return [weight for weight, before in zip(found, [0, *found], strict=False) if weight != before]


def test_many_requests_climb_the_careful_steps_and_status_says_so() -> None:
    world = begun(DecisionWorld(1))
    made = schedule(world)
    assert made is not None
    assert (made.weights, made.deadline_seconds) == (CAREFUL, 3600)
    assert 150 < (made.requests_per_second or 0) < 250
    assert weights_of_2(world)[0] == 5


def test_few_requests_begin_with_half_and_have_longer() -> None:
    world = begun(QuietWorld(1), bakeSeconds=3_000)
    made = schedule(world)
    rollout = world.md.status.rollout
    assert made is not None
    assert made.weights == QUICK
    assert made.forecast_seconds is not None
    assert made.deadline_seconds == 2 * made.forecast_seconds > 3600
    assert weights_of_2(world) == [50]
    assert rollout is not None
    assert rollout.steps == 1


def test_the_first_weight_waits_until_the_requests_tell_a_rate() -> None:
    world = begun(QuietWorld(1), 20)
    rollout = world.md.status.rollout
    assert schedule(world) is None
    assert weights_of_2(world) == []
    assert rollout is not None
    assert rollout.message == "counting requests for some seconds to choose the steps"


def test_what_was_chosen_stays_whatever_the_traffic_does_and_wherever_the_operator_dies() -> None:
    world = begun(DecisionWorld(1), 15)
    made = schedule(world)
    for counts in world.counts.values():
        counts.clear()
    for number in range(6):
        world.advance()
        world.reconcile(kill_after=number % 3)
    assert made is not None
    assert schedule(world) == made


def test_steps_that_are_written_win_at_once_and_when_they_are_gone_the_chosen_ones_count() -> None:
    world = begun(QuietWorld(1))
    assert weights_of_2(world)[-1] == 50
    world.ask_for("2", rollout={"steps": [{"weight": 60}, {"weight": 70}]})
    run(world, 2)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.steps == 2

    world.ask_for("2")
    run(world, 2)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.steps == 1


def test_written_steps_wait_for_no_measurement() -> None:
    world = begun(QuietWorld(1), 20, steps=[{"weight": 5}, {"weight": 50}])
    assert weights_of_2(world) == [5]
    run(world, 30)
    made = schedule(world)
    assert made is not None
    assert made.weights == []
    assert made.deadline_seconds > 3600


def test_nothing_is_measured_where_the_spec_says_all_or_nothing_is_judged() -> None:
    off = {"mode": "Off"}
    said = begun(QuietWorld(1), 60, steps=[{"weight": 5}], deadlineSeconds=900, shadow=off)
    unjudged = begun(QuietWorld(1), 60, analysis={"mode": "Off"})
    assert schedule(said) is None
    assert schedule(unjudged) is None


class SilentWorld(DecisionWorld):
    """A world whose counters cannot be read."""

    def answers(self) -> list[None]:
        return [None, None]


def test_where_the_rate_cannot_be_known_the_defaults_count_after_a_minute() -> None:
    world = begun(SilentWorld(1), MEASURED_WITHIN_SECONDS + 10)
    assert schedule(world) == Schedule(weights=CAREFUL)
    assert weights_of_2(world) == [5]


def test_a_lost_status_goes_on_with_the_careful_steps() -> None:
    world = begun(QuietWorld(1))
    world.lose_status()
    run(world, 3)
    assert schedule(world) == Schedule(weights=CAREFUL)
