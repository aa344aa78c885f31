"""Mode Threshold: fixed limits, as Flagger and Argo users know them, without three faults.

A check is made on a block of `minRequests` requests of the candidate, never on fewer; where there
is no data there is no check, neither good nor bad; and where stable breaks the same limit in the
same block, it is not held against the candidate. Checks that failed are counted over the whole
rollout; a step passes when its last check was good.
"""

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.metric_memory import ShareMemory, StoredState, append_look, load_share
from slipway.policy.analysis.metrics.assessment import Assessment, Look
from slipway.policy.analysis.metrics.share import ShareMetric, describe_share
from slipway.policy.statistics.eprocess import NOTHING, Pair
from slipway.records import replace


def check_share(share: ShareMetric, delta: Pair, stored: StoredState, look: Look) -> Assessment:
    """Return what a share says after `delta` more requests; `share.maximum` is the limit."""
    limit = share.maximum or 0.0
    memory = load_share(stored.text) or ShareMemory(lost=stored.times_lost)
    if look.is_new_step:
        memory = replace(memory, step=NOTHING, block=NOTHING, checked=0)
    memory = replace(memory, step=memory.step + delta, block=memory.block + delta)

    block = memory.block
    is_full = block.n_c >= look.plan.threshold.min_requests
    is_bad = is_full and block.k_c > limit * block.n_c
    is_shared = is_bad and block.n_s > 0 and block.k_s > limit * block.n_s
    if is_full:
        memory = _end_block(memory, is_bad=is_bad, is_shared=is_shared)

    # The block that was just checked is what the message is about, not the empty one after it.
    text = wording.compare_shares(share.what, block, limit, look.base.since)
    text += wording.lost_state_note(max(memory.lost, look.base.lost))
    undecided = Verdict.INCONCLUSIVE, Reason.UNDECIDED, text
    judgement = describe_share(share, memory, limit, look, undecided)
    assessment = Assessment(judgement, fail_reason=share.fail_reason, figures=text)
    return _with_own_verdict(memory, assessment, look, is_shared=is_shared)


def _end_block(memory: ShareMemory, *, is_bad: bool, is_shared: bool) -> ShareMemory:
    """Return the memory after a check; one that stable fails too counts for nothing."""
    block = memory.block
    looks = append_look(memory.looks, block.k_c / block.n_c)
    memory = replace(memory, block=NOTHING, looks=looks)
    if is_shared:
        return memory
    checked = abs(memory.checked) + 1
    if is_bad:
        return replace(memory, checked=-checked, failed=memory.failed + 1)
    return replace(memory, checked=checked)


def _with_own_verdict(
    memory: ShareMemory, assessment: Assessment, look: Look, *, is_shared: bool
) -> Assessment:
    rule, text = look.plan.threshold, assessment.figures
    checks = "check" if memory.failed == 1 else "checks"
    failed = f"{memory.failed} failed {checks}, {rule.failure_limit} tolerated"
    if memory.failed > rule.failure_limit:
        return assessment.with_verdict(Verdict.FAIL, assessment.fail_reason, f"{failed}: {text}")

    if is_shared:
        message = f"stable is equally bad; not held against the candidate: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.SHARED_FAULT, message)
    if not memory.step.n_c:
        message = f"no completed requests on the candidate yet: {text}"
        return assessment.with_verdict(Verdict.NO_DATA, Reason.NO_TRAFFIC, message)

    if memory.checked > 0:
        message = f"the last of {memory.checked} checks in this step passed; {failed}: {text}"
        return assessment.with_verdict(Verdict.PASS, Reason.WITHIN_LIMIT, message)
    if memory.checked < 0:
        message = f"the last check failed; {failed}: {text}"
        return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.CHECK_FAILED, message)
    more = rule.min_requests - memory.block.n_c
    message = f"next check in {more} requests: {text}"
    return assessment.with_verdict(Verdict.INCONCLUSIVE, Reason.TOO_FEW_REQUESTS, message)
