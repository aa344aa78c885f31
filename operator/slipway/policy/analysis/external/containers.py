"""The metric `resources`: what Kubernetes says of the candidate's containers under traffic."""

from datetime import datetime

from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import Stated
from slipway.policy.container_evidence import find_container_evidence
from slipway.policy.facts import Facts

RESOURCES = "resources"
"""The metric's name."""


def read_containers(facts: Facts, candidate: str, stable: str, now: datetime) -> Stated:
    """Return the verdict on the candidate's containers, which is taken as it is."""
    found = find_container_evidence(facts, candidate, stable, now)
    if found is not None:
        return Stated(Verdict.FAIL, Why(Reason.parse(found.reason, Reason.CRASHING), found.message))

    pods = [pod for pod in facts.pods.get(candidate, ()) if not pod.meta.deleting]
    exits = sum(pod.exits for pod in pods)
    if not exits:
        of_pods = "1 pod" if len(pods) == 1 else f"{len(pods)} pods"
        text = f"no container has exited in {of_pods} of the candidate"
        return Stated(Verdict.PASS, Why(Reason.NO_RESTARTS, text))

    last = next((pod.last_exit for pod in pods if pod.last_exit is not None), None)
    how = f", most recently with code {last.code} ({last.reason})" if last is not None else ""
    times = "once" if exits == 1 else f"{exits} times"
    text = f"the candidate's containers exited {times}{how}; not enough to count against it"
    return Stated(Verdict.PASS, Why(Reason.RESTARTED, text))
