"""No more rollouts run at once than the settings allow; the others wait, and say so."""

from slipway.api.kinds import MODEL_DEPLOYMENT
from slipway.settings import LabelLimit, RolloutLimits

from tests.unit.reconcile.world import SETTINGS, OperatorWorld

NAMES = ("digits", "letters", "numbers")


async def serving(limits: RolloutLimits) -> OperatorWorld:
    """Return a world in which the first version of three models serves."""
    world = OperatorWorld()
    world.settings = SETTINGS.model_copy(update={"rollouts": limits})
    world.start()
    for name in NAMES:
        await world.ask_for("1", name=name)
    await world.until(lambda: all(world.serving(name) == "1" for name in NAMES))
    return world


def under_way(world: OperatorWorld) -> list[str]:
    return [name for name in NAMES if world.status(name).get("candidate")]


async def test_rollouts_of_a_namespace_take_turns_and_say_what_they_wait_for() -> None:
    world = await serving(RolloutLimits(most_per_namespace=1))
    for name in reversed(NAMES):
        await world.ask_for("2", name=name)
        await world.live(1)
    assert under_way(world) == ["numbers"]
    status, reason, message = world.condition("Reconciling", "digits")
    assert (status, reason) == ("True", "AwaitingTurn")
    assert message == (
        "waiting for its turn: 1 of 1 rollouts are under way in namespace vision, 1 came first"
    )

    order = []
    for _ in range(600):
        await world.live(1)
        assert len(under_way(world)) <= 1
        order += [name for name in under_way(world) if name not in order]
        if all(world.serving(name) == "2" for name in NAMES):
            break
    assert order == ["numbers", "letters", "digits"]
    assert all(world.serving(name) == "2" for name in NAMES)


async def test_a_new_operator_finds_the_same_line() -> None:
    world = await serving(RolloutLimits(most_per_namespace=1))
    for name in reversed(NAMES):
        await world.ask_for("2", name=name)
        await world.live(1)

    order = under_way(world)
    for _ in range(40):
        world.start()
        await world.live(20)
        assert len(under_way(world)) <= 1
        order += [name for name in under_way(world) if name not in order]
        if all(world.serving(name) == "2" for name in NAMES):
            break
    assert order == ["numbers", "letters", "digits"]


async def test_a_label_limits_whom_it_is_on_alone() -> None:
    world = await serving(RolloutLimits(most_per_label=[LabelLimit(label="pool", most=1)]))
    for name in ("digits", "letters"):
        body = {"metadata": {"labels": {"pool": "a"}}}
        world.api.patch(MODEL_DEPLOYMENT, "vision", name, body, manager="kubectl")
    for name in NAMES:
        await world.ask_for("2", name=name)
    await world.live(3)
    assert under_way(world) == ["digits", "numbers"]


async def test_first_versions_and_the_way_back_do_not_wait() -> None:
    world = await serving(RolloutLimits(most_per_namespace=1))  # three first versions at once
    await world.ask_for("2", name="letters")
    await world.until(lambda: world.serving("letters") == "2")
    await world.ask_for("2", name="digits", rollout={"bakeSeconds": 3600})
    await world.live(3)
    assert under_way(world) == ["digits"]
    await world.ask_for("1", name="letters")
    await world.until(lambda: world.serving("letters") == "1", 60)
    assert under_way(world) == ["digits"]


async def test_an_abort_takes_one_that_waits_out_of_the_line() -> None:
    world = await serving(RolloutLimits(most_per_namespace=1))
    await world.ask_for("2", name="numbers", rollout={"bakeSeconds": 3600})
    await world.live(3)
    await world.ask_for("2", name="digits")
    await world.live(3)
    assert world.condition("Reconciling")[1] == "AwaitingTurn"
    await world.act("abort")
    await world.live(3)
    assert world.condition("Stalled")[1] == "Held"
