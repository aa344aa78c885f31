"""Receives copies from Envoy, has the candidate asked, and counts what each comes to.

Nothing here waits on Envoy's behalf: Envoy hands over and goes on. A copy that is not wanted is
given back at once by ending its stream, after which Envoy sends no more of it. What is held is
bounded in number, bytes and age, and each copy is counted exactly once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import grpc
from envoy.service.ext_proc.v3 import external_processor_pb2 as protocol
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as service

from slipway.answers.decode import Undecodable
from slipway.api.pairs import DifferenceSample
from slipway.api.times import to_wire
from slipway.comparer.ask_candidate import Candidate, CandidateUnreachable
from slipway.comparer.copied import Copy, Headers, Oversized, Part
from slipway.comparer.held import Full, HeldCopies
from slipway.comparer.ledger import Drop, Ledger, PairTally, RouteLedger
from slipway.comparer.pair import Outcome, Verdict, digest_input, judge_pair
from slipway.comparer.rate import CopyRate
from slipway.render.envoy import ROUTE_HEADER

log = logging.getLogger(__name__)

OLDEST_SECONDS = 55.0
"""A user's request that takes longer makes no pair."""
LONGEST_ANSWER_SECONDS = 60.0
"""A candidate that takes longer has failed, unless the route gives its users less."""


class Dropped(Exception):
    """The copy makes no pair."""

    def __init__(self, why: Drop) -> None:
        """Say why."""
        super().__init__(why)
        self.why = why


class Takes(service.ExternalProcessorServicer):  # type: ignore[misc]
    """Fits Envoy's ext_proc filter in observability mode."""

    def __init__(
        self, ledger: Ledger, candidate: Candidate, held: HeldCopies, now: Callable[[], datetime]
    ) -> None:
        """Count in `ledger`, ask by `candidate`, and hold no more than `held` takes."""
        self._ledger = ledger
        self._candidate = candidate
        self._now = now
        self._buckets: dict[str, CopyRate] = {}
        self._held = held
        self._pairing: set[asyncio.Task[None]] = set()

    async def Process(  # noqa: N802 -- the protocol's name
        self,
        messages: AsyncIterator[protocol.ProcessingRequest],
        context: grpc.aio.ServicerContext,  # noqa: ARG002 -- the protocol's
    ) -> AsyncIterator[protocol.ProcessingResponse]:
        """Take one copy; nothing is ever answered."""
        async for first in messages:
            copy = Copy()
            headers = _read_headers(first.request_headers.headers)
            book = self._ledger.find(headers.get(ROUTE_HEADER, ""))
            if book is not None:
                copy.request.headers = headers
                await self._take(book, copy, first, messages)
            break
        return
        yield  # an async generator, which the protocol asks for

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._pairing:
            task.cancel()
        await asyncio.gather(*self._pairing, return_exceptions=True)

    async def _take(
        self,
        book: RouteLedger,
        copy: Copy,
        first: protocol.ProcessingRequest,
        messages: AsyncIterator[protocol.ProcessingRequest],
    ) -> None:
        book.begin()
        asked: asyncio.Task[Part] | None = None
        pairing = False
        why = Drop.BROKEN

        try:
            self._held.begin()
            async with asyncio.timeout(OLDEST_SECONDS):
                self._admit(book, copy, first)
                if copy.request.is_whole:
                    asked = self._ask(book, copy)
                async for message in messages:
                    self._add(book, copy, message)
                    if copy.request.is_whole and asked is None:
                        asked = self._ask(book, copy)
                    if copy.answer.is_whole:
                        break
            if copy.answer.is_whole and asked is not None:
                pairing = True
                self._pair(book, copy, asked)
        except Dropped as dropped:
            why = dropped.why
        except Full:
            why = Drop.QUEUE
        except Oversized:
            why = Drop.SIZE
        except TimeoutError:
            why = Drop.AGE
        finally:
            if not pairing:
                book.drop(why)
                if asked is not None:
                    asked.cancel()
                self._held.release(copy.size)

    def _admit(self, book: RouteLedger, copy: Copy, first: protocol.ProcessingRequest) -> None:
        """Decide by the headers alone, before any byte of the body is held."""
        if not copy.has_one_answer:
            raise Dropped(Drop.STREAM)
        copy.request.announce(copy.request.headers, book.order.shadow.max_body_bytes)
        bucket = self._buckets.setdefault(copy.route, CopyRate())
        if not bucket.take(book.order.shadow.max_pairs_per_second, self._loop_time()):
            raise Dropped(Drop.RATE)
        copy.request.is_whole = first.request_headers.end_of_stream

    def _add(self, book: RouteLedger, copy: Copy, message: protocol.ProcessingRequest) -> None:
        """Add what Envoy handed over next."""
        most = book.order.shadow.max_body_bytes
        request, answer = copy.request, copy.answer

        match message.WhichOneof("request"):
            case "request_body":
                self._add_piece(request, message.request_body, most)
            case "request_trailers":
                request.is_whole = True
            case "response_headers":
                sent = message.response_headers
                answer.announce(_read_headers(sent.headers), most)
                answer.is_whole = sent.end_of_stream
            case "response_body":
                self._add_piece(answer, message.response_body, most)
            case "response_trailers":
                answer.announce(_read_headers(message.response_trailers.trailers), most)
                answer.is_whole = True
            case _:  # of a newer Envoy
                pass

    def _add_piece(self, part: Part, sent: protocol.HttpBody, most_bytes: int) -> None:
        part.add(sent.body, most_bytes)
        part.is_whole = sent.end_of_stream
        self._held.add(len(sent.body))

    def _ask(self, book: RouteLedger, copy: Copy) -> asyncio.Task[Part]:
        """Ask as soon as stable was asked: both under the same load."""
        seconds = float(book.order.timeout_seconds or LONGEST_ANSWER_SECONDS)
        return asyncio.create_task(
            self._candidate.ask(
                copy,
                seconds=min(seconds, LONGEST_ANSWER_SECONDS),
                most_bytes=book.order.shadow.max_body_bytes,
            )
        )

    def _pair(self, book: RouteLedger, copy: Copy, asked: asyncio.Task[Part]) -> None:
        """Go on with the pair by itself, so that Envoy's stream ends now."""
        task = asyncio.create_task(self._settle(book, copy, asked))
        self._pairing.add(task)
        task.add_done_callback(self._pairing.discard)

    async def _settle(self, book: RouteLedger, copy: Copy, asked: asyncio.Task[Part]) -> None:
        why: Drop | None = Drop.BROKEN
        try:
            found = await asked
            stable = copy.revision or book.order.stable
            if stable is not None and stable != book.order.shadow.revision:
                verdict = judge_pair(copy.answer, found, book.rules)
                tally = book.settle(stable, verdict)
                why = None
                if tally is not None:
                    self._record(tally, copy, found, verdict)
        except CandidateUnreachable:
            why = Drop.UNREACHABLE
        except Oversized:
            why = Drop.SIZE
        except Full:
            why = Drop.QUEUE
        except Undecodable:
            why = Drop.UNDECODABLE
        except Exception:  # what strangers answered must not end the comparer
            log.exception("a pair was not understood")
            why = Drop.UNDECODABLE if why is not None else None
        finally:
            asked.cancel()
            self._held.release(copy.size)
            if why is not None:
                book.drop(why)

    def _record(self, tally: PairTally, copy: Copy, found: Part, verdict: Verdict) -> None:
        both_answered = verdict.stable is verdict.candidate is Outcome.OK
        stable_took, candidate_took = copy.answer.took_micros, found.took_micros
        if both_answered and stable_took is not None and candidate_took is not None:
            tally.count_times(stable_took, candidate_took)

        difference = verdict.difference
        if difference is not None:
            tally.samples.append(
                DifferenceSample(
                    input_digest=digest_input(copy.request),
                    output=difference.output,
                    text=difference.text,
                    largest_difference=difference.largest,
                    at=to_wire(self._now()),
                )
            )

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()


def _read_headers(sent: protocol.HttpHeaders) -> Headers:
    """Return headers by name; Envoy has the names in lower case."""
    found: Headers = {}
    for each in sent.headers:
        value = each.raw_value.decode("latin-1") if each.raw_value else each.value
        found[each.key] = f"{found[each.key]},{value}" if each.key in found else value
    return found
