"""A collector that takes OTLP over HTTP, and can be slow, refuse, or be gone."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.ports import free_port

SCOPES = "instrumentationLibrarySpans"
"""How xds-protos calls them, by an earlier name of the same field."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a collector gets of a span."""

    name: str
    trace: str
    """32 hex digits, as the next ones have 16."""
    id: str
    parent: str
    """Empty: none."""
    tags: dict[str, Any]
    """Attributes of the span, and those of its resource."""


@dataclass
class Collector:
    """Listens on a loopback port of its own."""

    port: int = field(default_factory=lambda: free_port(30_000, 32_000))
    spans: list[Span] = field(default_factory=list)
    requests: int = 0
    status: int = 200
    keeps: bool = True
    """Batches are read; else they are taken as they come."""
    hangs: bool = False
    """Batches are taken, and never answered."""
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        application = web.Application(client_max_size=2**28)
        application.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    def of(self, trace: str) -> list[Span]:
        """Return the spans of a trace."""
        return [each for each in self.spans if each.trace == trace]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 200 and self.keeps:
            self.spans += read_spans(body, request.content_type)
        return web.Response(status=self.status)


def read_spans(body: bytes, content_type: str) -> Iterator[Span]:
    """Yield the spans of a batch, which Envoy sends as protobuf and Triton as JSON."""
    is_json = content_type == "application/json"
    batch = json.loads(body) if is_json else _from_protobuf(body)
    to_hex = str if is_json else _from_base64

    for group in batch["resourceSpans"]:
        resource = _read_attributes(group["resource"])
        scopes = group["scopeSpans" if is_json else SCOPES]
        for span in (each for scope in scopes for each in scope["spans"]):
            yield Span(
                name=span["name"],
                trace=to_hex(span["traceId"]),
                id=to_hex(span["spanId"]),
                parent=to_hex(span.get("parentSpanId", "")),
                tags=resource | _read_attributes(span),
            )


def _from_protobuf(body: bytes) -> dict[str, Any]:
    batch: dict[str, Any] = json_format.MessageToDict(ExportTraceServiceRequest.FromString(body))
    return batch


def _from_base64(text: str) -> str:
    return base64.b64decode(text).hex()


def _read_attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {
        each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes", ())
    }
