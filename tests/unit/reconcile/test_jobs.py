"""When a Job counts as done: its pod says it before its own status does."""

from tests.unit.reconcile.world import OperatorWorld

GOLDEN = {"goldenSet": {"uri": "https://models.example/golden.tar"}}


async def asked_for(*, broken_source: str = "") -> OperatorWorld:
    world = OperatorWorld()
    world.controllers.counts_jobs = False
    world.controllers.broken_source = broken_source
    await world.ask_for("1", model={"source": {"uri": "s3://models/digits/1/", "digest": None}})
    return world


async def test_what_a_pod_left_is_taken_before_the_status_of_its_job_says_that_it_ended() -> None:
    world = await asked_for()
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2", model=GOLDEN)
    await world.until(lambda: world.serving() == "2")


async def test_a_pod_that_left_an_error_waits_for_what_its_job_makes_of_it() -> None:
    world = await asked_for(broken_source="403 Forbidden")
    await world.live(30)
    assert world.condition("Ready")[1] == "Packaging"

    world.controllers.counts_jobs = True
    await world.live(3)
    assert world.condition("Ready")[1] == "SourceRefused"
