"""Mode Threshold: fixed limits, as Flagger and Argo users know them, without three faults.

A check is made on a block of `minRequests` requests of the candidate, never on fewer; where there
is no data there is no check, neither good nor bad; and where stable breaks the same limit in the
same block nobody is blamed. Checks that failed are counted over the whole rollout; a step passes
when its last check was good.
"""

from dataclasses import replace

from slipway.api.times import to_wire
from slipway.policy.analysis import wording
from slipway.policy.analysis.memory import Raw, ShareMemory, and_look, load_share
from slipway.policy.analysis.metrics.assessment import Assessed, Look
from slipway.policy.analysis.metrics.share import Share
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import NOTHING, Pair


def check_share(share: Share, delta: Pair, raw: Raw, look: Look) -> Assessed:
    """Return what a share says after `delta` more requests; `share.maximum` is the limit."""
    limit = share.maximum or 0.0
    memory = load_share(raw) or ShareMemory(lost=int(bool(raw.get("known"))))
    if look.is_new_step:
        memory = replace(memory, step=NOTHING, block=NOTHING, checked=0)
    memory = replace(memory, step=memory.step + delta, block=memory.block + delta)
    block = memory.block
    is_full = block.n_c >= look.plan.threshold.min_requests
    is_bad = is_full and block.k_c > limit * block.n_c
    is_shared = is_bad and block.n_s > 0 and block.k_s > limit * block.n_s
    if is_full:
        memory = _checked(memory, is_bad=is_bad, is_shared=is_shared)
    text = wording.beside(share.what, block, limit, look.base.since)
    text += wording.lost(max(memory.lost, look.base.lost))
    pair = memory.step
    judgement = Judgement(
        share.name,
        "Inconclusive",
        "Undecided",
        text,
        candidate=pair.k_c / pair.n_c if pair.n_c else None,
        baseline=pair.k_s / pair.n_s if pair.n_s else None,
        limit=limit,
        samples=pair.n_c,
        baseline_samples=pair.n_s,
        role=share.role,
        since=to_wire(look.base.since),
        looks=memory.looks,
    )
    made = Assessed(judgement, memory.raw(), fail_reason=share.fail_reason, words=text)
    return _verdict(memory, made, look, is_shared=is_shared)


def _checked(memory: ShareMemory, *, is_bad: bool, is_shared: bool) -> ShareMemory:
    """Return the memory after a check; one that stable fails too counts for nothing."""
    block = memory.block
    looks = and_look(memory.looks, block.k_c / block.n_c)
    memory = replace(memory, block=NOTHING, looks=looks)
    if is_shared:
        return memory
    checked = abs(memory.checked) + 1
    if is_bad:
        return replace(memory, checked=-checked, failed=memory.failed + 1)
    return replace(memory, checked=checked)


def _verdict(memory: ShareMemory, made: Assessed, look: Look, *, is_shared: bool) -> Assessed:
    rule, text = look.plan.threshold, made.words
    failed = f"{memory.failed} checks failed, {rule.failure_limit} may"
    if memory.failed > rule.failure_limit:
        return made.said("Fail", made.fail_reason, f"{failed}: {text}")
    if is_shared:
        return made.said(
            "Inconclusive", "SharedFault", f"stable is as bad, nobody is blamed: {text}"
        )
    if not memory.step.n_c:
        return made.said("NoData", "NoTraffic", f"the candidate answered nothing yet: {text}")
    if memory.checked > 0:
        return made.said("Pass", "WithinLimit", f"{memory.checked} checks, {failed}: {text}")
    if memory.checked < 0:
        return made.said("Inconclusive", "CheckFailed", f"the last check failed, {failed}: {text}")
    more = rule.min_requests - memory.block.n_c
    return made.said("Inconclusive", "TooFewRequests", f"{more} requests to the next check: {text}")
