"""Sends the audit trail to receivers: in the background, again where it fails, and bounded.

Each receiver has a queue of its own, so one that is slow or away holds up no other, and no decision
ever waits. What a queue cannot hold, and what nobody takes in time, is dropped: counted, and logged
with its id. Addresses are never logged, because some are secrets.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from slipway import __version__
from slipway.adapters import untrusted_http
from slipway.adapters.audit_messages import AuditMessage, load_library, write_message
from slipway.policy.audit import AuditLine
from slipway.settings import AuditFormat, AuditSettings, AuditSink

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""Events that wait for one receiver; the oldest is dropped for another one."""
GIVE_UP_SECONDS = 3_600.0
"""An event that still fails after this time is dropped."""
TRIES_IN_ORDER = 5
"""After so many attempts an event lets the others go first: it may be the one that is refused."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_ASKED_SECONDS = 300.0
"""Of a pause that the receiver asks for by Retry-After."""
REMEMBERED = 20_000
"""Ids of events that were taken already."""
REFUSES = frozenset({400, 413, 415, 422})
"""Statuses that speak of the event itself: no repetition helps."""

DELIVERED, REFUSED, EXPIRED, OVERFLOWED = "delivered", "refused", "expired", "overflowed"
RESULTS = (DELIVERED, REFUSED, EXPIRED, OVERFLOWED)


class _Failed(Exception):
    """The receiver did not take an event, and might take it later."""

    def __init__(self, why: str, pause_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.pause_seconds = pause_seconds
        """For which the receiver asks."""


class _Refused(Exception):
    """The receiver will never take this event."""


@dataclass(slots=True)
class _Waiting:
    line: AuditLine
    since: float
    tries: int = 0


class Delivery:
    """Sends lines to one receiver, one at a time."""

    def __init__(
        self,
        sink: AuditSink,
        source: str,
        *,
        now: Callable[[], float],
        pause: Callable[[int], float],
    ) -> None:
        """`pause` returns the seconds to wait after so many failures in a row."""
        self.name = sink.name
        self.results: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        self._sink = sink
        self._source = source
        self._now = now
        self._pause = pause
        self._queue: deque[_Waiting] = deque()
        self._is_filled = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._failures = 0
        self._session: aiohttp.ClientSession | None = None

    @property
    def waiting(self) -> int:
        """Lines that are not delivered yet, without the one that is being sent."""
        return len(self._queue)

    def offer(self, line: AuditLine) -> None:
        """Take a line if the receiver wants it."""
        is_recalled = bool(line.fields.get("recalled"))
        if is_recalled and self._sink.format is not AuditFormat.CLOUD_EVENTS:
            return  # people cannot drop what they were told before
        namespace = str(line.fields["namespace"])
        if not (self._sink.serves(namespace) and self._sink.wants(line.type)):
            return

        if len(self._queue) >= MOST_WAITING:
            self._drop(self._queue.popleft().line, OVERFLOWED, f"{MOST_WAITING} are waiting")
        self._put(_Waiting(line, self._now()))

    async def run(self) -> None:
        """Send what is there, for ever."""
        if self._sink.format is AuditFormat.CLOUD_EVENTS:
            await asyncio.to_thread(load_library)
        while True:
            await self._is_filled.wait()
            pause = await self._deliver(self._take())
            if pause:
                await asyncio.sleep(pause)

    async def flush(self) -> None:
        """Wait until nothing is left to be sent."""
        await self._is_empty.wait()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, item: _Waiting) -> float:
        """Send a line; return the seconds to wait before the next one."""
        try:
            await self._send(item.line)
        except _Refused as why:
            self._drop(item.line, REFUSED, str(why))
        except _Failed as failed:
            return self._note_failure(item, failed)
        except Exception:
            log.exception("an event for sink %s could not be sent", self.name)
            self._drop(item.line, REFUSED, "InternalError")
        else:
            self.results[DELIVERED] += 1
            if self._failures:
                log.info("sink %s takes events again", self.name, extra={"waiting": self.waiting})
            self._failures = 0

        self._note_if_empty()
        return 0.0

    def _note_failure(self, item: _Waiting, failed: _Failed) -> float:
        if not self._failures:
            log.warning("sink %s takes no events: %s", self.name, failed)
        self._failures += 1
        item.tries += 1

        if self._now() - item.since > GIVE_UP_SECONDS:
            self._drop(item.line, EXPIRED, str(failed))
        else:
            self._put(item, first=item.tries % TRIES_IN_ORDER != 0)
        self._note_if_empty()
        return max(self._pause(self._failures), failed.pause_seconds)

    async def _send(self, line: AuditLine) -> None:
        """Post a line.

        Raises:
            _Failed: it was not taken, and may be sent again.
            _Refused: it was not taken, and never will be.

        """
        message = write_message(line, self._sink.format, self._source)
        seconds = self._sink.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._post(message)
        except TimeoutError as error:
            raise _Failed(f"no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise _Failed("unreachable, or the connection broke") from error
        except OSError as error:
            raise _Failed(f"could not be asked: {error.strerror}") from error

    async def _post(self, message: AuditMessage) -> None:
        sink, headers = self._sink, {"Content-Type": message.content_type}
        url = sink.url or _read(sink.url_file)
        if urlsplit(url).scheme not in {"http", "https"}:
            raise _Failed("the file urlFile holds no http:// or https:// address")
        if sink.authorization_file:
            headers["Authorization"] = _read(sink.authorization_file)

        async with self._open().post(
            url, data=message.body, headers=headers, allow_redirects=False
        ) as response:
            status, asked = response.status, response.headers.get("Retry-After", "")
            response.close()  # the body is never read, however long it is

        if status in REFUSES:
            raise _Refused(f"HTTP {status}")
        if status // 100 != 2:  # noqa: PLR2004
            pause = float(asked) if asked.isdecimal() else 0.0
            raise _Failed(f"HTTP {status}", min(pause, LONGEST_ASKED_SECONDS))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = untrusted_http.trusted_tls_context(self._sink.ca_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, force_close=True),
                headers={"User-Agent": f"slipway-operator/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _take(self) -> _Waiting:
        item = self._queue.popleft()
        if not self._queue:
            self._is_filled.clear()
        return item

    def _put(self, item: _Waiting, *, first: bool = False) -> None:
        if first:
            self._queue.appendleft(item)
        else:
            self._queue.append(item)
        self._is_filled.set()
        self._is_empty.clear()

    def _note_if_empty(self) -> None:
        if not self._queue:
            self._is_empty.set()

    def _drop(self, line: AuditLine, result: str, why: str) -> None:
        self.results[result] += 1
        log.warning(
            "an event for sink %s was dropped: %s",
            self.name,
            why,
            extra={"result": result, "event": line.id, "type": line.type},
        )


class AuditSinks:
    """Fits `slipway.reconcile.ports.AuditReceiver`."""

    def __init__(
        self,
        settings: AuditSettings,
        *,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[int], float] | None = None,
    ) -> None:
        """`pause` returns the seconds to wait after so many failures in a row."""
        self.deliveries = [
            Delivery(sink, settings.source, now=now, pause=pause or pause_seconds)
            for sink in settings.sinks
        ]
        self._known: OrderedDict[str, None] = OrderedDict()

    @property
    def is_on(self) -> bool:
        """Whether there is any receiver."""
        return bool(self.deliveries)

    def offer(self, lines: Iterable[AuditLine]) -> None:
        """Take lines to be sent later; those with a known id are dropped."""
        if not self.is_on:
            return
        for line in lines:
            if self._is_new(line):
                for delivery in self.deliveries:
                    delivery.offer(line)

    async def run(self) -> None:
        """Send what is offered, for ever; ends at once where there is no receiver."""
        await asyncio.gather(*(delivery.run() for delivery in self.deliveries))

    async def flush(self, seconds: float) -> None:
        """Wait until nothing is left to be sent, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for delivery in self.deliveries:
                    await delivery.flush()

    async def close(self) -> None:
        """Close all connections."""
        for delivery in self.deliveries:
            await delivery.close()

    def results(self) -> Iterator[tuple[str, str, int]]:
        """Yield name of sink, result and number of events."""
        for delivery in self.deliveries:
            for result, number in delivery.results.items():
                yield delivery.name, result, number

    def waiting(self) -> Iterator[tuple[str, int]]:
        """Yield name of sink and number of events that are not delivered yet."""
        for delivery in self.deliveries:
            yield delivery.name, delivery.waiting

    def _is_new(self, line: AuditLine) -> bool:
        is_new = line.id not in self._known
        self._known[line.id] = None
        self._known.move_to_end(line.id)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return is_new


def pause_seconds(failures: int) -> float:
    """Return the pause after so many failures in a row: from 1 s, doubled, at most a minute."""
    longest = min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 -- many replicas, not secrets


def _read(path: str) -> str:
    return Path(path).read_text().strip()
