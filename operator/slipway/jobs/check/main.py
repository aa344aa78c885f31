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
from slipway.api.result import CheckReason, CheckResult, CheckVerdict, JobError
from slipway.errors import JobFailure
from slipway.jobs.check.golden import GoldenSet, load_golden_set
from slipway.jobs.check.verdict import check
from slipway.jobs.outcome import TERMINATION_LOG, finish
from slipway.jobs.sources.fetch import fetch, verify

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are mounted."""

    scratch: Path = Path(SCRATCH_MOUNT)
    golden: Path = Path(GOLDEN_MOUNT)


def main() -> int:
    """Run the order of the environment and return the exit code.

    It is 0 whenever there is a verdict, also Fail: then the check itself has worked.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return run(os.environ.get(ENVIRONMENT_VARIABLE), Places(), TERMINATION_LOG)


def run(text: str | None, places: Places, termination_log: Path) -> int:
    """Run the order in `text`; everything that happens ends in the termination message."""

    def work() -> CheckResult:
        if text is None:
            raise JobFailure(
                Reason.INVALID_REQUEST, f"found no ${ENVIRONMENT_VARIABLE}, expected an order"
            )
        request = CheckRequest.model_validate_json(text)
        return asyncio.run(check(request, lambda: _golden_set(request, places)))

    return finish(work, _failed, termination_log)


def _golden_set(request: CheckRequest, places: Places) -> tuple[GoldenSet, str] | None:
    if request.golden is None:
        return None
    tree = fetch(request.golden.source, places.scratch, places.golden)
    digest = verify(request.golden.source, tree).digest
    golden = load_golden_set(tree)
    log.info("golden set %s: %d cases", digest, len(golden.cases))
    return golden, digest


def _failed(error: JobError) -> CheckResult:
    return CheckResult(
        error=error,
        verdict=CheckVerdict.INCONCLUSIVE,
        reason=CheckReason.NOT_CHECKED,
        message=error.message,
    )
