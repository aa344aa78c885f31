"""The check of a candidate: signature, golden set, comparison with stable, and the same by gRPC."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from slipway.api.golden import Regression, Rule, ToleranceRule
from slipway.api.modelroute import ShadowOutput
from slipway.api.reasons import Reason
from slipway.api.request import CheckRequest
from slipway.api.result import CheckResult, CheckVerdict, Signature, StableComparison
from slipway.errors import JobFailure
from slipway.jobs.check.against_stable import ask_stable
from slipway.jobs.check.ask_cases import (
    CaseTally,
    Deadline,
    Endpoints,
    ask_all_cases,
    ask_case,
    call_until_reached,
    open_exchange,
    wait_for_signature,
)
from slipway.jobs.check.exchange import Exchange
from slipway.jobs.check.golden_set import LoadedGoldenSet
from slipway.jobs.check.model_server import open_grpc_server, open_http_server
from slipway.jobs.check.shown_cases import choose_shown
from slipway.jobs.check.signature import signature_differences
from slipway.policy.statistics.agreement import CONFIDENCE, PairedAgreement, lower_bound

log = logging.getLogger(__name__)

MOST_RULES = 32
"""Of a golden set, that its result tells."""
MOST_RTOL, MOST_ATOL = 1.0, 1e9
"""What a ModelRoute takes; wider ones compare nothing."""
STABLE_SECONDS = 20.0
"""Time that stable gets to report its signature."""

GoldenSource = Callable[[], tuple[LoadedGoldenSet, str] | None]
"""Fetches the golden set, with its digest, once it is needed; None without a golden set."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A golden set with the candidate's answers."""

    golden: LoadedGoldenSet
    digest: str
    needed: float
    """Smallest share of cases that must agree; ratio in [0, 1]."""
    tally: CaseTally
    exchange: Exchange
    against_stable: PairedAgreement | None = None
    """How stable answered the same cases; None if it was not asked."""
    shows_cases: bool = True
    """Whether values of cases that disagree are reported."""

    @property
    def failed(self) -> bool:
        """Whether the candidate can no longer pass."""
        return self.tally.fatal or not self.tally.can_reach(self.needed)

    def __str__(self) -> str:
        tally = self.tally
        share = f"{tally.agreed} of {tally.asked} cases agree"
        if tally.asked < tally.total:
            share += f", {tally.total - tally.asked} not asked"
        share += f" ({tally.agreed / max(1, tally.asked):.3f}, needed {self.needed:.3f}"
        share += f", at least {self.at_least:.3f} with {CONFIDENCE:.0%} confidence)"
        return "; ".join(filter(None, (share, str(self.against_stable or ""), tally.first)))

    @property
    def at_least(self) -> float:
        """Lower bound of the true share of agreement, if the cases are a fair sample."""
        return lower_bound(self.tally.agreed, self.tally.asked)


async def check_candidate(request: CheckRequest, golden_source: GoldenSource) -> CheckResult:
    """Return the verdict on the candidate.

    Raises:
        JobFailure: no verdict is possible: the golden set cannot be fetched or is wrong, or the
            server did not answer.

    """
    # The signature comes first: with another one, every case would fail for the same reason.
    async with open_http_server(request.http, request.model_name) as server:
        loaded = Deadline.after(request.start_seconds + request.timeout_seconds)
        signature = await wait_for_signature(server, loaded)
        deadline = Deadline.after(request.timeout_seconds)
        parts = await call_until_reached(server.exchanges_of_all_parts, deadline)
        stable = await _stable_signature(request)
        if changed := _signature_change(stable, signature):
            return _failed_result(Reason.SIGNATURE_CHANGED, changed, signature)
    trial = await _ask_golden_set(signature, request, golden_source, deadline)

    if trial is not None and trial.failed:
        return _failed_result(Reason.GOLDEN_SET_FAILED, str(trial), signature, trial)

    if trial is not None and stable is not None:
        found = await ask_stable(request, trial.golden, trial.tally, deadline)
        trial = replace(trial, against_stable=found)
        if found is not None and found.has_regressed and _forbids_regression(request):
            return _failed_result(Reason.GOLDEN_SET_REGRESSED, str(trial), signature, trial)

    if problem := await _find_grpc_difference(request, signature, trial, deadline):
        reason = Reason.GOLDEN_SET_FAILED if trial else Reason.SIGNATURE_CHANGED
        return _failed_result(reason, problem, signature, trial)
    return _passed_result(signature, stable, trial, parts)


def _forbids_regression(request: CheckRequest) -> bool:
    return request.golden is not None and request.golden.regression is Regression.FAIL


async def _stable_signature(request: CheckRequest) -> Signature | None:
    """Return the signature that stable's clients use; None if stable cannot be asked.

    Stable may be down, and this candidate may repair it: that must not fail the check.
    """
    if request.stable_http is None:
        return None
    try:
        async with open_http_server(request.stable_http, request.model_name) as server:
            return await wait_for_signature(server, Deadline.after(STABLE_SECONDS))
    except JobFailure as error:
        log.warning("not comparing the signature: stable does not answer: %s", error)
        return None


def _signature_change(stable: Signature | None, candidate: Signature) -> str | None:
    changed = signature_differences(stable, candidate) if stable is not None else []
    if not changed:
        return None
    advice = "today's clients would fail: serve this version as another ModelDeployment"
    return f"signature differs from stable's: {'; '.join(changed)}; {advice}"


async def _ask_golden_set(
    signature: Signature,
    request: CheckRequest,
    golden_source: GoldenSource,
    deadline: Deadline,
) -> Trial | None:
    found = golden_source()
    if found is None or request.golden is None:
        return None

    golden, digest = found
    tally = CaseTally(len(golden.cases))
    endpoints = Endpoints(request.http, request.grpc)
    async with open_exchange(endpoints, request.model_name, deadline) as (server, exchange):
        needed, shows = request.golden.min_agreement, request.golden.show_cases
        trial = Trial(golden, digest, needed, tally, exchange, shows_cases=shows)
        try:
            await ask_all_cases(server, golden, signature, tally, deadline, exchange=exchange)
        except JobFailure:
            if not trial.failed:  # a verdict that is certain needs no more cases
                raise

    return trial


async def _find_grpc_difference(
    request: CheckRequest, signature: Signature, trial: Trial | None, deadline: Deadline
) -> str | None:
    """Return how gRPC answers differently from HTTP; one case is enough to see that."""
    if request.grpc is None:
        return None

    async with open_grpc_server(request.grpc, request.model_name) as server:
        if changed := signature_differences(signature, await wait_for_signature(server, deadline)):
            return f"signature by gRPC differs from that by HTTP: {'; '.join(changed)}"
        case = trial.tally.example if trial else None
        if trial is None or case is None or trial.exchange.is_streaming:
            return None  # a model that streams was asked by gRPC all along
        problem = await ask_case(server, trial.golden, case, deadline, exchange=trial.exchange)
    return f"case {case.name} by gRPC: {problem.text}" if problem else None


def _passed_result(
    signature: Signature,
    stable: Signature | None,
    trial: Trial | None,
    parts: list[Exchange] | None,
) -> CheckResult:
    reason = Reason.GOLDEN_SET_PASSED if trial else Reason.NO_GOLDEN_SET
    compared = "" if stable is None else "; same signature as stable"
    message = f"{trial or 'no golden set'}{compared}"
    result = _make_result(CheckVerdict.PASS, reason, message, signature, trial)
    return result.model_copy(
        update={
            "keeps_state": None if parts is None else any(part.is_stateful for part in parts),
            "streams_answers": None if parts is None else any(part.is_streaming for part in parts),
            "outputs": list_rules(trial.golden.rules) if trial is not None else [],
        }
    )


def list_rules(rules: Mapping[str, Rule]) -> list[ShadowOutput]:
    """Return the golden set's rules as the router compares answers by them."""
    return [
        ShadowOutput(
            name=name,
            compare=rule.compare,
            rtol=min(MOST_RTOL, rule.rtol) if isinstance(rule, ToleranceRule) else None,
            atol=min(MOST_ATOL, rule.atol) if isinstance(rule, ToleranceRule) else None,
        )
        for name, rule in list(rules.items())[:MOST_RULES]
    ]


def _failed_result(
    reason: Reason, message: str, signature: Signature, trial: Trial | None = None
) -> CheckResult:
    return _make_result(CheckVerdict.FAIL, reason, message, signature, trial)


def _make_result(
    verdict: CheckVerdict,
    reason: Reason,
    message: str,
    signature: Signature,
    trial: Trial | None,
) -> CheckResult:
    if trial is None:
        return CheckResult(verdict=verdict, reason=reason, message=message, signature=signature)

    return CheckResult(
        verdict=verdict,
        reason=reason,
        message=message,
        cases=trial.tally.total,
        agreed=trial.tally.agreed,
        disagreements=choose_shown(trial.tally.shown) if trial.shows_cases else [],
        golden_digest=trial.digest,
        at_least=round(trial.at_least, 4),
        stable=_stable_comparison(trial.against_stable) if trial.against_stable else None,
        signature=signature,
    )


def _stable_comparison(found: PairedAgreement) -> StableComparison:
    return StableComparison(
        agreed=found.agreed, worse=found.worse, better=found.better, p=round(found.p, 6)
    )
