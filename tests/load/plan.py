"""What the client does: a JSON file next to its code."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Wire(StrEnum):
    """Protocol that the load speaks."""

    HTTP = "HTTP"
    GRPC = "GRPC"
    STREAM = "STREAM"
    """Messages on gRPC streams that stay open for a few seconds."""
    HTTP2 = "HTTP2"
    BODY = "BODY"
    """Large bodies over HTTP/1.1."""
    LASTING = "LASTING"
    """HTTP/1.1 requests whose answers take long."""
    IDLE = "IDLE"
    """HTTP/1.1 on connections that are idle for long between two requests."""
    BINARY = "BINARY"
    """HTTP/1.1 with tensors of any kind, in Triton's binary form."""
    TICKS = "TICKS"
    """gRPC streams of one message and many answers, in the course of some time."""


GRPC_WIRES = frozenset({Wire.GRPC, Wire.STREAM, Wire.TICKS})


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input of a model, as a request names it."""

    name: str
    datatype: str
    """Of the V2 protocol, such as FP32."""
    shape: list[int]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A steady load on one model."""

    address: str
    """host:port, as clients know it."""
    model: str
    """Triton's name of it."""
    images: list[list[float]] = field(default_factory=list, repr=False)
    """Sent one by one, round and round."""
    tensors: list[Tensor] = field(default_factory=list)
    """Filled with numbers of a fixed seed, where the wire is BINARY."""
    input: str = "image"
    marker: str = "SLIPWAY-DEMO-FAULT"
    """Text in failures that the sample model makes on purpose."""
    wire: Wire = Wire.HTTP
    rate: float = 120.0
    """Requests per second, sent on time whether or not earlier ones were answered."""
    is_considerate: bool = False
    """Whether a model gets no more requests than it answers one after the other."""
    seconds: float = 1800.0
    """The load ends by itself after this time."""
    timeout_seconds: float = 15.0
    """A request without a complete answer by then is a failed one."""
    body_bytes: int = 0
    """Of a large body."""
    answer_seconds: float = 0.0
    """How long the answers take that are asked for."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every request."""

    def to_json(self) -> str:
        """Return the file's content."""
        return json.dumps(asdict(self))


def read_plan(path: Path) -> LoadPlan:
    """Return the plan that `to_json` wrote."""
    raw = json.loads(path.read_text())
    tensors = [Tensor(**tensor) for tensor in raw["tensors"]]
    return LoadPlan(**(raw | {"wire": Wire(raw["wire"]), "tensors": tensors}))
