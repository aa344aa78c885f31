"""Pods that the cluster calls not ready: one that answers keeps its requests, another does not."""

import time

import aiohttp
from slipway.agent.doubts import ANSWER_SECONDS
from slipway.agent.pods import read_addresses
from slipway.render import envoy

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

HEADER = {"x-model-candidate": "true"}
HANGS_SECONDS, MARGIN_SECONDS = 3600.0, 5.0


async def is_asked(model: Model, times: int = 2) -> None:
    """Wait until the agent has asked the pod so often, and so has done what it does first."""
    before = model.questions
    await until("the pod is asked", lambda: model.questions >= before + times)


async def is_out(router: Router, model: Model) -> None:
    """Wait until Envoy sends nothing to the pod."""

    async def holds() -> bool:
        connector = aiohttp.UnixConnector(str(router.directory / envoy.ADMIN_SOCKET))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://envoy/clusters?format=json") as answer,
        ):
            clusters = (await answer.json())["cluster_statuses"]
        hosts = {each["name"]: each.get("host_statuses", []) for each in clusters}
        return (model.host, model.http_port) not in read_addresses(hosts)

    await until("Envoy does without the pod", holds)


async def test_the_api_server_is_back_and_calls_every_pod_not_ready(
    router: Router, models: tuple[Model, Model], api: FakeApi
) -> None:
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    writes = len(api.applies)

    async with steady_load(router.url) as load:
        await api.stop()
        for model in models:
            router.serve(model, unready=True)
        await api.start()
        for model in models:
            await is_asked(model)
        for model in models:
            router.serve(model)

    assert not load.failures
    assert len(api.applies) == writes


async def test_it_does_so_while_the_agent_starts_again(
    router: Router, models: tuple[Model, Model], api: FakeApi
) -> None:
    stable = models[0]
    async with steady_load(router.url) as load:
        await api.stop()
        router.kill(router.agent)
        router.serve(stable, unready=True)
        await api.start()
        router.start_agent()
        await is_asked(stable)
        router.serve(stable)

    assert not load.failures


async def test_a_server_that_is_gone_is_answered_for_at_once(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable = models[0]
    await stable.stop()
    router.serve(stable, unready=True)
    await is_out(router, stable)
    load = await send_many(router.url, 20)
    assert dict(load.failures) == {"status 503": 20}


async def test_a_server_that_hangs_is_answered_for_after_a_second(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable = models[0]
    stable.delay_seconds = HANGS_SECONDS
    began = time.monotonic()
    router.serve(stable, unready=True)
    await is_out(router, stable)
    assert time.monotonic() - began < ANSWER_SECONDS + MARGIN_SECONDS

    load = await send_many(router.url, 20)
    assert dict(load.failures) == {"status 503": 20}


async def test_a_server_whose_model_is_gone_is_answered_for_at_once(
    router: Router, models: tuple[Model, Model]
) -> None:
    stable = models[0]
    stable.http_status = 400
    router.serve(stable, unready=True)
    await is_out(router, stable)


async def test_a_candidate_that_never_was_ready_gets_nothing_though_it_answers(
    router: Router, models: tuple[Model, Model]
) -> None:
    late = Model("cccccccc")
    await late.start()
    router.serve(late, unready=True)
    header = {"name": "x-model-candidate", "value": "true"}
    weights = {STABLE: 100, late.revision: 0}
    router.ask(weights, candidate=late.revision, candidateHeader=header)
    await router.in_force(weights)

    router.serve(models[0], unready=True)
    await is_asked(models[0])
    plain, pinned = await send_many(router.url, 50), await send_many(router.url, 20, HEADER)

    assert (plain.revisions, dict(pinned.failures)) == ({STABLE: 50}, {"status 503": 20})
    assert (late.headers_seen, late.questions) == ([], 0)
    await late.stop()


async def test_a_candidate_that_lost_its_readiness_gives_its_share_away_without_a_loss(
    router: Router, models: tuple[Model, Model]
) -> None:
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    async with steady_load(router.url) as load:
        router.serve(models[1], unready=True)
        await router.in_force({STABLE: 100, CANDIDATE: 0})
    assert not load.failures


async def test_of_two_pods_only_the_one_that_answers_is_left(
    router: Router, models: tuple[Model, Model]
) -> None:
    """The one crashed, and the other is called not ready with its node."""
    stable = models[0]
    ports = {"http": stable.http_port, "grpc": stable.grpc_port}
    other = Model(STABLE, "127.0.0.2", http_port=stable.http_port, grpc_port=stable.grpc_port)
    await other.start()
    hosts = (stable.host, other.host)
    router.api.put_endpoints(f"digits-{STABLE}", ports, ready=hosts)
    async with steady_load(router.url):
        await until("both are asked", lambda: bool(stable.headers_seen and other.headers_seen))

    await other.stop()
    async with steady_load(router.url) as load:
        router.api.put_endpoints(f"digits-{STABLE}", ports, unready=hosts)
        await is_out(router, other)
        await is_asked(stable)
    assert not load.failures
