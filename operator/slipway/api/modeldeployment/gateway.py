"""Gateways: under which hostnames a company's gateway sends requests to the model."""

from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, ObjectName, cel_rule

MOST_PARENTS = 4
MOST_HOSTNAMES = 8

Hostname = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=253,
    ),
]
"""As Gateway API has it: a DNS name, of which the first part may be `*`."""
Hostnames = Annotated[list[Hostname], Field(max_length=MOST_HOSTNAMES, json_schema_extra=ATOMIC)]

GATEWAY_RULES: list[Any] = [
    cel_rule(
        "!has(self.grpc) || size(self.grpc.parentRefs) > 0 "
        "|| (size(self.hostnames) > 0 && size(self.grpc.hostnames) > 0)",
        "a GRPCRoute and an HTTPRoute on one listener need hostnames of their own: add hostnames "
        "and grpc.hostnames, or give gRPC another listener by grpc.parentRefs",
        ".grpc",
    ),
    cel_rule(
        "!has(self.grpc) || size(self.grpc.parentRefs) > 0 "
        "|| !self.grpc.hostnames.exists(name, name in self.hostnames)",
        "a gateway takes an HTTPRoute or a GRPCRoute for a hostname of a listener, not both: "
        "remove the name from hostnames or from grpc.hostnames",
        ".grpc.hostnames",
    ),
]


class GatewayParent(ApiModel):
    """A Gateway, or one of its listeners."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: ObjectName | None = None
    """Namespace of the Gateway, whose listeners must allow routes from here. Default: the
    ModelDeployment's."""
    section_name: ObjectName | None = None
    """Name of a listener. Default: every listener that takes the route."""


GatewayParents = Annotated[
    list[GatewayParent], Field(max_length=MOST_PARENTS, json_schema_extra=ATOMIC)
]


class GatewayGRPC(ApiModel):
    """A GRPCRoute beside the HTTPRoute, for gateways that take gRPC by no other."""

    hostnames: Hostnames = []
    """Hostnames for gRPC alone."""
    parent_refs: GatewayParents = []
    """Gateways or listeners for gRPC. Default: those of the HTTPRoute."""


class Gateway(ApiModel):
    """Which gateways send requests to the model's Service, by routes that Slipway writes."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": GATEWAY_RULES}}

    parent_refs: Annotated[
        list[GatewayParent],
        Field(min_length=1, max_length=MOST_PARENTS, json_schema_extra=ATOMIC),
    ]
    """Gateways (gateway.networking.k8s.io) that take the HTTPRoute."""
    hostnames: Hostnames = []
    """Hostnames under which clients call the model. With an empty list those of the listener. One
    ModelDeployment alone can have a hostname at a Gateway: the one that had it first."""
    grpc: GatewayGRPC | None = None
    """A GRPCRoute for gRPC, under hostnames or at a listener of its own. Default: none, the
    HTTPRoute takes gRPC too, which a gateway with HTTP/2 to its backends passes on."""
