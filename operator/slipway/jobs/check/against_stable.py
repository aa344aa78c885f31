"""The same cases, asked of stable: a regression shows best on equal questions."""

import logging
from contextlib import aclosing

from slipway.api.request import CheckRequest
from slipway.errors import JobFailure
from slipway.jobs.check.ask_cases import (
    CaseTally,
    Deadline,
    Endpoints,
    answer_cases,
    open_exchange,
)
from slipway.jobs.check.golden_set import LoadedGoldenSet
from slipway.policy.statistics.agreement import PairedAgreement, compare_paired

log = logging.getLogger(__name__)


async def ask_stable(
    request: CheckRequest, golden: LoadedGoldenSet, candidate: CaseTally, deadline: Deadline
) -> PairedAgreement | None:
    """Return how the candidate compares with stable; None if stable cannot be asked every case.

    Stable may be down, and this candidate may repair it: that must not fail the check.
    """
    if request.stable_http is None or candidate.asked < candidate.total:
        return None
    stable = Endpoints(request.stable_http, request.stable_grpc)

    # Half of the rest: the comparison by gRPC comes afterwards.
    limit = Deadline.after(deadline.remaining / 2)
    agrees = []
    try:
        async with open_exchange(stable, request.model_name, limit) as (server, exchange):
            answers = answer_cases(server, golden, candidate.signature, limit, exchange=exchange)
            async with aclosing(answers):
                async for _, problem in answers:
                    agrees.append(problem is None)
    except JobFailure as error:
        log.warning("not comparing with stable: it does not answer: %s", error)
        return None

    return compare_paired(candidate.agrees, agrees)
