"""Asking a server the cases of a golden set, within the time of the check."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from slipway.answers.compare import compare_output
from slipway.answers.tensors import Tensors
from slipway.api.reasons import Reason
from slipway.api.result import MOST_DISAGREEMENTS, CaseDisagreement, Signature
from slipway.errors import JobFailure
from slipway.jobs.check.exchange import PLAIN, Exchange, first_rows
from slipway.jobs.check.golden_set import Case, GoldenSetInvalid, LoadedGoldenSet, fit_case
from slipway.jobs.check.model_server import (
    ErrorResponse,
    ModelServer,
    Unreachable,
    open_grpc_server,
    open_http_server,
)
from slipway.jobs.check.shown_cases import CaseProblem, describe_problem, show_case

log = logging.getLogger(__name__)

TRIES = 3
"""Attempts at a request that the server answers with an error of its own."""
PAUSE_SECONDS = 0.2
"""Pause between two attempts; for an unreachable server it grows to `LONGEST_PAUSE_SECONDS`."""
LONGEST_PAUSE_SECONDS = 0.5
REQUEST_SECONDS = 60.0
"""Time after which an unanswered request is sent again: the connection may be broken. It doubles
each time, because the model may be slow."""
REQUESTS_AT_A_TIME = 8
QUEUE_SECONDS = 20.0
"""Longest wait of a request for those before it: slow models get fewer at a time."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which the time of a check is over."""

    at: float
    """Seconds on the monotonic clock."""
    seconds: float
    """The whole time that there was."""

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline so many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.at - time.monotonic())


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a server is asked."""

    http: str
    """host:port"""
    grpc: str | None
    """host:port; None where the server does not speak gRPC."""


@dataclass(slots=True)
class CaseTally:
    """How many cases of a golden set were asked, and how many agreed."""

    total: int
    asked: int = 0
    agreed: int = 0
    first: str = ""
    """The first disagreement, with the name of its case; a fatal one replaces it."""
    fatal: bool = False
    """True when an answer was broken, so that the share does not matter."""
    example: Case | None = None
    """A case that agreed, with the shapes of the model."""
    agrees: list[bool] = field(default_factory=list)
    """Whether each case agreed, in the order of the golden set."""
    shown: list[CaseDisagreement] = field(default_factory=list)
    """The first cases that disagree, for people; a fatal one stands first."""
    signature: Signature = field(default_factory=Signature)
    """The signature by which the cases were fitted."""

    def can_reach(self, share: float) -> bool:
        """Return whether enough cases agree, or still can."""
        return self.agreed + self.total - self.asked >= share * self.total - 1e-9

    def count(self, case: Case, problem: CaseProblem | None) -> None:
        """Add the answer to one case; None for one that agrees."""
        self.asked += 1
        self.agrees.append(problem is None)
        if problem is None:
            self.agreed += 1
            self.example = self.example or case
            return

        self.fatal = self.fatal or problem.fatal
        if not self.first or problem.fatal:
            self.first = f"case {case.name}: {problem.text}"
        if problem.fatal:
            self.shown = [show_case(case, problem), *self.shown][:MOST_DISAGREEMENTS]
        elif len(self.shown) < MOST_DISAGREEMENTS:
            self.shown.append(show_case(case, problem))


async def call_until_reached(call: Callable[[], Awaitable[Answer]], deadline: Deadline) -> Answer:
    """Return the answer of a server that may not be reachable yet.

    Raises:
        JobFailure: when the time of the check is over: ServerUnreachable, which is transient, or
            CheckTimedOut if the server took the request and did not answer it.
        ErrorResponse: the server answered with an error.

    """
    pause, limit, told = PAUSE_SECONDS, REQUEST_SECONDS, ""

    while True:
        try:
            async with asyncio.timeout(min(deadline.remaining, limit)):
                return await call()
        except TimeoutError:
            reason, problem = Reason.CHECK_TIMED_OUT, "no answer"
            limit *= 2
        except Unreachable as error:
            reason, problem = Reason.SERVER_UNREACHABLE, str(error) or "no answer"

        if deadline.remaining < pause:
            raise JobFailure(
                reason,
                f"the server did not answer in time: {problem}",
                transient=reason is Reason.SERVER_UNREACHABLE,
            )
        if problem != told:
            log.info("waiting for the server: %s", problem)
        told = problem
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def wait_for_signature(server: ModelServer, deadline: Deadline) -> Signature:
    """Return the signature as soon as the server has loaded the model.

    Raises:
        JobFailure: ServerUnreachable, which is transient, when the time of the check is over.

    """

    async def ask() -> Signature:
        try:
            return await server.signature()
        except ErrorResponse as error:
            raise Unreachable(str(error)) from error  # it may still be loading

    try:
        return await call_until_reached(ask, deadline)
    except JobFailure as failure:
        # That the metadata take so long is no matter of how fast the model is.
        raise JobFailure(Reason.SERVER_UNREACHABLE, str(failure), transient=True) from failure


@asynccontextmanager
async def open_exchange(
    endpoints: Endpoints, model: str, deadline: Deadline
) -> AsyncIterator[tuple[ModelServer, Exchange]]:
    """Open the endpoint at which the cases are asked: HTTP, or gRPC for a model that streams.

    Raises:
        JobFailure: ServerUnreachable, which is transient, or GoldenSetNotAskable: the model
            streams, and the server speaks HTTP only.

    """
    async with open_http_server(endpoints.http, model) as server:
        exchange = await call_until_reached(server.exchange, deadline)
        if not exchange.is_streaming:
            yield server, exchange
            return

    if endpoints.grpc is None:
        raise JobFailure(
            Reason.GOLDEN_SET_NOT_ASKABLE,
            "the model streams its answers (decoupled), which takes gRPC, and "
            "spec.server.protocols has HTTP only; add GRPC, or leave out the golden set",
        )
    async with open_grpc_server(endpoints.grpc, model) as streaming:
        yield streaming, exchange


async def ask_all_cases(
    server: ModelServer,
    golden: LoadedGoldenSet,
    signature: Signature,
    tally: CaseTally,
    deadline: Deadline,
    *,
    exchange: Exchange = PLAIN,
) -> None:
    """Ask every case and count the answers in `tally`, up to the first fatal one.

    Raises:
        JobFailure: ServerUnreachable, which is transient, or CheckTimedOut.
        GoldenSetInvalid: a case can never be asked of this model.

    """
    tally.signature = signature
    began = deadline.remaining

    answers = answer_cases(server, golden, signature, deadline, exchange=exchange)
    try:
        async with aclosing(answers):
            async for case, problem in answers:
                tally.count(case, problem)
                if tally.fatal:
                    return
    except JobFailure as failure:
        if failure.reason != Reason.CHECK_TIMED_OUT:
            raise
        text = _describe_pace(tally, began - deadline.remaining, deadline)
        raise JobFailure(Reason.CHECK_TIMED_OUT, text) from failure


async def answer_cases(
    server: ModelServer,
    golden: LoadedGoldenSet,
    signature: Signature,
    deadline: Deadline,
    *,
    exchange: Exchange = PLAIN,
) -> AsyncGenerator[tuple[Case, CaseProblem | None]]:
    """Yield every case with what disagrees, in their order; several are asked at a time.

    Raises:
        JobFailure: ServerUnreachable, which is transient, or CheckTimedOut.
        GoldenSetInvalid: a case can never be asked of this model.

    """
    rest = iter(golden.cases)
    asked: deque[tuple[Case, asyncio.Task[CaseProblem | None]]] = deque()
    limit = 1

    try:
        while True:
            for case in islice(rest, limit - len(asked)):
                fitted = fit_case(case, signature)
                require_askable(fitted, exchange)
                question = ask_case(server, golden, fitted, deadline, exchange=exchange)
                asked.append((fitted, asyncio.create_task(question)))
            if not asked:
                return
            if not deadline.remaining:
                raise JobFailure(Reason.CHECK_TIMED_OUT, "the check's time is over")

            fitted, answer = asked.popleft()
            began = time.monotonic()
            problem = await answer
            if limit == 1:  # nothing was asked beside it, so this is how long one answer takes
                seconds = max(time.monotonic() - began, 1e-3)
                limit = max(1, min(REQUESTS_AT_A_TIME, int(QUEUE_SECONDS / seconds)))
            yield fitted, problem
    finally:
        for _, answer in asked:
            answer.cancel()
        await asyncio.gather(*(answer for _, answer in asked), return_exceptions=True)


def require_askable(case: Case, exchange: Exchange) -> None:
    """Refuse a batch for a stateful model: Triton takes one element of a sequence at a time.

    Raises:
        GoldenSetInvalid: the case has a larger batch.

    """
    if not (exchange.is_stateful and exchange.can_batch):
        return
    for name, tensor in case.inputs.items():
        if tensor.array.ndim and len(tensor.array) > 1:
            raise GoldenSetInvalid(
                f"case {case.name}",
                f"inputs: '{name}' has a batch of {len(tensor.array)}, expected 1: the model is "
                "stateful, and a sequence has one element per request",
            )


async def ask_case(
    server: ModelServer,
    golden: LoadedGoldenSet,
    case: Case,
    deadline: Deadline,
    *,
    exchange: Exchange = PLAIN,
) -> CaseProblem | None:
    """Return why the server's answer disagrees; None if it agrees.

    Raises:
        JobFailure: ServerUnreachable, which is transient, or CheckTimedOut.

    """
    try:
        found = await _infer_with_retries(server, case, deadline, exchange)
    except ErrorResponse as error:
        return CaseProblem(str(error))

    if exchange.is_streaming:
        found = first_rows(found, case.outputs)
    for name, expected in case.outputs.items():
        got = found.get(name)
        problem = compare_output(golden.rules[name], expected, got)
        if problem is not None:
            return describe_problem(name, problem, expected, got)
    return None


async def _infer_with_retries(
    server: ModelServer, case: Case, deadline: Deadline, exchange: Exchange
) -> Tensors:
    """Return the outputs, after up to `TRIES` attempts if the server has an error of its own."""

    def infer() -> Awaitable[Tensors]:
        return server.infer(case.inputs, exchange)

    for _ in range(TRIES - 1):
        try:
            return await call_until_reached(infer, deadline)
        except ErrorResponse as error:
            if not error.is_transient:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
    return await call_until_reached(infer, deadline)


def _describe_pace(tally: CaseTally, seconds: float, deadline: Deadline) -> str:
    text = (
        f"the check is too slow: {tally.asked} of {tally.total} cases were answered within "
        f"{deadline.seconds:g} s"
    )
    if tally.asked:
        text += f"; all cases would take about {seconds * tally.total / tally.asked:.0f} s"
    return f"{text}; raise spec.model.goldenSet.timeoutSeconds, or have fewer cases"
