"""The same cases, asked of stable: a regression shows best on equal questions."""

import logging

from slipway.api.request import CheckRequest
from slipway.errors import JobFailure
from slipway.jobs.check.ask_cases import CaseTally, Deadline, ask_case
from slipway.jobs.check.golden_set import LoadedGoldenSet, fit_case
from slipway.jobs.check.model_server import open_http_server
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

    # Half of the rest: the comparison by gRPC comes afterwards.
    limit = Deadline.after(deadline.remaining / 2)
    agrees = []
    try:
        async with open_http_server(request.stable_http, request.model_name) as server:
            for case in golden.cases:
                fitted = fit_case(case, candidate.signature)
                agrees.append(await ask_case(server, golden, fitted, limit) is None)
    except JobFailure as error:
        log.warning("not comparing with stable: it does not answer: %s", error)
        return None

    return compare_paired(candidate.agrees, agrees)
