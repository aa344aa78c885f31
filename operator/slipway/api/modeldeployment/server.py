"""The Triton server: its image, protocols, resources and arguments."""

from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, cel_rule
from slipway.api.modeldeployment.pod import PodOptions
from slipway.api.modeldeployment.quantity import Quantity
from slipway.api.protocol import Protocol

IMAGE = (
    r"^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?"
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
ARGUMENTS = (
    "allow-cpu-metrics",
    "backend-config",
    "buffer-manager-thread-count",
    "cache-config",
    "cuda-memory-pool-byte-size",
    "cuda-virtual-address-size",
    "enable-peer-access",
    "grpc-header-forward-pattern",
    "grpc-http2-max-ping-strikes",
    "grpc-http2-max-pings-without-data",
    "grpc-http2-min-recv-ping-interval-without-data",
    "grpc-infer-allocation-pool-size",
    "grpc-infer-response-compression-level",
    "grpc-infer-thread-count",
    "grpc-keepalive-permit-without-calls",
    "grpc-keepalive-time",
    "grpc-keepalive-timeout",
    "grpc-max-response-pool-size",
    "host-policy",
    "http-header-forward-pattern",
    "http-max-input-size",
    "http-thread-count",
    "log-error",
    "log-info",
    "log-verbose",
    "log-warning",
    "metrics-config",
    "metrics-interval-ms",
    "min-supported-compute-capability",
    "model-load-gpu-limit",
    "model-load-retry-count",
    "model-load-thread-count",
    "pinned-memory-pool-byte-size",
    "rate-limit",
    "rate-limit-resource",
    "trace-config",
)
"""Arguments of Triton that tune or tell. Those that open doors, read other files or change what
routers and probes rely on are Slipway's."""
ARGUMENT = rf"^--({'|'.join(ARGUMENTS)})=[!-#%-~]{{1,256}}$"
"""No ``$``, which the kubelet would read as a reference to a variable."""


class Resources(ApiModel):
    """Resources of the server container, as in a pod."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": RESOURCE_RULES}}

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """Default: cpu 100m and memory 512Mi."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """Default: none."""


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
    args: (
        Annotated[
            list[Annotated[str, Field(pattern=ARGUMENT, max_length=320)]],
            Field(max_length=32, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    """Further arguments of Triton, `--name=value`. These are allowed: threads, memory pools,
    backend-config, cache-config, rate-limit, trace-config, metrics-config, keep-alive and log
    levels. A Triton that does not know one of them ends with an error. Default: none."""
    pod: PodOptions | None = None
