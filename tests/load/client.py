"""The client itself, which runs in a pod: `python -m tests.load.client PLAN`.

It sends at a steady rate and prints one record per second. On SIGTERM or SIGINT it sends nothing
new, waits for what is in flight, and prints the last record.
"""

import asyncio
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.load.binary_sender import BinarySender
from tests.load.ledger import Ledger
from tests.load.patient_senders import BodySender, IdleSender, LastingSender, TicksSender
from tests.load.plan import LoadPlan, Wire, read_plan
from tests.load.record import Record
from tests.load.senders import GrpcSender, HttpSender, Sender, StreamSender

SENDERS: dict[Wire, Callable[[LoadPlan], Sender]] = {
    Wire.HTTP: HttpSender,
    Wire.GRPC: GrpcSender,
    Wire.STREAM: StreamSender,
    Wire.BODY: BodySender,
    Wire.LASTING: LastingSender,
    Wire.IDLE: IdleSender,
    Wire.TICKS: TicksSender,
    Wire.BINARY: BinarySender,
}
FORGIVEN_SECONDS = 2.0
"""Sends that are later than this are left out: a machine that slept owes no burst."""
REMEMBERED = 21
"""Answers whose times a considerate client goes by."""


class Client:
    """Sends at a steady rate until it is stopped."""

    def __init__(self, sender: Sender, plan: LoadPlan) -> None:
        self._sender = sender
        self._plan = plan
        self._ledger = Ledger(time.time())
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._taken: deque[float] = deque([0.0], maxlen=REMEMBERED)
        """Seconds of the last answers."""

    def stop(self) -> None:
        """Send nothing new from now on."""
        self._stopping.set()

    async def run(self) -> None:
        """Send, count and print, until stopped or the time is over."""
        printing = asyncio.create_task(self._print_every_second())
        await self._send_on_time()
        await asyncio.gather(*self._running)
        printing.cancel()
        print_record(self._ledger.close(time.time(), last=True))

    async def _send_on_time(self) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + self._plan.seconds
        due, number = clock(), 0
        while not self._stopping.is_set() and clock() < end:
            if clock() < due:
                await self._rest(due - clock())
                continue
            self._start(number)
            number += 1
            due = max(due, clock() - FORGIVEN_SECONDS) + self._pause_seconds()

    def _pause_seconds(self) -> float:
        """Return the time between two requests."""
        steady = 1 / self._plan.rate
        # The median: one answer that takes long, as a server's first, holds nothing up.
        return max(steady, median(self._taken)) if self._plan.is_considerate else steady

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _start(self, number: int) -> None:
        task = asyncio.create_task(self._send(number))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _send(self, number: int) -> None:
        sent, begin = time.time(), time.perf_counter()
        self._ledger.in_flight += 1
        try:
            answer = await self._sender.send(number)
        finally:
            self._ledger.in_flight -= 1
        taken = time.perf_counter() - begin
        self._taken.append(taken)
        self._ledger.note(answer, 1000 * taken, sent)

    async def _print_every_second(self) -> None:
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            print_record(self._ledger.close(time.time()))


def print_record(record: Record) -> None:
    """Print at once: the log is followed."""
    sys.stdout.write(f"{record.to_line()}\n")
    sys.stdout.flush()


def make_sender(plan: LoadPlan) -> Sender:
    """Return what sends this plan's requests."""
    if plan.wire is not Wire.HTTP2:
        return SENDERS[plan.wire](plan)
    from tests.load.http2 import Http2Sender  # noqa: PLC0415 -- its library is in few pods

    return Http2Sender(plan)


async def run_plan(plan: LoadPlan) -> None:
    """Run the load that `plan` describes."""
    async with make_sender(plan) as sender:
        client = Client(sender, plan)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, client.stop)
        await client.run()


if __name__ == "__main__":
    asyncio.run(run_plan(read_plan(Path(sys.argv[1]))))
