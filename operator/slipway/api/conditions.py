"""Conditions: their types, and the merge that keeps transition times.

Tools that follow kstatus read them (Helm, Flux, Argo CD). `Available`: some revision serves.
`Ready`: the version in the spec is promoted. `Reconciling`: a rollout is under way, or is waiting
for trouble that ends by itself. `Stalled`: a person or a new commit is needed. `Reconciling` and
`Stalled` are abnormal-true: they are absent when they would be False.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Time


class ConditionType(StrEnum):
    """What a condition is about."""

    AVAILABLE = "Available"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    ARTIFACT_READY = "ArtifactReady"
    ROUTE_PROGRAMMED = "RouteProgrammed"
    CAPACITY_READY = "CapacityReady"
    TLS_READY = "TLSReady"
    """Clients are shown the newest certificate; present only where one is asked for."""
    ACCESS_READY = "AccessReady"
    """Callers are told apart by what the user gave last; present only where that is asked for."""
    GATEWAY_READY = "GatewayReady"
    """Every gateway sends requests here; present only where one is asked for."""
    SCALING_ACTIVE = "ScalingActive"
    """Replicas follow the load; present only where an engine scales."""


ABNORMAL = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})


class ConditionStatus(StrEnum):
    """Whether the condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """A condition as Kubernetes defines it."""

    type: Annotated[str, Field(max_length=316)]
    """Available, Ready, Reconciling, Stalled, ArtifactReady, RouteProgrammed, CapacityReady,
    TLSReady, AccessReady, GatewayReady or ScalingActive."""
    status: ConditionStatus
    reason: Annotated[
        str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)
    ]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=32_768)] = ""
    """Why, with names and numbers."""
    observed_generation: int = 0
    """metadata.generation of the spec that this is about."""
    last_transition_time: Time
    """When `status` last changed."""


def merge_conditions(old: Iterable[Condition], new: Iterable[Condition]) -> list[Condition]:
    """Return `new` with the old transition time where the status did not change."""
    before = {condition.type: condition for condition in old}
    merged = []

    for condition in new:
        known = before.get(condition.type)
        if known is not None and known.status == condition.status:
            condition = condition.model_copy(  # noqa: PLW2901 -- the same condition, older
                update={"last_transition_time": known.last_transition_time}
            )
        merged.append(condition)

    return merged
