"""Schemas of affinity and topology spread, as Kubernetes knows them, with a maximum on everything.

An open object would be shorter, but the API server takes one of any depth and size, and JSON that
is nested a thousand deep stops every reader that is written in Python: one user's object would
blind the operator for all.
"""

from typing import Any

Schema = dict[str, Any]

OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"]


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    node: Schema = {"type": "object", "properties": properties}
    return {**node, "required": required} if required else node


def _list(items: Schema, most: int) -> Schema:
    return {
        "type": "array",
        "maxItems": most,
        "x-kubernetes-list-type": "atomic",
        "items": items,
    }


def _text(most: int, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **more}


def _number(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


LABEL_KEY = _text(317)
LABEL_VALUES = _list(_text(63), 32)
WEIGHT = _number(1, 100)


def _requirement(operators: list[str]) -> Schema:
    return _object(
        ["key", "operator"],
        key=LABEL_KEY,
        operator=_text(16, enum=operators),
        values=LABEL_VALUES,
    )


LABEL_SELECTOR = _object(
    matchLabels={"type": "object", "maxProperties": 16, "additionalProperties": _text(63)},
    matchExpressions=_list(_requirement(OPERATORS), 8),
)
NODE_REQUIREMENTS = _list(_requirement([*OPERATORS, "Gt", "Lt"]), 8)
NODE_TERM = _object(matchExpressions=NODE_REQUIREMENTS, matchFields=NODE_REQUIREMENTS)
POD_TERM = _object(
    ["topologyKey"],
    labelSelector=LABEL_SELECTOR,
    namespaceSelector=LABEL_SELECTOR,
    namespaces=_list(_text(63), 16),
    topologyKey=LABEL_KEY,
    matchLabelKeys=_list(LABEL_KEY, 8),
    mismatchLabelKeys=_list(LABEL_KEY, 8),
)
POD_TERMS = _object(
    requiredDuringSchedulingIgnoredDuringExecution=_list(POD_TERM, 8),
    preferredDuringSchedulingIgnoredDuringExecution=_list(
        _object(["weight", "podAffinityTerm"], weight=WEIGHT, podAffinityTerm=POD_TERM), 8
    ),
)
AFFINITY = _object(
    nodeAffinity=_object(
        requiredDuringSchedulingIgnoredDuringExecution=_object(
            ["nodeSelectorTerms"], nodeSelectorTerms=_list(NODE_TERM, 8)
        ),
        preferredDuringSchedulingIgnoredDuringExecution=_list(
            _object(["weight", "preference"], weight=WEIGHT, preference=NODE_TERM), 8
        ),
    ),
    podAffinity=POD_TERMS,
    podAntiAffinity=POD_TERMS,
)
SPREAD = _object(
    ["maxSkew", "topologyKey", "whenUnsatisfiable"],
    maxSkew=_number(1, 1000),
    topologyKey=LABEL_KEY,
    whenUnsatisfiable=_text(16, enum=["DoNotSchedule", "ScheduleAnyway"]),
    labelSelector=LABEL_SELECTOR,
    minDomains=_number(1, 1000),
    nodeAffinityPolicy=_text(8, enum=["Honor", "Ignore"]),
    nodeTaintsPolicy=_text(8, enum=["Honor", "Ignore"]),
    matchLabelKeys=_list(LABEL_KEY, 8),
)
