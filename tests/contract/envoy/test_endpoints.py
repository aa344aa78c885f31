"""Weights follow the endpoints: the gate before a weight, and the agent's own fail-over."""

from slipway.agent.weights import GIVE_UP_SECONDS

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until


async def test_a_weight_waits_for_its_endpoints(router: Router) -> None:
    late = Model("cccccccc")
    await late.start()
    async with steady_load(router.url) as load:
        router.ask({STABLE: 50, late.revision: 50}, timeoutSeconds=9)
        await until("the new timeout is in force", lambda: len(router.api.applies) == 2)
        assert router.entry()["effectiveWeights"] == {STABLE: 100, CANDIDATE: 0}
        assert router.entry()["generation"] == 1
        router.serve(late)
        await router.in_force({STABLE: 50, late.revision: 50})
    await late.stop()
    assert not load.failures


async def test_a_revision_without_endpoints_gives_its_share_away(
    router: Router, models: tuple[Model, Model]
) -> None:
    candidate = models[1]
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    router.serve(candidate, ready=False)
    await candidate.stop()
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    load = await send_many(router.url, 200)
    assert (load.revisions, dict(load.failures)) == ({STABLE: 200}, {})
    assert GIVE_UP_SECONDS == 1


async def test_a_new_generation_takes_the_share_back(
    router: Router, models: tuple[Model, Model]
) -> None:
    candidate = models[1]
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    router.serve(candidate, ready=False)
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    router.serve(candidate)
    router.ask({STABLE: 40, CANDIDATE: 60})
    await router.in_force({STABLE: 40, CANDIDATE: 60})


async def test_a_pod_that_ends_serves_until_another_is_ready(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable = models[0]
    replacement = Model(STABLE)
    await replacement.start()
    async with steady_load(router.url) as load:
        router.serve(stable, ready=False, terminating=True)
        before = load.sent
        await until("requests go on", lambda: load.sent > before + 50)
        router.serve(replacement)
        await until("the replacement is asked", lambda: bool(replacement.headers_seen))
    await replacement.stop()
    assert not load.failures


async def test_churn_of_endpoints_loses_no_request_and_writes_no_status(
    router: Router, models: tuple[Model, Model], api: FakeApi
) -> None:
    pods = [models[0], Model(STABLE), Model(STABLE)]

    for pod in pods[1:]:
        await pod.start()
    writes = len(api.applies)
    async with steady_load(router.url) as load:
        for turn in range(60):
            router.serve(pods[turn % 3])
            before = load.sent
            await until("a few requests", lambda before=before: load.sent > before + 5)
    for pod in pods[1:]:
        await pod.stop()

    assert not load.failures
    assert len(api.applies) == writes
