"""A real Jaeger, all in one process, and what its API says of a trace."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.cluster.build import Program
from tests.contract.registry import servers
from tests.contract.traces.collector import Span
from tests.ports import free_port

JAEGER = Program("jaeger", "1.76.0", "./cmd/all-in-one", module="github.com/jaegertracing/jaeger")
"""The last of version 1, which is one small program; it has no pages, which npm would build."""
PORTS = {
    "collector.otlp.http": "otlp",
    "collector.otlp.grpc": "otlp-grpc",
    "collector.grpc-server": "collector-grpc",
    "collector.http-server": "collector-http",
    "query.http-server": "query",
    "query.grpc-server": "query-grpc",
    "admin.http": "admin",
}


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running one."""

    ports: dict[str, int]

    @property
    def endpoint(self) -> str:
        """Where spans are sent to, as `tracing.endpoint` has it."""
        return f"http://127.0.0.1:{self.ports['otlp']}"

    def services(self) -> set[str]:
        return set(self._ask("/api/services") or ())

    def spans(self, trace: str) -> list[Span]:
        """Return the spans of a trace; none: it is not known."""
        found = self._ask(f"/api/traces/{trace}") or []
        return [_read_span(span, each) for each in found for span in each["spans"]]

    def _ask(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.ports['query']}{path}"
        answer = urllib3.request("GET", url, retries=False, timeout=10)
        return answer.json()["data"]


def _read_span(span: dict[str, Any], trace: dict[str, Any]) -> Span:
    process = trace["processes"][span["processID"]]
    tags = {"service.name": process["serviceName"]}
    tags |= {tag["key"]: tag["value"] for tag in (*process["tags"], *span["tags"])}
    parents = [each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"]
    return Span(
        name=span["operationName"],
        trace=span["traceID"],
        id=span["spanID"],
        parent=next(iter(parents), ""),
        tags=tags,
    )


@contextmanager
def running(log: Path) -> Iterator[Jaeger]:
    """Start it on loopback ports of its own, and kill it at the end."""
    ports = {name: free_port() for name in PORTS.values()}
    flags = [f"--{flag}.host-port=127.0.0.1:{ports[name]}" for flag, name in PORTS.items()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [JAEGER.path, *flags, "--log-level=warn"], stdout=output, stderr=output
        )
    try:
        servers.wait_for_port(ports["query"], process)
        servers.wait_for_port(ports["otlp"], process)
        yield Jaeger(ports)
    finally:
        process.kill()
        process.wait(20)
