"""What Envoy is told of endpoints, and when it has them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from slipway.agent.discovery import Discovery, serve_discovery
from slipway.api.base import Manifest
from slipway.render.access import JWKS_PATH
from slipway.render.envoy import ENDPOINTS_PATH

from tests.unit.agent.waiting import until

CLUSTER = "digits/0123abcd/http"
KEY_SETS = {"digits/jwt0": '{"keys": []}'}


async def let_pass(_: web.Request) -> web.Response:
    return web.Response()


class Polls:
    """Polls as Envoy does."""

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery
        application = serve_discovery(discovery, Discovery(), KEY_SETS.get, let_pass)
        self._client = TestClient(TestServer(application))

    def publish(self, version: str) -> None:
        self.discovery.publish({CLUSTER: {"version_info": version}})

    async def poll(self, version: str | None) -> str:
        body: Manifest = {"resource_names": [CLUSTER]}
        if version is not None:
            body["version_info"] = version
        async with self._client.post(ENDPOINTS_PATH, json=body) as answer:
            found: Manifest = await answer.json()
            return str(found["version_info"])

    async def key_set(self, name: str) -> tuple[int, str]:
        async with self._client.get(f"{JWKS_PATH}/{name}") as answer:
            return answer.status, await answer.text()

    async def start(self) -> None:
        await self._client.start_server()

    async def close(self) -> None:
        await self._client.close()


@pytest.fixture
async def polls() -> AsyncIterator[Polls]:
    polls = Polls(Discovery())
    await polls.start()
    yield polls
    await polls.close()


async def test_what_was_published_is_in_force_once_envoy_reports_it(polls: Polls) -> None:
    polls.publish("a")
    assert not polls.discovery.is_in_force(CLUSTER, None)

    assert await polls.poll(None) == "a"

    assert polls.discovery.is_in_force(CLUSTER, "a")


async def test_endpoints_that_came_back_are_not_in_force_while_others_are_on_their_way(
    polls: Polls,
) -> None:
    polls.publish("a")
    await polls.poll(None)
    polls.publish("b")
    assert await polls.poll("a") == "b"
    polls.publish("a")

    # Envoy has not read the answer yet and still reports what it runs
    assert not polls.discovery.is_in_force(CLUSTER, "a")

    assert await polls.poll("b") == "a"
    assert polls.discovery.is_in_force(CLUSTER, "a")


async def test_an_answer_that_was_lost_is_forgotten_with_the_next_poll(polls: Polls) -> None:
    polls.publish("a")
    await polls.poll(None)
    polls.publish("b")
    await polls.poll("a")
    polls.publish("a")

    again = asyncio.create_task(polls.poll("a"))
    await until("the poll came", lambda: polls.discovery.is_in_force(CLUSTER, "a"))

    assert not again.done()
    again.cancel()


async def test_publishing_tells_whose_endpoints_changed() -> None:
    discovery = Discovery()
    one, two = {"version_info": "1"}, {"version_info": "2"}

    assert discovery.publish({"a": one, "b": one}) == {"a", "b"}
    assert discovery.publish({"a": one, "b": two}) == {"b"}
    assert discovery.publish({"a": one, "b": two}) == set()


async def test_a_key_set_is_handed_out_by_route_and_unavailable_before_it_is_known(
    polls: Polls,
) -> None:
    assert await polls.key_set("digits/jwt0") == (200, '{"keys": []}')
    assert (await polls.key_set("letters/jwt0"))[0] == 503
