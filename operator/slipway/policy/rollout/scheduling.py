"""The schedule of a rollout, fixed once: what the spec leaves open is chosen from the traffic.

It is measured from the start of the rollout on, while the candidate's pods start. Steps are needed
before the first weight, so that one waits for it; for a deadline nobody waits.
"""

from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import (
    AnalysisMode,
    Schedule,
    Stage,
)
from slipway.api.reasons import Reason
from slipway.policy.analysis.forecast import ExpectedTraffic
from slipway.policy.analysis.pairs.need import leaves_it_open
from slipway.policy.analysis.schedule import choose_schedule
from slipway.policy.facts import Facts
from slipway.policy.ladder import DEFAULT_WEIGHTS
from slipway.policy.measured_traffic import LONGEST_SECONDS
from slipway.policy.rollout.active_clock import active_seconds
from slipway.policy.rollout.draft import SAFETY_POLL, Draft
from slipway.policy.rollout.recall import recall
from slipway.policy.rollout.switching import is_record_open

OPEN_IN = frozenset({Stage.STARTING, Stage.CHECKING, Stage.SHADOWING, Stage.PROGRESSING})
"""Stages in which a schedule may still be missing."""
BEFORE_PAIRS = frozenset({Stage.STARTING, Stage.CHECKING})
"""Stages after which it is decided whether answers are compared."""
MEASURED_WITHIN_SECONDS = 2 * LONGEST_SECONDS
"""Of active time, with a restart of the operator in between; then the defaults count."""


def awaits_measurement(facts: Facts, now: datetime) -> bool:
    """Return whether the traffic is to be measured, by what the last pass left."""
    if facts.candidate is None:
        return False
    draft = Draft(recall(facts), facts, now)
    return is_schedule_open(draft) or is_record_open(draft)


def is_schedule_open(draft: Draft) -> bool:
    """Return whether the rollout still lacks what the spec leaves open."""
    memory, analysis = draft.memory, draft.spec.rollout.analysis
    is_judged = memory.unjudged is None and analysis.mode is not AnalysisMode.OFF
    is_under_way = bool(draft.candidate) and draft.stable is not None and memory.outcome is None
    return (
        is_under_way
        and is_judged
        and memory.stage in OPEN_IN
        and memory.schedule is None
        and _leaves_something_open(draft)
    )


def is_choosing_steps(draft: Draft) -> bool:
    """Return whether the first weight is not known yet."""
    return is_schedule_open(draft) and draft.spec.rollout.chooses_steps


def fix_schedule(draft: Draft) -> Draft:
    """Return the draft with its schedule, once the traffic is known or has been asked for long.

    It stays as it is until the rollout is over, whatever the traffic does.
    """
    if not is_schedule_open(draft):
        return draft
    measured = draft.facts.measured
    is_late = active_seconds(draft.memory, draft.now) >= MEASURED_WITHIN_SECONDS
    is_known = measured is not None and measured.is_telling

    # A candidate that has traffic already has climbed the default steps.
    climbs = draft.spec.rollout.chooses_steps and draft.written_weight > 0
    if climbs:
        return _note(draft, Schedule(weights=list(DEFAULT_WEIGHTS)))
    if measured is None or not is_known:
        return _note(draft, choose_schedule(draft.spec, None)) if is_late else draft

    traffic = ExpectedTraffic(measured.per_second, measured.error_ratio, measured.latency)
    return _note(draft, choose_schedule(draft.spec, traffic))


def await_schedule(draft: Draft, stage: Stage = Stage.PROGRESSING) -> Draft:
    """Hold the first weight until the steps are known."""
    message = "counting requests for some seconds to choose the steps"
    return draft.enter(stage, Reason.MEASURING_TRAFFIC, message, requeue_after=SAFETY_POLL)


def _note(draft: Draft, schedule: Schedule) -> Draft:
    return draft.remember(replace(draft.memory, schedule=schedule))


def _leaves_something_open(draft: Draft) -> bool:
    """Return whether steps or deadline, or whether answers are compared, depends on the traffic."""
    rollout = draft.spec.rollout
    may_be_compared = draft.memory.stage in BEFORE_PAIRS and leaves_it_open(rollout)
    return rollout.chooses_steps or rollout.deadline_seconds is None or may_be_compared
