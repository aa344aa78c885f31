"""Stable is asked the same cases; unless it answers all of them, there is no comparison."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from slipway.api.request import CheckRequest
from slipway.api.result import Signature
from slipway.jobs.check import against_stable, ask_cases
from slipway.jobs.check.against_stable import ask_stable
from slipway.jobs.check.ask_cases import CaseTally, Deadline, Endpoints, ask_all_cases
from slipway.jobs.check.exchange import PLAIN, Exchange
from slipway.jobs.check.model_server import ErrorResponse, Unreachable
from slipway.policy.statistics.agreement import PairedAgreement

from tests.unit.jobs.check.test_ask_cases import RIGHT, WRONG, Answer, FakeServer, a_golden_set

ORDER = CheckRequest(http="candidate:8000", model_name="digits", stable_http="stable:8000")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_cases, "PAUSE_SECONDS", 0.001)


async def compared(
    monkeypatch: pytest.MonkeyPatch,
    candidate: list[Answer],
    stable: list[Answer],
    order: CheckRequest = ORDER,
) -> PairedAgreement | None:
    @asynccontextmanager
    async def open_stable(
        _stable: Endpoints, _model: str, _deadline: Deadline
    ) -> AsyncIterator[tuple[FakeServer, Exchange]]:
        yield FakeServer(*stable), PLAIN

    monkeypatch.setattr(against_stable, "open_exchange", open_stable)
    golden, tally = a_golden_set(len(candidate)), CaseTally(len(candidate))
    limit = Deadline.after(0.2)
    await ask_all_cases(FakeServer(*candidate), golden, Signature(), tally, limit)
    return await ask_stable(order, golden, tally, limit)


async def test_the_discordant_cases_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await compared(monkeypatch, [RIGHT, WRONG, WRONG, RIGHT], [RIGHT, RIGHT, WRONG, WRONG])
    assert found == PairedAgreement(agreed=2, worse=1, better=1)


async def test_an_error_of_stable_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ErrorResponse("the server answered 400: no", is_transient=False)
    found = await compared(monkeypatch, [RIGHT, RIGHT], [RIGHT, refused])

    assert found == PairedAgreement(agreed=1, worse=0, better=1)


async def test_a_stable_that_goes_away_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await compared(monkeypatch, [RIGHT, RIGHT], [RIGHT, Unreachable("gone")]) is None


async def test_the_first_revision_is_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = ORDER.model_copy(update={"stable_http": None})
    assert await compared(monkeypatch, [RIGHT], [RIGHT], alone) is None
