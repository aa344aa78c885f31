"""``slipway check``: the candidate answers a golden set before any user sees it.

Nothing here talks to the cluster: the order comes by environment, the result leaves by the
termination message.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.api.request import ENVIRONMENT_VARIABLE, GOLDEN_MOUNT, SCRATCH_MOUNT, CheckRequest
from slipway.api.result import CheckResult, CheckVerdict, JobError
from slipway.errors import JobFailure
from slipway.jobs.check.check_candidate import check_candidate
from slipway.jobs.check.golden_set import LoadedGoldenSet, load_golden_set
from slipway.jobs.sources.fetch import fetch_source, verify_digest
from slipway.jobs.termination_message import TERMINATION_LOG, run_and_report

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckMounts:
    """Where things are mounted."""

    scratch: Path = Path(SCRATCH_MOUNT)
    golden: Path = Path(GOLDEN_MOUNT)


def main() -> int:
    """Run the order of the environment and return the exit code.

    It is 0 whenever there is a verdict, also Fail: then the check itself has worked.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return run_check_job(os.environ.get(ENVIRONMENT_VARIABLE), CheckMounts(), TERMINATION_LOG)


def run_check_job(text: str | None, places: CheckMounts, termination_log: Path) -> int:
    """Run the order in `text`; everything that happens ends in the termination message."""

    def work() -> CheckResult:
        if text is None:
            raise JobFailure(
                Reason.INVALID_REQUEST, f"found no ${ENVIRONMENT_VARIABLE}, expected an order"
            )
        request = CheckRequest.model_validate_json(text)
        return asyncio.run(check_candidate(request, lambda: _fetch_golden_set(request, places)))

    return run_and_report(work, _failed_check, termination_log)


def _fetch_golden_set(
    request: CheckRequest, places: CheckMounts
) -> tuple[LoadedGoldenSet, str] | None:
    if request.golden is None:
        return None
    tree = fetch_source(request.golden.source, places.scratch, places.golden)
    digest = verify_digest(request.golden.source, tree).digest
    golden = load_golden_set(tree)
    log.info("golden set %s: %d cases", digest, len(golden.cases))
    return golden, digest


def _failed_check(error: JobError) -> CheckResult:
    return CheckResult(
        error=error,
        verdict=CheckVerdict.INCONCLUSIVE,
        reason=Reason.NOT_CHECKED,
        message=error.message,
    )
