"""The audit trail: each decision and action as fields of one log line; pure.

A line says what happened, who asked, what was known (the numbers of the analysis), and what
followed: revisions, stage and weights before and after. Nothing in it is measured anew: it is what
the decision rested on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slipway.api.names import ANNOTATION_CHANGED_BY
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts

OPERATOR = "slipway"
"""Who decides, where no person asked."""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line."""

    message: str
    fields: Mapping[str, object]


def describe_audit(decision: Decision, facts: Facts) -> Iterator[AuditLine]:
    """Yield a line for an action, for each event beside it, and for weights that are written."""
    action = decision.last_action if decision.last_action != facts.status.last_action else None
    refused = decision.refused_action
    action = action or (refused if refused != facts.status.refused_action else None)
    by = action.by if action is not None else OPERATOR

    if action is not None:
        asked = {"verb": action.verb, "id": action.id, "result": action.result}
        yield AuditLine(
            f"{action.verb} by {by}: {action.result}",
            {"audit": "action", "by": by, **asked, **_describe_state(decision, facts)},
        )
    for event in decision.events:
        if event.reason == "Action":
            continue
        about = {"audit": "decision", "by": by, "reason": event.reason}
        yield AuditLine(event.message, {**about, **_describe_state(decision, facts)})

    before = _find_weights(facts)
    if decision.weights != before:
        about = {"audit": "weights", "by": by, "reason": decision.reason}
        yield AuditLine(decision.message, {**about, **_describe_state(decision, facts)})


def _describe_state(decision: Decision, facts: Facts) -> Mapping[str, object]:
    """Return what was known, and what followed."""
    metadata, status = facts.metadata, facts.status
    stage = status.rollout.stage if status.rollout is not None else None
    candidate = decision.candidate or facts.candidate
    return {
        "namespace": metadata.namespace,
        "object": metadata.name,
        "uid": metadata.uid,
        "generation": metadata.generation,
        "version": facts.spec.model.version,
        "changedBy": metadata.annotations.get(ANNOTATION_CHANGED_BY, "")[:128],
        "candidate": candidate,
        "stable": {"from": facts.stable, "to": decision.stable},
        "stage": {"from": stage, "to": decision.stage},
        "weights": {"from": _find_weights(facts), "to": dict(decision.weights)},
        "cause": decision.memory.cause,
        "unjudged": decision.memory.unjudged,
        "metrics": [
            {
                "name": it.name,
                "verdict": it.verdict.value,
                "candidate": it.candidate,
                "baseline": it.baseline,
                "limit": it.limit,
                "samples": it.samples,
                "baselineSamples": it.baseline_samples,
            }
            for it in facts.judgements
        ],
    }


def _find_weights(facts: Facts) -> Mapping[str, int]:
    return dict(facts.route.weights) if facts.route is not None else {}
