"""Asking a server the cases of a golden set, within the time of the check."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from slipway.api.reasons import Reason
from slipway.api.result import Signature
from slipway.errors import JobFailure
from slipway.jobs.check.compare import Disagreement, compare_output
from slipway.jobs.check.golden_set import Case, LoadedGoldenSet, fit_case
from slipway.jobs.check.model_server import ErrorResponse, ModelServer, Unreachable
from slipway.jobs.check.tensors import Tensors

log = logging.getLogger(__name__)

TRIES = 3
"""Attempts at a request that the server answers with an error of its own."""
PAUSE_SECONDS = 0.2
"""Pause between two attempts; for an unreachable server it grows to `LONGEST_PAUSE_SECONDS`."""
LONGEST_PAUSE_SECONDS = 2.0
REQUEST_SECONDS = 60.0
"""Time after which an unanswered request is sent again: the connection may be broken."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which the time of a check is over."""

    at: float
    """Seconds on the monotonic clock."""

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline so many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.at - time.monotonic())


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
    signature: Signature = field(default_factory=Signature)
    """The signature by which the cases were fitted."""

    def can_reach(self, share: float) -> bool:
        """Return whether enough cases agree, or still can."""
        return self.agreed + self.total - self.asked >= share * self.total - 1e-9

    def count(self, case: Case, problem: Disagreement | None) -> None:
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


async def call_until_reached(call: Callable[[], Awaitable[Answer]], deadline: Deadline) -> Answer:
    """Return the answer of a server that may not be reachable yet.

    Raises:
        JobFailure: ServerUnreachable, which is transient, when the time of the check is over.
        ErrorResponse: the server answered with an error.

    """
    pause = PAUSE_SECONDS

    while True:
        try:
            async with asyncio.timeout(min(deadline.remaining, REQUEST_SECONDS)):
                return await call()
        except (Unreachable, TimeoutError) as error:
            problem = str(error) or "no answer"

        if deadline.remaining < pause:
            raise JobFailure(
                Reason.SERVER_UNREACHABLE,
                f"the server did not answer in time: {problem}",
                transient=True,
            )
        log.info("waiting for the server: %s", problem)
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

    return await call_until_reached(ask, deadline)


async def ask_all_cases(
    server: ModelServer,
    golden: LoadedGoldenSet,
    signature: Signature,
    tally: CaseTally,
    deadline: Deadline,
) -> None:
    """Ask every case and count the answers in `tally`, up to the first fatal one.

    Raises:
        JobFailure: ServerUnreachable or CheckTimedOut; both are transient.

    """
    tally.signature = signature

    for case in golden.cases:
        if not deadline.remaining:
            raise JobFailure(
                Reason.CHECK_TIMED_OUT,
                f"asked {tally.asked} of {tally.total} cases before the check's time was over",
                transient=True,
            )

        fitted = fit_case(case, signature)
        tally.count(fitted, await ask_case(server, golden, fitted, deadline))
        if tally.fatal:
            return


async def ask_case(
    server: ModelServer, golden: LoadedGoldenSet, case: Case, deadline: Deadline
) -> Disagreement | None:
    """Return why the server's answer disagrees; None if it agrees.

    Raises:
        JobFailure: ServerUnreachable, which is transient.

    """
    try:
        found = await _infer_with_retries(server, case, deadline)
    except ErrorResponse as error:
        return Disagreement(str(error))

    for name, expected in case.outputs.items():
        problem = compare_output(golden.rules[name], expected, found.get(name))
        if problem is not None:
            return Disagreement(f"output '{name}' {problem.text}", fatal=problem.fatal)
    return None


async def _infer_with_retries(server: ModelServer, case: Case, deadline: Deadline) -> Tensors:
    """Return the outputs, after up to `TRIES` attempts if the server has an error of its own."""
    for _ in range(TRIES - 1):
        try:
            return await call_until_reached(lambda: server.infer(case.inputs), deadline)
        except ErrorResponse as error:
            if not error.is_transient:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
    return await call_until_reached(lambda: server.infer(case.inputs), deadline)
