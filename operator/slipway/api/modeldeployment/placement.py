"""Schemas of affinity and topology spread: those of Kubernetes, with a limit on everything.

An open object would be shorter. But the API server accepts one of any depth and size, and JSON
that is nested a thousand levels deep breaks every reader written in Python: the object of one user
would stop the operator for all.
"""

from typing import Any

Schema = dict[str, Any]

OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"]


def _object_schema(required: list[str] | None = None, **properties: Schema) -> Schema:
    node: Schema = {"type": "object", "properties": properties}
    return {**node, "required": required} if required else node


def _list_schema(items: Schema, most: int) -> Schema:
    return {
        "type": "array",
        "maxItems": most,
        "x-kubernetes-list-type": "atomic",
        "items": items,
    }


def _string_schema(most: int, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **more}


def _integer_schema(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


LABEL_KEY = _string_schema(317)
LABEL_VALUES = _list_schema(_string_schema(63), 32)
WEIGHT = _integer_schema(1, 100)


def _requirement_schema(operators: list[str]) -> Schema:
    return _object_schema(
        ["key", "operator"],
        key=LABEL_KEY,
        operator=_string_schema(16, enum=operators),
        values=LABEL_VALUES,
    )


LABEL_SELECTOR = _object_schema(
    matchLabels={"type": "object", "maxProperties": 16, "additionalProperties": _string_schema(63)},
    matchExpressions=_list_schema(_requirement_schema(OPERATORS), 8),
)
NODE_REQUIREMENTS = _list_schema(_requirement_schema([*OPERATORS, "Gt", "Lt"]), 8)
NODE_TERM = _object_schema(matchExpressions=NODE_REQUIREMENTS, matchFields=NODE_REQUIREMENTS)
POD_TERM = _object_schema(
    ["topologyKey"],
    labelSelector=LABEL_SELECTOR,
    namespaceSelector=LABEL_SELECTOR,
    namespaces=_list_schema(_string_schema(63), 16),
    topologyKey=LABEL_KEY,
    matchLabelKeys=_list_schema(LABEL_KEY, 8),
    mismatchLabelKeys=_list_schema(LABEL_KEY, 8),
)
POD_TERMS = _object_schema(
    requiredDuringSchedulingIgnoredDuringExecution=_list_schema(POD_TERM, 8),
    preferredDuringSchedulingIgnoredDuringExecution=_list_schema(
        _object_schema(["weight", "podAffinityTerm"], weight=WEIGHT, podAffinityTerm=POD_TERM), 8
    ),
)
AFFINITY = _object_schema(
    nodeAffinity=_object_schema(
        requiredDuringSchedulingIgnoredDuringExecution=_object_schema(
            ["nodeSelectorTerms"], nodeSelectorTerms=_list_schema(NODE_TERM, 8)
        ),
        preferredDuringSchedulingIgnoredDuringExecution=_list_schema(
            _object_schema(["weight", "preference"], weight=WEIGHT, preference=NODE_TERM), 8
        ),
    ),
    podAffinity=POD_TERMS,
    podAntiAffinity=POD_TERMS,
)
SPREAD = _object_schema(
    ["maxSkew", "topologyKey", "whenUnsatisfiable"],
    maxSkew=_integer_schema(1, 1000),
    topologyKey=LABEL_KEY,
    whenUnsatisfiable=_string_schema(16, enum=["DoNotSchedule", "ScheduleAnyway"]),
    labelSelector=LABEL_SELECTOR,
    minDomains=_integer_schema(1, 1000),
    nodeAffinityPolicy=_string_schema(8, enum=["Honor", "Ignore"]),
    nodeTaintsPolicy=_string_schema(8, enum=["Honor", "Ignore"]),
    matchLabelKeys=_list_schema(LABEL_KEY, 8),
)
