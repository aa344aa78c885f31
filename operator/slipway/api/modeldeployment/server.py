"""The Triton container and its pod."""

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
"""An image as container runtimes read it: [host[:port]/]path[:tag][@digest]."""
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
            "a resource is named cpu, memory, ephemeral-storage or <domain>/<name>",
            f".{part}",
        )
        for part in ("requests", "limits")
    ),
]
NODE_SELECTOR_RULES: list[Any] = [
    cel_rule(
        "self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]"
        "([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        "a key of nodeSelector is a label: [<domain>/]<name>",
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
    """Resources of the server container."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": RESOURCE_RULES}}

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None


class EnvVar(ApiModel):
    """A literal environment variable of the server container."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "!self.name.startsWith('SLIPWAY_')",
                    "names that begin with SLIPWAY_ are Slipway's own",
                    ".name",
                )
            ]
        }
    }

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
    toleration_seconds: Annotated[int, Field(ge=-1, le=2_592_000)] | None = None


LabelValue = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]


class PodOptions(ApiModel):
    """The allow-list of pod fields that users may set."""

    node_selector: (
        Annotated[
            dict[str, LabelValue],
            Field(
                max_length=16, json_schema_extra={"x-kubernetes-validations": NODE_SELECTOR_RULES}
            ),
        ]
        | None
    ) = None
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra=ATOMIC)] | None
    ) = None
    affinity: Annotated[Manifest, WithJsonSchema(AFFINITY)] | None = None
    """As in a pod; checked by a dry-run apply before a revision is made."""
    topology_spread_constraints: (
        Annotated[
            list[Annotated[Manifest, WithJsonSchema(SPREAD)]],
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

    image: Annotated[str, Field(pattern=IMAGE, min_length=1, max_length=512)] | None = None
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
