import asyncio
import re
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from slipway.answers.tensors import Tensor, Tensors
from slipway.api.golden import Compare, EqualRule
from slipway.api.reasons import Reason
from slipway.api.result import Signature
from slipway.errors import JobFailure
from slipway.jobs.check import ask_cases
from slipway.jobs.check.ask_cases import (
    CaseTally,
    Deadline,
    ask_all_cases,
    require_askable,
    wait_for_signature,
)
from slipway.jobs.check.exchange import PLAIN, Exchange
from slipway.jobs.check.golden_set import Case, GoldenSetInvalid, LoadedGoldenSet
from slipway.jobs.check.model_server import ErrorResponse, Unreachable

RIGHT, WRONG, BROKEN = 1, 2, 3

Answer = int | Exception


class FakeServer:
    """Answers every request with the next of its answers; the last one stays."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self._last: Answer = RIGHT
        self.asked = 0

    async def signature(self) -> Signature:
        await self.infer({})
        return Signature()

    async def exchange(self) -> Exchange:
        return PLAIN

    async def infer(self, inputs: Tensors, exchange: Exchange = PLAIN) -> Mapping[str, Tensor]:
        assert inputs is not None
        assert exchange is not None
        self.asked += 1
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return {} if self._last == BROKEN else {"y": number(self._last)}


class SlowServer(FakeServer):
    """Answers right, after a while."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._now = 0
        self.most = 0

    async def infer(self, inputs: Tensors, exchange: Exchange = PLAIN) -> Mapping[str, Tensor]:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self._now -= 1
        return await super().infer(inputs, exchange)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_cases, "PAUSE_SECONDS", 0.001)


def number(value: int) -> Tensor:
    return Tensor("INT64", np.array([value]))


def a_golden_set(cases: int) -> LoadedGoldenSet:
    case = [Case(str(index), {"x": number(index)}, {"y": number(RIGHT)}) for index in range(cases)]
    return LoadedGoldenSet({"y": EqualRule(compare=Compare.EQUAL)}, tuple(case))


async def ask(server: FakeServer, cases: int = 3, seconds: float = 30) -> CaseTally:
    golden, tally = a_golden_set(cases), CaseTally(cases)
    await ask_all_cases(server, golden, Signature(), tally, Deadline.after(seconds))
    return tally


async def test_agreeing_cases_are_counted() -> None:
    tally = await ask(FakeServer(RIGHT, WRONG, RIGHT))

    assert (tally.asked, tally.agreed, tally.fatal) == (3, 2, False)
    assert tally.first == "case 1: output 'y' at [0] is 2, expected 1"


async def test_a_broken_answer_ends_the_check() -> None:
    server = FakeServer(WRONG, BROKEN, RIGHT)
    tally = await ask(server, cases=50)

    assert (tally.asked, tally.fatal) == (2, True)
    assert server.asked < 2 + ask_cases.REQUESTS_AT_A_TIME
    assert tally.first == "case 1: output 'y' is missing"


async def test_a_server_error_that_passes_is_forgiven() -> None:
    busy = ErrorResponse("busy", is_transient=True)
    assert (await ask(FakeServer(busy, busy, RIGHT))).agreed == 3


async def test_a_server_error_that_stays_is_a_disagreement() -> None:
    server = FakeServer(ErrorResponse("the server answered 500: boom", is_transient=True))
    tally = await ask(server, cases=1)

    assert (server.asked, tally.agreed, tally.fatal) == (ask_cases.TRIES, 0, False)
    assert tally.first == "case 0: the server answered 500: boom"


async def test_a_refused_request_is_not_asked_again() -> None:
    server = FakeServer(ErrorResponse("the server answered 400", is_transient=False), RIGHT)
    tally = await ask(server)

    assert (server.asked, tally.agreed) == (3, 2)


async def test_an_unreachable_server_is_waited_for() -> None:
    gone = Unreachable("connection refused")
    assert (await ask(FakeServer(gone, gone, gone, gone, RIGHT))).agreed == 3


async def test_a_server_that_stays_unreachable_gives_no_verdict() -> None:
    with pytest.raises(JobFailure, match="connection refused") as failure:
        await ask(FakeServer(Unreachable("connection refused")), seconds=0.05)

    assert failure.value.reason == Reason.SERVER_UNREACHABLE
    assert failure.value.transient


async def test_when_the_time_is_over_it_says_how_far_it_came() -> None:
    with pytest.raises(JobFailure, match="0 of 3 cases were answered") as failure:
        await ask(FakeServer(), seconds=0)
    assert failure.value.reason == Reason.CHECK_TIMED_OUT


async def test_a_slow_server_is_called_slow_with_what_to_change() -> None:
    with pytest.raises(JobFailure) as failure:
        await ask(SlowServer(seconds=0.04), cases=1000, seconds=0.3)

    assert failure.value.reason == Reason.CHECK_TIMED_OUT
    assert not failure.value.transient  # the same Job would be as slow
    assert re.fullmatch(
        r"the check is too slow: \d+ of 1000 cases were answered within 0\.3 s; all cases would "
        r"take about \d+ s; raise spec\.model\.goldenSet\.timeoutSeconds, or have fewer cases",
        str(failure.value),
    )


async def test_several_cases_are_asked_at_a_time() -> None:
    server = SlowServer(seconds=0.02)
    tally = await ask(server, cases=20)

    assert tally.agreed == 20
    assert server.most == ask_cases.REQUESTS_AT_A_TIME


async def test_a_model_that_takes_long_is_asked_one_case_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask_cases, "QUEUE_SECONDS", 0.03)
    server = SlowServer(seconds=0.02)
    await ask(server, cases=4)

    assert server.most == 1


async def test_no_question_is_left_open_after_the_check() -> None:
    before = len(asyncio.all_tasks())
    with pytest.raises(JobFailure):
        await ask(SlowServer(seconds=0.04), cases=1000, seconds=0.1)
    assert len(asyncio.all_tasks()) == before


async def test_an_answer_that_takes_longer_than_a_request_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask_cases, "REQUEST_SECONDS", 0.02)
    assert (await ask(SlowServer(seconds=0.05), cases=1)).agreed == 1


async def test_a_batch_for_a_stateful_model_is_the_fault_of_the_golden_set() -> None:
    stateful = Exchange(is_stateful=True, can_batch=True)
    case = Case("pair", {"x": Tensor("INT64", np.array([[1], [2]]))}, {})

    with pytest.raises(GoldenSetInvalid, match="case pair: inputs: 'x' has a batch of 2"):
        require_askable(case, stateful)
    require_askable(case, PLAIN)


async def test_a_model_that_is_not_loaded_yet_is_waited_for() -> None:
    loading = ErrorResponse("unknown model", is_transient=False)
    server = FakeServer(loading, loading, RIGHT)

    assert await wait_for_signature(server, Deadline.after(30)) == Signature()


@pytest.mark.parametrize(
    ("agreed", "asked", "share", "reachable"),
    [
        (97, 100, 0.97, True),
        (96, 100, 0.97, False),
        (50, 53, 0.97, True),
        (50, 54, 0.97, False),
        (7, 100, 0.07, True),
        (0, 100, 0.0, True),
    ],
)
def test_a_check_is_lost_when_too_few_cases_are_left(
    agreed: int, asked: int, share: float, reachable: bool
) -> None:
    assert CaseTally(100, asked=asked, agreed=agreed).can_reach(share) is reachable
