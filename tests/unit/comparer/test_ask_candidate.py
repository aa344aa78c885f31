"""What goes to the candidate, and what its answers mean."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from slipway.comparer.ask_candidate import (
    FLAGS_HEADER,
    SHADOW_HEADER,
    Candidate,
    CandidateUnreachable,
    headers_of_copy,
)
from slipway.comparer.copied import Copy, Oversized, Part
from slipway.comparer.held import HeldCopies
from slipway.render.envoy import ROUTE_HEADER

from tests.unit.comparer.exchanges import part

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST = {":method": "POST", ":path": "/v2/models/m/infer?x=%20", ROUTE_HEADER: "digits"}


@asynccontextmanager
async def asking(folder: Path, answer: Answer) -> AsyncIterator[Candidate]:
    """Serve on a socket as Envoy does for copies."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    socket = folder / "shadow.sock"
    await web.UnixSite(runner, str(socket)).start()
    candidate = Candidate(socket, HeldCopies())
    try:
        yield candidate
    finally:
        await candidate.close()
        await runner.cleanup()


def a_copy() -> Copy:
    return Copy(request=part(b"{}", **REQUEST))


async def ask(candidate: Candidate, seconds: float = 5, most_bytes: int = 1000) -> Part:
    return await candidate.ask(a_copy(), seconds=seconds, most_bytes=most_bytes)


def test_a_copy_has_the_users_headers_but_those_of_the_connection() -> None:
    headers = {
        **REQUEST,
        ":authority": "digits.vision",
        "content-length": "2",
        "connection": "close",
        "accept-encoding": "gzip",
        "inference-header-content-length": "2",
    }
    assert headers_of_copy(headers, "digits") == {
        "host": "digits.vision",
        "accept-encoding": "gzip",
        "inference-header-content-length": "2",
        ROUTE_HEADER: "digits_shadow",
        SHADOW_HEADER: "true",
    }


def test_a_copy_of_grpc_asks_for_trailers_which_envoy_takes_away() -> None:
    found = headers_of_copy({**REQUEST, "content-type": "application/grpc+proto"}, "digits")
    assert found["te"] == "trailers"


async def test_the_answer_is_read_whole_with_its_headers(tmp_path: Path) -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.Response(body=b"four", headers={"X-Slipway-Took": "1200"})

    async with asking(tmp_path, answer) as candidate:
        found = await ask(candidate)
    assert (found.body, found.took_micros, found.is_whole) == (b"four", 1200, True)
    assert seen == [REQUEST[":path"]]


async def test_an_answer_that_does_not_come_in_time_is_a_failed_one(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with asking(tmp_path, answer) as candidate:
        assert (await ask(candidate, seconds=0.05)).headers[":status"] == "504"


async def test_an_answer_that_breaks_off_is_a_failed_one(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with asking(tmp_path, answer) as candidate:
        assert (await ask(candidate)).headers[":status"] == "502"


async def test_a_large_answer_is_given_up(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b" " * 1001)

    async with asking(tmp_path, answer) as candidate:
        with pytest.raises(Oversized):
            await ask(candidate)


async def test_an_answer_of_envoys_own_says_that_no_pod_took_the_copy(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={FLAGS_HEADER: "UH"})

    async with asking(tmp_path, answer) as candidate:
        with pytest.raises(CandidateUnreachable):
            await ask(candidate)


async def test_a_pod_that_ends_during_the_request_has_failed(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={FLAGS_HEADER: "UC"})

    async with asking(tmp_path, answer) as candidate:
        assert (await ask(candidate)).headers[":status"] == "503"


async def test_without_envoy_the_candidate_is_unreachable(tmp_path: Path) -> None:
    candidate = Candidate(tmp_path / "none.sock", HeldCopies())
    with pytest.raises(CandidateUnreachable):
        await ask(candidate)
    await candidate.close()
