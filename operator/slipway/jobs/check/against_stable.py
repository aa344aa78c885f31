"""Asking stable the candidate's questions: who is worse shows best on the same cases."""

import logging

from slipway.api.request import CheckRequest
from slipway.errors import JobFailure
from slipway.jobs.check.ask_cases import CaseTally, Deadline, ask_case
from slipway.jobs.check.golden_set import LoadedGoldenSet, fit_case
from slipway.jobs.check.model_server import open_http_server
from slipway.policy.statistics.agreement import PairedAgreement, compare_paired

log = logging.getLogger(__name__)


async def ask_stable(
    request: CheckRequest, golden: LoadedGoldenSet, tally: CaseTally, deadline: Deadline
) -> PairedAgreement | None:
    """Return how the candidate stands beside stable; None where stable cannot be asked in full.

    Stable may be down, and this candidate its repair: that must not hold up the check.
    """
    if request.stable_http is None or tally.asked < tally.total:
        return None
    limit = Deadline.after(deadline.remaining / 2)
    agrees = []
    try:
        async with open_http_server(request.stable_http, request.model_name) as server:
            for case in golden.cases:
                problem = await ask_case(server, golden, fit_case(case, tally.signature), limit)
                agrees.append(problem is None)
    except JobFailure as error:
        log.warning("stable is not compared, it does not answer: %s", error)
        return None
    return compare_paired(tally.agrees, agrees)
