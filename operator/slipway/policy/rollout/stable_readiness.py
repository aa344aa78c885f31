"""Since when stable cannot serve, measured by this operator itself.

Neither the Available condition of a Deployment nor the clocks of nodes say that: the one is False
while a single replica is missing, the others differ. So the moment at which the operator first saw
no ready replica is kept in the status, and forgotten as soon as it sees one.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.gap import has_given_way
from slipway.policy.scaling.sleep import is_asleep, is_waking


def note_stable_readiness(draft: Draft) -> Draft:
    """Return the draft with the moment noted since which stable has had no ready replica.

    One that was stopped for its candidate is not down.
    """
    if draft.stable is None or draft.can_go_back or has_given_way(draft) or is_asleep(draft.facts):
        return _note(draft, None)
    since = draft.memory.stable_down_since
    if since is None:
        return _note(draft, draft.now + _start_time(draft))

    # It may have been up and down again while no operator looked: its pods tell the later moment.
    pods = draft.facts.pods.get(draft.stable, ())
    lost = (pod.not_ready_since for pod in pods if pod.not_ready_since is not None)
    seen = [moment for moment in lost if since < moment <= draft.now]
    return _note(draft, max(seen, default=since))


def _start_time(draft: Draft) -> timedelta:
    """Return how long stable may take to wake before that is an outage."""
    stable = draft.stable_revision
    if stable is None or not is_waking(draft.facts):
        return timedelta()
    return timedelta(seconds=stable.snapshot.start_seconds)


def _note(draft: Draft, since: datetime | None) -> Draft:
    if draft.memory.stable_down_since == since:
        return draft
    return draft.remember(replace(draft.memory, stable_down_since=since))
