"""The comparer's process: it runs while the agent's file of orders exists, and then ends.

It shares a directory with agent and Envoy: it reads the orders there, listens on a socket, and
writes its page each second, by which the agent sees that it lives.
"""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import sys
from datetime import UTC, datetime
from os import environ
from pathlib import Path

import grpc
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as service
from pydantic import ValidationError

from slipway.api.pairs import Pairs
from slipway.api.shadow_orders import FILE, MEMORY_VARIABLE, PAGE_FILE, ShadowOrders
from slipway.api.times import to_wire
from slipway.comparer.ask_candidate import Candidate
from slipway.comparer.held import HeldCopies
from slipway.comparer.ledger import Ledger
from slipway.comparer.takes import Takes
from slipway.render import envoy

log = logging.getLogger(__name__)

DEFAULT_DIRECTORY = "/xds"
TICK_SECONDS = 0.5
WRITE_SECONDS = 1.0
IDLE_SECONDS = 15.0
"""Without any order; a new one that comes meanwhile finds the comparer still there."""
LARGEST_MESSAGE = 8 * 2**20
"""Of what Envoy hands over at once: it cuts bodies as it reads them."""
MEMORY_SHARE = 0.85
"""Of the container's limit: Python then fails by itself, and the container lives on."""


class Comparer:
    """All parts of a running comparer."""

    def __init__(self, directory: Path) -> None:
        """Work in `directory`."""
        self._directory = directory
        self._start = to_wire(_utc_now())
        self._ledger = Ledger(_utc_now)
        self._proxy = ""
        self._seen: tuple[int, int] | None = None
        self.terminated = asyncio.Event()

    async def run(self) -> None:
        """Run until nothing is ordered any more, or a signal ends it."""
        held = HeldCopies()
        candidate = Candidate(self._directory / envoy.SHADOW_SOCKET, held)
        takes = Takes(self._ledger, candidate, held, _utc_now)
        server = await self._listen(takes)
        try:
            await self._tend()
        finally:
            await server.stop(0)
            await takes.close()
            await candidate.close()

    async def _listen(self, takes: Takes) -> grpc.aio.Server:
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", LARGEST_MESSAGE),
                ("grpc.max_concurrent_streams", 4 * envoy.MOST_COPIES),
            ]
        )
        service.add_ExternalProcessorServicer_to_server(takes, server)
        path = self._directory / envoy.COMPARER_SOCKET
        path.unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        path.chmod(0o660)
        return server

    async def _tend(self) -> None:
        """Follow the orders, and write the page."""
        loop = asyncio.get_running_loop()
        last_order = loop.time()
        next_page = 0.0

        while not self.terminated.is_set() and loop.time() - last_order < IDLE_SECONDS:
            self._read_orders()
            if not self._ledger.is_empty:
                last_order = loop.time()
            if loop.time() >= next_page:
                self._write_page()
                next_page = loop.time() + WRITE_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self.terminated.wait()

    def _read_orders(self) -> None:
        """Take the orders where the file is another one; an unreadable file changes nothing."""
        path = self._directory / FILE
        try:
            found = path.stat()
            seen = (found.st_ino, found.st_mtime_ns)
            if seen == self._seen:
                return
            orders = ShadowOrders.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            self._seen = None
            self._ledger.follow([])
            return
        except (OSError, ValidationError):
            log.exception("the file of orders cannot be read")
            return

        self._seen, self._proxy = seen, orders.proxy
        self._ledger.follow(orders.orders)

    def _write_page(self) -> None:
        page = Pairs(
            proxy=self._proxy,
            start=self._start,
            at=to_wire(_utc_now()),
            copies=self._ledger.copies(),
            pairs=self._ledger.pairs(),
        )
        hidden = self._directory / f".{PAGE_FILE}"
        try:
            hidden.write_text(page.model_dump_json(by_alias=True))
            hidden.rename(self._directory / PAGE_FILE)
        except OSError:
            log.exception("the page cannot be written")


def limit_memory(text: str | None) -> None:
    """Make allocations fail below the container's limit in bytes, if it has one.

    Where the kernel ended the process, it would end the container: the router's pod were not Ready
    meanwhile, and its clients would leave.
    """
    if text and text.isdecimal() and int(text):
        most = int(int(text) * MEMORY_SHARE)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


async def run_comparer(directory: Path) -> None:
    """Run a comparer until it has nothing to do, or a signal ends it."""
    comparer = Comparer(directory)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, comparer.terminated.set)
    await comparer.run()


def main() -> int:
    """Run the comparer while something is ordered; return the exit code."""
    logging.basicConfig(
        stream=sys.stderr,
        level=environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    limit_memory(environ.get(MEMORY_VARIABLE))
    gc.freeze()  # what was imported stays
    asyncio.run(run_comparer(Path(environ.get("XDS_DIRECTORY", DEFAULT_DIRECTORY))))
    return 0


def _utc_now() -> datetime:
    return datetime.now(UTC)
