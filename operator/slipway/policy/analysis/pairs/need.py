"""Whether the spec and the traffic ask for a comparison of answers before the steps."""

from slipway.api.modeldeployment import (
    AnalysisMode,
    ModelDeploymentSpec,
    Rollout,
    ShadowMode,
)
from slipway.policy.analysis.wording import time_to_plan

LONG_SECONDS = 900
"""Steps that take longer than this at the request rate are worth a comparison first."""
NO_REQUESTS = "no requests were counted"


def leaves_it_open(rollout: Rollout) -> bool:
    """Return whether it depends on the model and on the traffic."""
    if rollout.recreates:
        return False
    is_auto = rollout.shadow.mode is ShadowMode.AUTO and not rollout.asks_for_pairs
    return is_auto and rollout.analysis.mode is AnalysisMode.AUTO


def find_ban(rollout: Rollout) -> str | None:
    """Return why the spec wants no comparison, in words."""
    if rollout.shadow.mode is ShadowMode.OFF:
        return "rollout.shadow.mode is Off"
    if rollout.recreates:
        return "strategy Recreate never runs two revisions at once"
    if rollout.asks_for_pairs:
        return None
    if rollout.analysis.mode is not AnalysisMode.AUTO:
        return f"rollout.analysis.mode is {rollout.analysis.mode}"
    return None


def find_need(
    spec: ModelDeploymentSpec, per_second: float, steps_seconds: float | None
) -> tuple[bool, str]:
    """Return whether `mode: Auto` compares a model that can be compared, and why, in words.

    `steps_seconds` are those of the steps alone, without the bake; None: more than a day.
    """
    if per_second <= 0:
        return False, NO_REQUESTS
    if spec.rollout.switches_once:
        return True, "all requests move at once, and copies are the only evidence before that"
    if spec.model.golden_set is None:
        return True, "there is no golden set"
    rate = f"{per_second:.3g} requests/s"
    if steps_seconds is None:
        return True, f"the steps alone take more than a day at {rate}"
    time = time_to_plan(steps_seconds)
    return steps_seconds > LONG_SECONDS, f"the steps alone take about {time} at {rate}"
