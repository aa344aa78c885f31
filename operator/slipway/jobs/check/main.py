"""``slipway check``: the candidate answers a golden set before any user sees it.

Nothing here talks to the cluster: the order comes by environment, the result leaves by the
termination message.
"""

import asyncio
import logging
import os
from pathlib import Path

from slipway.api.golden import FILE
from slipway.api.request import ENVIRONMENT_VARIABLE, GOLDEN_MOUNT, SCRATCH_MOUNT, CheckRequest
from slipway.api.result import CheckReason, CheckResult, CheckVerdict, JobError
from slipway.jobs.check.golden import GoldenSet, load_golden_set
from slipway.jobs.check.verdict import check
from slipway.jobs.outcome import TERMINATION_LOG, finish
from slipway.jobs.sources.fetch import fetch, verify

log = logging.getLogger(__name__)


def main(
    *,
    termination_log: Path = TERMINATION_LOG,
    scratch: Path = Path(SCRATCH_MOUNT),
    mount: Path = Path(GOLDEN_MOUNT),
) -> int:
    """Run the order in ``$SLIPWAY_REQUEST`` and return the exit code.

    It is 0 whenever there is a verdict, also Fail: then the check itself has worked.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return finish(lambda: _run(scratch, mount), _failed, termination_log)


def _run(scratch: Path, mount: Path) -> CheckResult:
    request = CheckRequest.model_validate_json(os.environ.get(ENVIRONMENT_VARIABLE, ""))
    return asyncio.run(check(request, lambda: _golden_set(request, scratch, mount)))


def _golden_set(request: CheckRequest, scratch: Path, mount: Path) -> tuple[GoldenSet, str] | None:
    if request.golden is None:
        return None
    tree = fetch(request.golden.source, scratch, mount)
    digest = verify(request.golden.source, tree).digest
    golden = load_golden_set(tree)
    log.info("golden set %s: %d cases, %s", digest, len(golden.cases), FILE)
    return golden, digest


def _failed(error: JobError) -> CheckResult:
    return CheckResult(
        error=error,
        verdict=CheckVerdict.INCONCLUSIVE,
        reason=CheckReason.NOT_CHECKED,
        message=error.message,
    )
