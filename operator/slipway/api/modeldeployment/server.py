"""The Triton container and its pod."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from slipway.api.base import ATOMIC, ApiModel, Manifest, ObjectName, list_map


class Protocol(StrEnum):
    """A protocol that the server speaks."""

    HTTP = "HTTP"
    GRPC = "GRPC"


Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$",
        }
    ),
]


class Resources(ApiModel):
    """Resources of the server container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None


class EnvVar(ApiModel):
    """A literal environment variable of the server container."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
    value: Annotated[str, Field(max_length=4096)] = ""


class Toleration(ApiModel):
    """A toleration, as Kubernetes knows it."""

    key: Annotated[str, Field(max_length=316)] | None = None
    operator: Annotated[str, Field(pattern="^(Exists|Equal)$", max_length=6)] | None = None
    value: Annotated[str, Field(max_length=63)] | None = None
    effect: (
        Annotated[str, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16)]
        | None
    ) = None
    toleration_seconds: int | None = None


OPEN_OBJECT = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "maxProperties": 8}


class PodOptions(ApiModel):
    """The allow-list of pod fields that users may set."""

    node_selector: (
        Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None
    ) = None
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra=ATOMIC)] | None
    ) = None
    affinity: Annotated[Manifest, Field(json_schema_extra=OPEN_OBJECT)] | None = None
    """As in a pod; checked by a dry-run apply before a revision is made."""
    topology_spread_constraints: (
        Annotated[
            list[Annotated[Manifest, Field(json_schema_extra=OPEN_OBJECT)]],
            Field(max_length=4, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    """As in a pod; checked by a dry-run apply before a revision is made."""
    priority_class_name: ObjectName | None = None
    runtime_class_name: ObjectName | None = None
    env: (
        Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=list_map("name"))] | None
    ) = None


class Server(ApiModel):
    """The Triton container."""

    image: Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)] | None = None
    """Default: the operator's setting."""
    protocols: (
        Annotated[
            list[Protocol],
            Field(min_length=1, max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    resources: Resources | None = None
    """Default: requests of 100m CPU and 512Mi memory."""
    start_seconds: Annotated[int, Field(ge=10, le=7200)] | None = None
    """Time that a replica may take to load the model; default 600."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Time that running requests get when a replica goes; default 30."""
    pod: PodOptions | None = None
