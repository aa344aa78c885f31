"""One copied exchange, put together from what Envoy hands over; pure.

Envoy sends headers, pieces of bodies and trailers, of the request and of its answer, in the order
in which they passed. A request's end and an answer's begin may come in either order.
"""

from dataclasses import dataclass, field

from slipway.render.envoy import GRPC_SERVICE, REVISION_HEADER, ROUTE_HEADER, TOOK_HEADER

PAIRED_PATH = f"/{GRPC_SERVICE}/ModelInfer"
GRPC_TYPE = "application/grpc"
Headers = dict[str, str]
"""By name in lower case; several of one name are joined by commas."""


class Oversized(Exception):
    """The request or the answer is larger than it may be."""


@dataclass(slots=True)
class Part:
    """The request, or the answer."""

    headers: Headers = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        """All bytes, as they were sent."""
        return b"".join(self.pieces)

    @property
    def is_grpc(self) -> bool:
        """Whether it is of gRPC."""
        return is_grpc(self.headers)

    @property
    def coding(self) -> str:
        """The content coding of a body, or of a message that is compressed."""
        return self.headers.get("grpc-encoding" if self.is_grpc else "content-encoding", "")

    @property
    def header_length(self) -> int | None:
        """Bytes of JSON before binary tensors; None: JSON alone."""
        length = self.headers.get("inference-header-content-length", "")
        return int(length) if length.isdecimal() else None

    @property
    def took_micros(self) -> int | None:
        """Time of the server, as Envoy took it."""
        took = self.headers.get(TOOK_HEADER, "")
        return int(took) if took.isdecimal() else None

    def add(self, piece: bytes, most_bytes: int) -> None:
        """Add some bytes of the body.

        Raises:
            Oversized: it has more than `most_bytes` now.

        """
        if self.size + len(piece) > most_bytes:
            raise Oversized
        self.size += len(piece)
        self.pieces.append(piece)

    def announce(self, headers: Headers, most_bytes: int) -> None:
        """Take the headers, or trailers.

        Raises:
            Oversized: they say that the body has more than `most_bytes`.

        """
        self.headers |= headers
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > most_bytes:
            raise Oversized


@dataclass(slots=True)
class Copy:
    """A request of a user, stable's answer to it, and the candidate's."""

    request: Part = field(default_factory=Part)
    answer: Part = field(default_factory=Part)
    found: Part = field(default_factory=Part)
    """What the candidate answers."""

    @property
    def route(self) -> str:
        """The ModelRoute."""
        return self.request.headers.get(ROUTE_HEADER, "")

    @property
    def path(self) -> str:
        """The request's path, with its query."""
        return self.request.headers.get(":path", "")

    @property
    def revision(self) -> str | None:
        """Which revision answered; None where Envoy answered itself."""
        return self.answer.headers.get(REVISION_HEADER)

    @property
    def has_one_answer(self) -> bool:
        """Whether the request is an inference that is answered once."""
        path = self.path.partition("?")[0]
        return path == PAIRED_PATH or path.endswith("/infer")

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self.request.size + self.answer.size + self.found.size


def is_grpc(headers: Headers) -> bool:
    """Return whether a request or an answer is of gRPC."""
    return headers.get("content-type", "").startswith(GRPC_TYPE)
