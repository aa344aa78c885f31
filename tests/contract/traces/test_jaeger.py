"""What a person sees: a client's trace in a real Jaeger, through real Envoy and real Triton."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio
import tritonclient.http.aio
from slipway.render.traces import ROUTER_SERVICE, ServerTraces

from tests.cluster import build
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.traces import jaeger
from tests.contract.traces.collector import Span
from tests.contract.traces.jaeger import JAEGER, Jaeger
from tests.contract.triton import models
from tests.contract.triton.server import Running, a_traced_server, running
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

pytestmark = pytest.mark.traces

CALLER = "00f067aa0ba902b7"
Ask = Callable[[Router, dict[str, str]], Awaitable[None]]
MANY = 20
"""Requests, of which both revisions get some when each has half of the weight."""
LOST = 15
"""Of so many gRPC requests this Triton may trace none: it loses some, as docs/tracing.md says."""
VERSIONS = {STABLE: "1", CANDIDATE: "2"}
SPANS = 4
"""Of one request: the router's, and Triton's for the request, the model, and its computing."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    try:
        build.build_programs([JAEGER], Progress())
    except ClusterError as problem:
        pytest.skip(str(problem))
    with jaeger.running(tmp_path_factory.mktemp("jaeger") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, seen: Jaeger) -> Iterator[dict[str, Running]]:
    """A stable and a candidate, which are told about traces as the operator tells them."""
    with ExitStack() as stack:
        started = {}
        for revision, version in VERSIONS.items():
            repository = tmp_path_factory.mktemp("repository")
            models.add_classifier(repository)
            traced = ServerTraces(
                endpoint=seen.endpoint,
                model="digits",
                namespace="vision",
                revision=revision,
                version=version,
            )
            server = running(
                a_traced_server("digits", traced), repository, tmp_path_factory.mktemp("scratch")
            )
            started[revision] = stack.enter_context(server)
        yield {revision: server.wait_ready() for revision, server in started.items()}


@pytest.fixture
async def router(
    tmp_path: Path, servers: dict[str, Running], seen: Jaeger
) -> AsyncIterator[Router]:
    """A router in a rollout: each revision has half of the weight."""
    api = FakeApi()
    await api.start()
    router = Router(tmp_path, api, collector=seen.endpoint, sampling_percent=0)
    for revision, server in servers.items():
        ports = {"http": server.ports["http"], "grpc": server.ports["grpc"]}
        api.put_endpoints(f"digits-{revision}", ports, ready=("127.0.0.1",))
    router.ask({STABLE: 50, CANDIDATE: 50})
    try:
        await router.start()
        await router.in_force({STABLE: 50, CANDIDATE: 50})
        yield router
    finally:
        router.stop()
        await api.stop()


async def ask_http(router: Router, headers: dict[str, str]) -> None:
    async with tritonclient.http.aio.InferenceServerClient(f"127.0.0.1:{router.port}") as client:
        await client.infer("digits", [pixels(tritonclient.http)], headers={**headers})


async def ask_grpc(router: Router, headers: dict[str, str]) -> None:
    async with tritonclient.grpc.aio.InferenceServerClient(f"127.0.0.1:{router.port}") as client:
        await client.infer("digits", [pixels(tritonclient.grpc)], headers=headers)


def pixels(module: object) -> object:
    tensor = module.InferInput("pixels", [1, 4], "FP32")  # type: ignore[attr-defined]
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    return tensor


def a_traceparent(flags: str = "01") -> tuple[str, dict[str, str]]:
    """Return a new trace's id, and the header of a client that is part of it."""
    trace = secrets.token_hex(16)
    return trace, {"traceparent": f"00-{trace}-{CALLER}-{flags}"}


async def told(seen: Jaeger, router: Router, asked: list[str]) -> dict[str, list[Span]]:
    """Return the spans of traces, by trace, once all of them have come.

    Router and servers send theirs in order, so they have when those of later requests are there.
    """
    later = [a_traceparent() for _ in range(MANY)]
    for _, headers in later:
        await ask_http(router, headers)
    for trace, _ in later:
        await until(f"{trace} is whole", lambda trace=trace: len(seen.spans(trace)) == SPANS)
    return {trace: seen.spans(trace) for trace in asked}


def below(spans: list[Span], parent: str) -> list[Span]:
    """Return spans one below the other, from a parent on."""
    by_parent = {span.parent: span for span in spans}
    found = []
    while parent in by_parent:
        found.append(by_parent[parent])
        parent = found[-1].id
    return found


@pytest.mark.parametrize(
    ("ask", "lost"), [pytest.param(ask_http, 0, id="HTTP"), pytest.param(ask_grpc, LOST, id="gRPC")]
)
async def test_a_clients_trace_goes_through_router_and_triton_with_the_revision_that_answered(
    router: Router, seen: Jaeger, ask: Ask, lost: int
) -> None:
    asked = [a_traceparent() for _ in range(MANY)]
    for _, headers in asked:
        await ask(router, headers)
    found = await told(seen, router, [trace for trace, _ in asked])

    whole = [spans for spans in found.values() if len(spans) == SPANS]
    assert len(whole) >= MANY - lost
    for spans in whole:
        chain = below(spans, CALLER)
        assert [span.name for span in chain] == ["digits", "InferRequest", "digits", "compute"]
        services = [span.tags["service.name"] for span in chain]
        assert services == [ROUTER_SERVICE, "digits", "digits", "digits"]
        assert {span.tags["slipway.modeldeployment"] for span in chain} == {"digits"}
        [revision] = {str(span.tags["slipway.revision"]) for span in chain}
        assert chain[-1].tags["service.version"] == VERSIONS[revision]
    assert {revision_of(spans) for spans in whole} == {STABLE, CANDIDATE}

    rest = [spans for spans in found.values() if len(spans) != SPANS]
    assert [[span.tags["service.name"] for span in spans] for spans in rest] == [
        [ROUTER_SERVICE]
    ] * len(rest)


def revision_of(spans: list[Span]) -> str:
    return str(spans[0].tags["slipway.revision"])


async def test_what_its_client_does_not_trace_nobody_traces(router: Router, seen: Jaeger) -> None:
    untraced, headers = a_traceparent("00")
    for _ in range(MANY):
        await ask_http(router, headers)
        await ask_grpc(router, headers)

    assert await told(seen, router, [untraced]) == {untraced: []}
