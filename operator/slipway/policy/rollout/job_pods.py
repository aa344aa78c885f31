"""The pod of a Job that runs: why it does not start, where it does not."""

from datetime import timedelta

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason
from slipway.policy.facts import JobFact
from slipway.policy.rollout.draft import Draft

STARTS_WITHIN = timedelta(seconds=15)
"""A Job's pod is there and running; pulling the image may take longer, and is then said."""


def watch_for_pod(draft: Draft, job: JobFact, stage: Stage) -> Draft:
    """Say why the Job of a stage has no pod, or one that does not start."""
    if job.created is None or (job.has_pod and job.waits is None):
        return draft
    left = job.created + STARTS_WITHIN - draft.now
    if left > timedelta():
        return draft.requeue(left)

    if job.waits is not None:
        message = f"the pod of Job {job.meta.name} does not start: {job.waits}"
        return draft.enter(stage, Reason.POD_WAITING, message)
    message = (
        f"Job {job.meta.name} has no pod; its events show which quota or admission check refuses it"
    )
    return draft.enter(stage, Reason.JOB_HAS_NO_POD, message)
