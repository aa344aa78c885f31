"""A check whose candidate is still loading its model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer as Loopback
from slipway.api.request import CheckRequest
from slipway.api.result import CheckVerdict
from slipway.errors import JobFailure
from slipway.jobs.check.check_candidate import check_candidate

METADATA = {"name": "m", "inputs": [], "outputs": []}
REFUSALS = 5
"""Answers while the model is loaded: the check asks again after 0.2, 0.4 and 0.5 s."""


@asynccontextmanager
async def loading() -> AsyncIterator[str]:
    """Serve a model that is loaded after more than a second."""
    left = REFUSALS

    async def answer(_request: web.Request) -> web.Response:
        nonlocal left
        left -= 1
        if left >= 0:
            return web.json_response({"error": "Request for unknown model"}, status=400)
        return web.json_response(METADATA)

    async def forbid(_request: web.Request) -> web.Response:
        return web.json_response({"error": "not allowed"}, status=403)

    application = web.Application()
    application.router.add_get("/v2/models/m", answer)
    application.router.add_get("/v2/models/m/config", forbid)
    async with Loopback(application) as loopback:
        yield f"127.0.0.1:{loopback.port}"


async def test_the_time_of_a_check_begins_when_the_model_is_loaded() -> None:
    async with loading() as address:
        request = CheckRequest(http=address, model_name="m", start_seconds=30, timeout_seconds=1)
        result = await check_candidate(request, lambda: None)
    assert result.verdict is CheckVerdict.PASS


async def test_a_model_that_is_not_loaded_in_its_time_is_named() -> None:
    async with loading() as address:
        request = CheckRequest(http=address, model_name="m", timeout_seconds=1)
        with pytest.raises(JobFailure, match="unknown model"):
            await check_candidate(request, lambda: None)
