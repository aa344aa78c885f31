"""Whether the candidate answers copies of requests before it gets any, and why not."""

import math

from slipway.api.modeldeployment import AnswersMode, ModelDeploymentSpec
from slipway.api.result import CheckResult
from slipway.policy.analysis.pairs.need import NO_REQUESTS, find_ban, find_need, leaves_it_open
from slipway.policy.rollout.draft import Draft

STATEFUL = "the model keeps state between requests (sequence batching)"
STREAMING = "the model streams its answers (decoupled)"
UNKNOWN_MODEL = "the check did not say whether the model keeps state or streams its answers"
NOT_OFFERED = "no router pod can compare answers: their agents are older, or do not answer"


def find_objection(draft: Draft, result: CheckResult) -> str | None:
    """Return why nothing is compared in this rollout, in words; None: it is compared."""
    rollout = draft.spec.rollout
    ban = find_ban(rollout)
    if ban is not None:
        return ban
    if draft.facts.pairs is None or not draft.facts.pairs.is_offered:
        return NOT_OFFERED
    if not leaves_it_open(rollout):
        return None
    return _find_unfit_model(result) or _find_no_need(draft)


def may_be_compared(draft: Draft) -> bool:
    """Return whether the answer depends on the request rate, which may not be known yet."""
    is_offered = draft.facts.pairs is not None and draft.facts.pairs.is_offered
    return is_offered and leaves_it_open(draft.spec.rollout)


def percent_of_copies(draft: Draft) -> int:
    """Return the share of the requests that is copied, in percent, as far as it is known."""
    shadow, schedule = draft.spec.rollout.shadow, draft.memory.schedule
    rate = schedule.requests_per_second if schedule is not None else None
    if not rate:
        return shadow.percent
    most = shadow.max_pairs_per_second * max(1, len(draft.facts.proxies))
    return max(1, min(shadow.percent, math.ceil(100 * most / rate)))


def choose_answers_mode(spec: ModelDeploymentSpec, result: CheckResult) -> AnswersMode:
    """Return what follows where answers differ: a golden set tells whether they are meant to.

    Both revisions have its answers: so they are those of one model. One has not: then the answers
    of a good version differ from those of stable, and nobody can say by how much.
    """
    shadow = spec.rollout.shadow
    if shadow.answers is not AnswersMode.AUTO or not result.cases:
        return shadow.answers
    stable = result.stable.agreed if result.stable is not None else result.agreed
    is_same = min(result.agreed, stable) >= shadow.min_agreement * result.cases
    return AnswersMode.ENFORCE if is_same else AnswersMode.REPORT_ONLY


def _find_unfit_model(result: CheckResult) -> str | None:
    if result.keeps_state:
        return STATEFUL
    if result.streams_answers:
        return STREAMING
    is_known = result.keeps_state is not None and result.streams_answers is not None
    return None if is_known else UNKNOWN_MODEL


def _find_no_need(draft: Draft) -> str | None:
    """Return why the steps alone will do."""
    schedule = draft.memory.schedule
    if schedule is None or schedule.requests_per_second is None:
        return NO_REQUESTS
    seconds = schedule.forecast_seconds
    steps = None if seconds is None else seconds - draft.spec.rollout.bake_seconds
    is_needed, why = find_need(draft.spec, schedule.requests_per_second, steps)
    return None if is_needed else why
