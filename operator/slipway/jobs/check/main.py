"""``slipway check``: the candidate answers a golden set before it gets any traffic.

Nothing here talks to the cluster: the request comes from the environment, the result goes into the
termination message.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.api.request import (
    ENVIRONMENT_VARIABLE,
    GOLDEN_MOUNT,
    SCRATCH_MOUNT,
    SOURCE_CA_MOUNT,
    SOURCE_KEY_MOUNT,
    SOURCE_SECRET_MOUNT,
    CheckRequest,
)
from slipway.api.result import CheckResult, CheckVerdict, JobError
from slipway.errors import JobFailure
from slipway.jobs.check.check_candidate import check_candidate
from slipway.jobs.check.golden_set import LoadedGoldenSet, load_golden_set
from slipway.jobs.http import Backoff
from slipway.jobs.sources.access import SourceAccess, SourceMounts
from slipway.jobs.sources.fetch import fetch_source, verify_digest
from slipway.jobs.sources.signed_tree import SignedTree, verify_signature
from slipway.jobs.termination_message import TERMINATION_LOG, run_and_report

log = logging.getLogger(__name__)

GOLDEN_FIELD = "spec.model.goldenSet"


@dataclass(frozen=True, slots=True)
class CheckMounts:
    """Where the Job's volumes are mounted."""

    scratch: Path = Path(SCRATCH_MOUNT)
    golden: Path = Path(GOLDEN_MOUNT)
    secret: Path = Path(SOURCE_SECRET_MOUNT)
    ca: Path = Path(SOURCE_CA_MOUNT)
    key: Path = Path(SOURCE_KEY_MOUNT)


def main() -> int:
    """Serve the request in the environment, and return the exit code.

    It is 0 for every verdict, also for Fail: the check itself has worked.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return run_check_job(os.environ.get(ENVIRONMENT_VARIABLE), CheckMounts(), TERMINATION_LOG)


def run_check_job(text: str | None, mounts: CheckMounts, termination_log: Path) -> int:
    """Serve the request in `text`, write the termination message, and return the exit code."""

    def work() -> CheckResult:
        if text is None:
            raise JobFailure(
                Reason.INVALID_REQUEST, f"found no ${ENVIRONMENT_VARIABLE}, expected a request"
            )
        request = CheckRequest.model_validate_json(text)
        signed: list[SignedTree] = []
        result = asyncio.run(
            check_candidate(request, lambda: _fetch_golden_set(request, mounts, signed))
        )
        if not signed:
            return result
        said = f"{result.message}; golden set signed by {signed[0].signer}"
        return result.model_copy(update={"message": said, "golden_signed": signed[0].report})

    return run_and_report(work, _failed_check, termination_log)


def _fetch_golden_set(
    request: CheckRequest, mounts: CheckMounts, signed: list[SignedTree]
) -> tuple[LoadedGoldenSet, str] | None:
    if request.golden is None:
        return None
    source = request.golden.source
    found_at = SourceMounts(mounts.golden, mounts.secret, mounts.ca, mounts.key)
    tree = fetch_source(source, mounts.scratch, found_at, field=GOLDEN_FIELD)
    found = verify_digest(source, tree)

    if source.verify is not None:
        access = SourceAccess(source, found_at, GOLDEN_FIELD)
        signed.append(verify_signature(access, tree, found, mounts.scratch, Backoff()))
        tree = signed[-1].tree
    golden = load_golden_set(tree)
    log.info("golden set %s: %d cases", found.digest, len(golden.cases))
    return golden, found.digest


def _failed_check(error: JobError) -> CheckResult:
    return CheckResult(
        error=error,
        verdict=CheckVerdict.INCONCLUSIVE,
        reason=Reason.NOT_CHECKED,
        message=error.message,
    )
