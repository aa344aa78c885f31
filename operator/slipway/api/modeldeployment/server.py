"""The Triton server: its container and its pod."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from slipway.api.base import ATOMIC, ApiModel, Manifest, ObjectName, cel_rule, list_map
from slipway.api.modeldeployment.placement import AFFINITY, SPREAD
from slipway.api.protocol import Protocol

IMAGE = (
    r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?"
    r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
"""An image as container runtimes parse it: [host[:port]/]path[:tag][@digest]."""
RESOURCE_RULES: list[Any] = [
    cel_rule(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits)"
        " || !isQuantity(string(self.requests[name])) || "
        "!isQuantity(string(self.limits[name])) || "
        "!quantity(string(self.requests[name])).isGreaterThan("
        "quantity(string(self.limits[name]))))",
        "a request must not be larger than the limit of the same name",
        ".requests",
    ),
    *(
        cel_rule(
            f"!has(self.{part}) || self.{part}.all(name, "
            "name.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]"
            "([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
            "the name of a resource must be cpu, memory, ephemeral-storage or <domain>/<name>",
            f".{part}",
        )
        for part in ("requests", "limits")
    ),
]
NODE_SELECTOR_RULES: list[Any] = [
    cel_rule(
        "self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]"
        "([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        "a key of nodeSelector must be the name of a label: [<domain>/]<name>",
    )
]

Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maximum": 1_000_000_000_000_000,
            "maxLength": 32,
            "pattern": r"^[0-9]{1,18}(\.[0-9]{1,9})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$",
        }
    ),
]


class Resources(ApiModel):
    """Resources of the server container, as in a pod."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": RESOURCE_RULES}}

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """Default: cpu 100m and memory 512Mi."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """Default: none."""


class EnvVar(ApiModel):
    """An environment variable with a literal value."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "!self.name.startsWith('SLIPWAY_')",
                    "names that begin with SLIPWAY_ are reserved",
                    ".name",
                )
            ]
        }
    }

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
    """Name; must not begin with SLIPWAY_."""
    value: Annotated[str, Field(max_length=4096)] = ""
    """Value; empty if not given."""


class Toleration(ApiModel):
    """A toleration, as in a pod."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Key of the taint. Default: all."""
    operator: Annotated[str, Field(pattern="^(Exists|Equal)$", max_length=6)] | None = None
    """Exists or Equal. Default: Equal."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint, for Equal."""
    effect: (
        Annotated[str, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16)]
        | None
    ) = None
    """NoSchedule, PreferNoSchedule or NoExecute. Default: all."""
    toleration_seconds: Annotated[int, Field(ge=-1, le=2_592_000)] | None = None
    """Seconds until a pod is evicted, for NoExecute. Default: never."""


LabelValue = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]


class PodOptions(ApiModel):
    """Fields of the pod that users may set, as in a pod."""

    node_selector: (
        Annotated[
            dict[str, LabelValue],
            Field(
                max_length=16, json_schema_extra={"x-kubernetes-validations": NODE_SELECTOR_RULES}
            ),
        ]
        | None
    ) = None
    """Labels that a node must have."""
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra=ATOMIC)] | None
    ) = None
    """Taints that the pods tolerate."""
    affinity: Annotated[Manifest, WithJsonSchema(AFFINITY)] | None = None
    """Affinity; checked by a dry run before a revision is made."""
    topology_spread_constraints: (
        Annotated[
            list[Annotated[Manifest, WithJsonSchema(SPREAD)]],
            Field(max_length=4, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    """Topology spread; checked by a dry run before a revision is made."""
    priority_class_name: ObjectName | None = None
    """Name of a PriorityClass."""
    runtime_class_name: ObjectName | None = None
    """Name of a RuntimeClass."""
    env: (
        Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=list_map("name"))] | None
    ) = None
    """Environment variables of the server container."""


class Server(ApiModel):
    """The Triton server."""

    image: Annotated[str, Field(pattern=IMAGE, min_length=1, max_length=512)] | None = None
    """Image of Triton: `[host[:port]/]path[:tag][@digest]`. Default: `server.image` of the
    operator's settings."""
    protocols: (
        Annotated[
            list[Protocol],
            Field(min_length=1, max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Protocols that clients may use. Default: both."""
    resources: Resources | None = None
    start_seconds: Annotated[int, Field(ge=10, le=7200)] | None = None
    """Time that a replica may take to load the model, in seconds. Default: 600."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Time that running requests get when a replica is removed, in seconds. Default: 30."""
    pod: PodOptions | None = None
