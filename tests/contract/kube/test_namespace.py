"""A namespace that is being deleted while a ModelDeployment in it lives on.

On a whole cluster its controllers end that moment at once. This API server has none: there it lasts
until the test ends it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest

from tests.bench import operator
from tests.bench.apiserver import run_api_server
from tests.bench.asked import spec_of
from tests.bench.people import People, connect_people

pytestmark = pytest.mark.cluster

NAMESPACE, NAME = "vision", "digits"
SECONDS = 90.0
"""A refused write is tried again every 30 s."""


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[People]:
    """Serve the API, and run the operator beside it."""
    async with AsyncExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, run_api_server())
        found = await stack.enter_async_context(connect_people(server))
        await found.define()
        await found.namespace(NAMESPACE)
        await stack.enter_async_context(operator.run_operator(server, tmp_path))
        yield found


async def trouble(users: People, *, is_there: bool) -> str:
    """Wait until the status says Stalled, or says nothing of it; return the message."""
    async with asyncio.timeout(SECONDS):
        async for _, found in users.watch(kinds.MODEL_DEPLOYMENT):
            told = found.get("status", {}).get("conditions", ())
            said = [entry["message"] for entry in told if entry["type"] == "Stalled"]
            if told and bool(said) is is_there:
                return "".join(said)
    raise AssertionError


async def number_of_revisions(users: People) -> int:
    found = await users.get(kinds.CONTROLLER_REVISION.path(NAMESPACE))
    return len(found["items"])


async def test_its_deletion_is_a_condition_that_ends_when_the_namespace_is_back(
    users: People,
) -> None:
    await users.create(NAME, NAMESPACE)
    await trouble(users, is_there=False)
    await users.delete(f"/api/v1/namespaces/{NAMESPACE}")
    change: Manifest = {"spec": spec_of(2)}
    assert await users.patch(kinds.MODEL_DEPLOYMENT.path(NAMESPACE, NAME), change)
    said = await trouble(users, is_there=True)
    assert f"namespace {NAMESPACE} because it is being terminated" in said
    assert await number_of_revisions(users) == 1

    gone = await users.get(f"/api/v1/namespaces/{NAMESPACE}")
    await users.put(f"/api/v1/namespaces/{NAMESPACE}/finalize", {**gone, "spec": {}})
    await users.namespace(NAMESPACE)
    await trouble(users, is_there=False)
    assert await number_of_revisions(users) == 2
