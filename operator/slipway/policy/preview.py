"""Which revision the preview of strategy BlueGreen shows."""

from slipway.api.modeldeployment import Stage, Strategy
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts

SHOWN_IN = frozenset({Stage.PROGRESSING, Stage.BAKING})
"""Stages in which a candidate has passed its checks."""


def find_previewed(decision: Decision, facts: Facts) -> str | None:
    """Return the revision behind the preview Service: the candidate, else stable; None: no preview.

    The Service leads past the router. So there is none where the router keeps callers out.
    """
    spec = facts.spec
    is_closed = spec.traffic.access is not None or spec.traffic.tls_secret_ref is not None
    if spec.rollout.strategy is not Strategy.BLUE_GREEN or is_closed:
        return None
    is_candidate_shown = decision.candidate is not None and decision.memory.stage in SHOWN_IN
    shown = decision.candidate if is_candidate_shown else decision.stable
    return shown if shown in facts.revisions else None
