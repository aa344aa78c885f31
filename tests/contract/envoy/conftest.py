from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.contract.envoy.harness import Router
from tests.contract.envoy.model import Model
from tests.unit.agent.fake_api import FakeApi

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
StartModel = Callable[[str], Awaitable[Model]]


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def models() -> AsyncIterator[tuple[Model, Model]]:
    """A stable and a candidate pod."""
    pair = Model(STABLE), Model(CANDIDATE)
    for model in pair:
        await model.start()
    yield pair
    for model in pair:
        await model.stop()


@pytest.fixture
async def router(
    tmp_path: Path, api: FakeApi, models: tuple[Model, Model]
) -> AsyncIterator[Router]:
    """A running router with both revisions' endpoints, and all traffic on stable."""
    router = Router(tmp_path, api)
    for model in models:
        router.serve(model)
    router.ask({STABLE: 100, CANDIDATE: 0})
    try:
        await router.start()
        yield router
    finally:
        router.stop()
