"""Pages of pods whose images are not ours: whatever they send is a reason, and stops nobody."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from slipway.adapters import pod_pages
from slipway.adapters.prometheus import parse_answer
from slipway.adapters.router_counters import AgentCounters, parse_counters
from slipway.adapters.triton import LOAD_METRICS, TritonMetrics
from slipway.api.reasons import Why
from slipway.api.triton_metrics import parse_samples

GOOD_METRICS = b'nv_inference_request_success{model="digits",version="1"} 9\n'
GOOD_COUNTERS = b'{"proxy":"p","envoyStart":"1","at":"2026-01-01T00:00:00Z","routes":[]}'

Reader = AgentCounters | TritonMetrics
READERS: dict[str, Callable[[int], Reader]] = {
    "router counters": lambda port: AgentCounters(port=port),
    "load": lambda port: TritonMetrics(port=port),
    "failures": lambda port: TritonMetrics(port=port),
}


async def read(name: str, reader: Reader) -> object:
    if isinstance(reader, AgentCounters):
        return await reader.read("127.0.0.1")
    if name == "load":
        return await reader.read_load("127.0.0.1", "digits")
    return await reader.read_failures("127.0.0.1", "digits")


def is_nothing(found: object) -> bool:
    return found is None or isinstance(found, Why)


def good_page(name: str) -> bytes:
    return GOOD_COUNTERS if name == "router counters" else GOOD_METRICS


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def pod(answer: Callable[[str], Awaitable[bytes]]) -> AsyncIterator[tuple[int, list[str]]]:
    """Run a server that sends raw bytes; yield its port and the paths that were asked for."""
    asked: list[str] = []
    answering: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked.append(request.split()[1])
            writer.write(await answer(request))
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)  # else a later test finds them


async def read_from(name: str, answer: bytes) -> tuple[object, list[str]]:
    async def send(_: str) -> bytes:
        return answer

    async with pod(send) as (port, asked):
        reader = READERS[name](port)
        try:
            return await read(name, reader), asked
        finally:
            await reader.close()


@pytest.mark.parametrize("name", READERS)
async def test_a_good_page_is_read(name: str) -> None:
    found, _ = await read_from(name, http(good_page(name)))
    assert not is_nothing(found)


@pytest.mark.parametrize("name", READERS)
async def test_no_redirect_is_followed(name: str) -> None:
    location = "Location: /somewhere-else"
    found, asked = await read_from(name, http(good_page(name), location, status="302 Found"))
    assert is_nothing(found)
    assert len(asked) == 1


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "an error": lambda page: http(page, status="500 Oh"),
    "no content": lambda _: http(b"", status="204 No Content"),
    "compressed": lambda page: http(gzip.compress(page), "Content-Encoding: gzip"),
    "a bomb": lambda _: http(gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip"),
    "too long": lambda _: http(b"#" * (17 * 2**20)),
    "longer than it says": lambda page: http(page).replace(b"Length: ", b"Length: 9"),
    "no http": lambda _: b"\x00\xff" * 100,
    "an endless header": lambda page: http(page, "X: " + "x" * 100_000),
    "a thousand headers": lambda page: http(page, *(f"X-{n}: {n}" for n in range(40_000))),
    "a wrong length": lambda page: http(page).replace(b"Length: ", b"Length: -"),
    "not text": lambda _: http(b'nv_inference_request_success{\xff} 1\n{"\xff'),
    "another document": lambda _: http(b"[[1]]\nnv_inference_request_success{} x"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("what", HOSTILE)
async def test_what_cannot_be_trusted_is_nothing(name: str, what: str) -> None:
    found, _ = await read_from(name, HOSTILE[what](good_page(name)))
    assert is_nothing(found) or found == await untouched(name)


async def untouched(name: str) -> object:
    """Return what the good page says: many headers, for example, are no reason to refuse it."""
    found, _ = await read_from(name, http(good_page(name)))
    return found


@pytest.mark.parametrize("name", READERS)
async def test_a_page_that_never_ends_has_a_budget_of_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_pages, "TIMEOUT_SECONDS", 0.05)

    async def hang(_: str) -> bytes:
        await asyncio.sleep(60)
        return b""

    async with pod(hang) as (port, _):
        reader = READERS[name](port)
        began = time.monotonic()
        assert is_nothing(await read(name, reader))
        await reader.close()

    assert time.monotonic() - began < 30


async def test_no_cookie_of_a_pod_is_sent_to_another() -> None:
    requests: list[str] = []

    async def answer(request: str) -> bytes:
        requests.append(request)
        return http(GOOD_METRICS, "Set-Cookie: who=me; Path=/")

    async with pod(answer) as (port, _):
        triton = TritonMetrics(port=port)
        await triton.read_load("127.0.0.1", "digits")
        await triton.read_load("127.0.0.1", "digits")
        await triton.close()

    assert len(requests) == 2
    assert not any("cookie" in request.lower() for request in requests)


# ── parsing, which holds up the event loop ──

LINE = b"nv_inference_request_success{"
PAGES: dict[str, bytes] = {
    "the line that ended every pass": b"nv_inference_request_success,+Inf{, =-1}e",
    "the same, with a name that is read": LINE + b", =-1}e",
    "a label without an end": LINE + b'model="' + b"x" * 1_000_000,
    "a label of escapes": LINE + b'model="' + b"\\" * 1_000_000 + b'"} 1',
    "a thousand labels": LINE + b'a="b",' * 100_000 + b"} 1",
    "spaces": LINE + b" " * 1_000_000 + b"} 1",
    "braces": LINE + b"}" * 1_000_000,
    "a number without an end": LINE + b'model="digits"} ' + b"1" * 1_000_000,
    "lines": b"\n" * 1_000_000,
    "series": (LINE + b'model="digits"} 1\n') * 20_000,
    "numbers": b"1e999999 " * 100_000,
}


@pytest.mark.parametrize("page", PAGES)
def test_a_metrics_page_takes_no_more_time_than_its_length_explains(page: str) -> None:
    began = time.process_time()
    found = parse_samples(PAGES[page], "digits", LOAD_METRICS)
    assert time.process_time() - began < 0.5
    assert is_nothing(found) or found == []


COUNTERS = b'{"proxy":"p","envoyStart":"1","at":"2026-01-01T00:00:00Z","routes":['
DOCUMENTS: dict[str, bytes] = {
    "routes without a field": COUNTERS + b"{}," * 1_000_000 + b"{}]}",
    "a number without an end": COUNTERS + b'{"requests":' + b"1" * 1_000_000 + b"}]}",
    "brackets": COUNTERS + b"[" * 1_000_000,
    "counts that are none": COUNTERS + b'{"latency":{"counts":[' + b'"a",' * 1_000_000 + b"1]}}]}",
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_counters_document_takes_no_more_time_than_its_length_explains(what: str) -> None:
    began = time.process_time()
    assert parse_counters(DOCUMENTS[what]) is None
    assert time.process_time() - began < 1.5


def answers() -> Iterator[bytes]:
    start = b'{"status":"success","data":{"resultType":"vector","result":['
    yield start + b"{}," * 300_000 + b"{}]}}"
    labels = b",".join(b'"l%d":1' % number for number in range(100_000))
    yield start + b'{"metric":{' + labels + b'},"value":[1,"1"]}]}}'
    yield start + b'{"metric":{},"value":["x","1"]}' * 2 + b"]}}"


@pytest.mark.parametrize("body", list(answers()), ids=["items", "labels", "broken"])
def test_an_answer_of_prometheus_takes_no_more_time_than_its_length_explains(body: bytes) -> None:
    began = time.process_time()
    found = parse_answer(body, 100)
    assert isinstance(found, Why)
    assert found.reason == "AnswerMalformed"
    assert time.process_time() - began < 1.5
