"""Two ways to the same models: a plain Triton, and the router before a Triton as rendered."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.contract.envoy.harness import Router
from tests.contract.triton import models, server
from tests.unit.agent.fake_api import FakeApi

REVISION = "aaaaaaaa"
RENDERED_ONLY = frozenset(
    {"http-restricted-api", "grpc-restricted-protocol", "log-info", "strict-readiness"}
)
"""Flags that nobody gives who starts Triton by hand: the plain server does without them."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where one of the two listens."""

    http: str
    grpc: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Both ways."""

    triton: Way
    router: Way


def write_repository(repository: Path) -> None:
    """Write one model for each trait that a request can ask for."""
    models.add_classifier(repository)
    models.add_onnx(repository)
    models.add_mirror(repository)
    models.add_stateful(repository)
    models.add_streaming(repository)
    models.add_slow(repository)
    models.add_echo(repository)


@contextlib.asynccontextmanager
async def started(scratch: Path) -> AsyncIterator[Pair]:
    """Start both; everything ends with the block."""
    for name in ("models", "plain", "rendered", "router"):
        (scratch / name).mkdir()
    write_repository(scratch / "models")

    rendered = server.a_server("digits")
    with (
        server.running(
            rendered, scratch / "models", scratch / "plain", without=RENDERED_ONLY
        ) as plain,
        server.running(rendered, scratch / "models", scratch / "rendered") as behind,
    ):
        plain.wait_ready()
        behind.wait_ready()
        async with _routed(scratch / "router", behind) as way:
            yield Pair(Way(plain.http, plain.grpc), way)


@contextlib.asynccontextmanager
async def _routed(directory: Path, behind: server.Running) -> AsyncIterator[Way]:
    api = FakeApi()
    await api.start()
    router = Router(directory, api)
    api.put_endpoints(
        f"digits-{REVISION}",
        {"http": behind.ports["http"], "grpc": behind.ports["grpc"]},
        ready=("127.0.0.1",),
    )
    router.ask({REVISION: 100})

    try:
        await router.start()
        await router.in_force({REVISION: 100})
        yield Way(f"127.0.0.1:{router.port}", f"127.0.0.1:{router.port}")
    finally:
        router.stop()
        await api.stop()
