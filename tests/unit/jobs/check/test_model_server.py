"""Which answers are the model's, and which say only that nobody could be asked."""

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer as Loopback
from slipway.answers.tensors import Tensor
from slipway.jobs.check.model_server import ErrorResponse, Unreachable, open_http_server

X = {"x": Tensor("FP32", np.ones((1, 3), np.float32))}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ErrorResponse), (500, ErrorResponse), (502, Unreachable), (503, Unreachable)],
)
async def test_a_server_that_is_busy_has_not_answered(status: int, kind: type[Exception]) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"error": "exceeds maximum queue size"}, status=status)

    application = web.Application()
    application.router.add_post("/v2/models/m/infer", refuse)

    async with (
        Loopback(application) as loopback,
        open_http_server(f"127.0.0.1:{loopback.port}", "m") as server,
    ):
        with pytest.raises(kind, match="exceeds maximum queue size"):
            await server.infer(X)
