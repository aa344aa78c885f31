"""What clients notice when a part of the router, or the API server, dies: nothing."""

import asyncio
import signal
import socket
from pathlib import Path

import aiohttp
from slipway.render import envoy

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router, send_many, steady_load
from tests.contract.envoy.model import Model
from tests.ports import free_port
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until


async def test_killing_the_agent_disturbs_nobody(router: Router) -> None:
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})
    start = (await router.counters()).envoy_start
    async with steady_load(router.url) as load:
        router.kill(router.agent)
        router.start_agent()
        await until("the agent is back", lambda: router.probe("readyz"))
        router.ask({STABLE: 90, CANDIDATE: 10})
        await router.in_force({STABLE: 90, CANDIDATE: 10})
    assert not load.failures
    assert (await router.counters()).envoy_start == start


async def test_an_agent_that_restarts_writes_nothing_new(router: Router, api: FakeApi) -> None:
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    writes = len(api.applies)
    router.kill(router.agent)
    router.start_agent()
    await until("the agent is back", lambda: router.probe("readyz"))
    router.api.put_route("other", router.spec({}) | {"port": 10_999})
    await router.in_force({}, route="other")
    assert [name for name, _, _ in api.applies[writes:]] == ["other"]


async def test_the_router_is_ready_and_serves_while_the_api_server_is_away(
    router: Router, api: FakeApi
) -> None:
    async with steady_load(router.url) as load:
        await api.stop()
        router.kill(router.agent)
        router.start_agent()
        await until("the agent is ready without the API server", lambda: router.probe("readyz"))
        await api.start()
        router.ask({STABLE: 50, CANDIDATE: 50})
        await router.in_force({STABLE: 50, CANDIDATE: 50})
    assert not load.failures


async def test_endpoints_stay_when_polls_expire_as_they_do_after_a_day_at_rest(
    tmp_path: Path, api: FakeApi, models: tuple[Model, Model]
) -> None:
    stable, candidate = models
    router = Router(tmp_path, api, poll_timeout="0.2s")

    async def expired() -> bool:
        found = await router.statistics()
        return found.get(f"cluster.{envoy.AGENT_CLUSTER}.upstream_rq_timeout", 0) >= 5

    async with router.before(stable), steady_load(router.url) as load:
        await until("five polls expired", expired)
        router.serve(candidate)
        router.ask({STABLE: 50, CANDIDATE: 50})
        await router.in_force({STABLE: 50, CANDIDATE: 50})

    assert not load.failures


async def test_a_watch_that_is_too_old_lists_again(router: Router, api: FakeApi) -> None:
    lists = api.requests.count("list modelroutes")
    api.forget_history()
    await until("a new list", lambda: api.requests.count("list modelroutes") > lists)
    router.ask({STABLE: 50, CANDIDATE: 50})
    await router.in_force({STABLE: 50, CANDIDATE: 50})


async def test_envoy_starts_again_with_the_weights_in_force(router: Router) -> None:
    router.ask({STABLE: 0, CANDIDATE: 100})
    await router.in_force({STABLE: 0, CANDIDATE: 100})
    start = (await router.counters()).envoy_start
    router.kill(router.proxy)
    router.start_envoy()
    await until("the router is ready again", lambda: router.probe("readyz"))
    load = await send_many(router.url, 50)
    assert (load.revisions, dict(load.failures)) == ({CANDIDATE: 50}, {})
    found = await router.counters()
    assert found.envoy_start != start
    assert (await router.counters_of(CANDIDATE)).requests == 50


async def test_a_refused_listener_is_an_error_of_its_route_only(
    router: Router, api: FakeApi
) -> None:
    port = free_port(11_000, 19_000)
    with socket.create_server(("", port)):
        api.put_route("bad", router.spec({STABLE: 100}) | {"port": port})
        async with steady_load(router.url) as load:
            await until("the refusal is reported", lambda: "error" in router.entry("bad"))
            router.ask({STABLE: 50, CANDIDATE: 50})
            await router.in_force({STABLE: 50, CANDIDATE: 50})
    assert not load.failures
    assert "refused" in router.entry("bad")["error"]


async def test_a_port_that_another_route_has_is_an_error(router: Router, api: FakeApi) -> None:
    api.put_route("late", router.spec({STABLE: 100}))
    await until("the conflict is reported", lambda: "error" in router.entry("late"))
    assert "is taken by ModelRoute digits" in router.entry("late")["error"]
    load = await send_many(router.url, 20)
    assert not load.failures


async def test_a_route_that_is_deleted_loses_its_listener(router: Router, api: FakeApi) -> None:
    api.delete("modelroutes", "digits")

    async def refused() -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"{router.url}/v2"):
                    return False
            except aiohttp.ClientConnectionError:
                return True

    await until("the port is closed", refused)


async def test_at_rest_nobody_asks_envoy_anything(router: Router) -> None:
    await router.in_force({STABLE: 100, CANDIDATE: 0})
    async with aiohttp.UnixConnector(str(router.directory / envoy.ADMIN_SOCKET)) as connector:
        session = aiohttp.ClientSession(connector=connector, connector_owner=False)
        async with session:
            first = await _admin_requests(session)
            await asyncio.sleep(1.0)  # the time itself is what is measured here
            second = await _admin_requests(session)
    assert second - first == 1


async def _admin_requests(session: aiohttp.ClientSession) -> int:
    async with session.get("http://envoy/stats?filter=^http.admin.downstream_rq_total$") as answer:
        text = await answer.text()
    return int(text.rpartition(":")[2]) if ":" in text else 0


async def test_the_first_sigterm_drains_and_keeps_following_the_weights(router: Router) -> None:
    assert router.agent is not None
    async with steady_load(router.url) as load:
        router.agent.send_signal(signal.SIGTERM)

        async def draining() -> bool:
            return not await router.probe("healthz")

        await until("the health check fails", draining)
        router.ask({STABLE: 0, CANDIDATE: 100})
        await router.in_force({STABLE: 0, CANDIDATE: 100})
    assert not load.failures
    assert not await router.probe("readyz")
    router.kill(router.proxy)
    await until("the agent ends after Envoy", lambda: _ended(router))
    assert router.entry() == {}


def _ended(router: Router) -> bool:
    return router.agent is not None and router.agent.poll() is not None


async def test_fifty_models_need_four_inotify_instances(router: Router) -> None:
    """The kernel gives 128 to a user, and all router pods of a node are the same user."""
    for number in range(50):
        name = f"model-{number}"
        spec = router.spec({STABLE: 90, CANDIDATE: 10})
        router.api.put_route(name, spec | {"port": 19_100 + number})
    for number in range(50):
        await router.in_force({STABLE: 90, CANDIDATE: 10}, route=f"model-{number}")
    assert router.proxy is not None
    assert inotify_instances(router.proxy.pid) <= 4


def inotify_instances(process: int) -> int:
    handles = Path(f"/proc/{process}/fd").iterdir()
    return sum("inotify" in str(handle.readlink()) for handle in handles)
