"""Every kind of client at once, and what each of them lost in the course of an event."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.demo.report import describe_causes
from tests.e2e.clients import Client, Plan, StartLoad
from tests.kubectl import until
from tests.load.plan import Wire
from tests.load.record import Totals

SIZED, LASTING = "sized", "lasting"
"""Names of the ModelDeployments: for requests of any size, and for those that last."""
MEGABYTE = 2**20
LONG_SECONDS = 60.0
STREAM_SECONDS = 30.0
SPARE_SECONDS = 5.0
PATIENCE = 40.0
"""Of clients: longer than a router pod that stands still is left alone."""

KINDS = {
    "HTTP/1.1": Plan(SIZED, suffix="-http", rate=8.0, timeout_seconds=PATIENCE),
    "HTTP/2": Plan(SIZED, wire=Wire.HTTP2, suffix="-http2", rate=6.0, timeout_seconds=PATIENCE),
    "gRPC": Plan(SIZED, wire=Wire.GRPC, suffix="-grpc", rate=6.0, timeout_seconds=PATIENCE),
    "gRPC stream, messages in turn": Plan(
        SIZED, wire=Wire.STREAM, suffix="-stream", rate=4.0, timeout_seconds=PATIENCE
    ),
    "gRPC stream of 30 s, decoupled": Plan(
        LASTING,
        wire=Wire.TICKS,
        suffix="-ticks",
        rate=0.5,
        answer_seconds=STREAM_SECONDS,
        timeout_seconds=STREAM_SECONDS + PATIENCE,
    ),
    "body of 5 MB": Plan(
        SIZED,
        wire=Wire.BODY,
        suffix="-5mb",
        rate=0.5,
        body_bytes=5 * MEGABYTE,
        timeout_seconds=2 * PATIENCE,
    ),
    "body of 64 MB": Plan(
        SIZED,
        wire=Wire.BODY,
        suffix="-64mb",
        rate=0.1,
        body_bytes=64 * MEGABYTE,
        timeout_seconds=4 * PATIENCE,
    ),
    "request of 60 s": Plan(
        LASTING,
        wire=Wire.LASTING,
        suffix="-60s",
        rate=0.5,
        answer_seconds=LONG_SECONDS,
        timeout_seconds=LONG_SECONDS + 2 * PATIENCE,
    ),
    "connection idle for 30 s": Plan(
        SIZED, wire=Wire.IDLE, suffix="-idle", rate=0.8, timeout_seconds=PATIENCE
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kind of client saw of one event."""

    totals: Totals
    causes: str


@dataclass(slots=True)
class Clients:
    """All kinds of clients, and what they saw."""

    running: dict[str, Client]
    seen: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    """By event, by kind."""

    @contextmanager
    def through(self, event: str) -> Iterator[None]:
        """Count what ends while the body runs, and until all that was in flight then has ended."""
        began = time.time()
        before = {kind: client.load.total for kind, client in self.running.items()}
        yield
        self._await_all_sent_before(time.time())
        self.seen[event] = {
            kind: Outcome(
                client.load.total.minus(before[kind]),
                describe_causes(client.load.records(since=int(began))),
            )
            for kind, client in self.running.items()
        }
        print(self.table([event]), flush=True)

    def _await_all_sent_before(self, moment: float) -> None:
        longest = max(plan.answer_seconds for plan in KINDS.values()) + SPARE_SECONDS

        def is_over() -> bool:
            newest = (client.load.records()[-1].t for client in self.running.values())
            return min(newest) > moment + longest

        until(is_over, "all that was in flight", longest + 120)

    def lost(self, event: str) -> dict[str, str]:
        """Return the kinds that lost requests, with how many, and what they saw."""
        return {
            kind: f"{found.totals.lost} of {found.totals.sent}: {found.causes}"
            for kind, found in self.seen[event].items()
            if found.totals.lost
        }

    def table(self, events: Sequence[str] = ()) -> str:
        """Return sent and failed, by event and kind."""
        lines = []
        for event in events or self.seen:
            lines.append(event)
            for kind, found in self.seen[event].items():
                said = f"  {kind:32} {found.totals.sent:7,} sent {found.totals.lost:4} failed"
                lines.append(f"{said}  {found.causes}".rstrip())
        return "\n".join(lines)


@contextmanager
def clients_of_all_kinds(start_load: StartLoad) -> Iterator[Clients]:
    """Run all of them; they start at the same time."""
    with ExitStack() as stack:
        loads = [start_load(plan) for plan in KINDS.values()]
        with ThreadPoolExecutor(len(loads)) as pool:
            running = list(pool.map(stack.enter_context, loads))
        yield Clients(dict(zip(KINDS, running, strict=True)))
