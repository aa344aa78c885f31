"""Requests over HTTP, byte by byte: what a client library would smooth over must be seen."""

import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tests.contract.conformance.answer import Answer, Request, digest
from tests.contract.conformance.pair import Way

SECONDS = 60
SILENCE_SECONDS = 3
"""Where no answer is to be expected."""
BINARY_SIZE = 64 * 2**20
PIXELS = [0.1, 0.9, 0.2, 0.3]

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP request."""

    method: str
    path: str
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    version: str = "1.1"
    chunked: bool = False
    patience: float = SECONDS

    def head(self, host: str) -> bytes:
        length = (
            {"Transfer-Encoding": "chunked"}
            if self.chunked
            else {"Content-Length": str(len(self.body))}
        )
        fields = {"Host": host, **(length if self.body else {}), **self.headers}
        lines = [f"{self.method} {self.path} HTTP/{self.version}"]
        lines += [f"{name}: {value}" for name, value in fields.items() if value]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def payload(self) -> bytes:
        if not self.chunked:
            return self.body
        size = 2**20
        pieces = [self.body[start : start + size] for start in range(0, len(self.body), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def connect(way: Way, seconds: float = SECONDS) -> socket.socket:
    host, port = way.http.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=seconds)


def read_answer(connection: socket.socket, method: str) -> tuple[http.client.HTTPResponse, bytes]:
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response, response.read()


def exchange(way: Way, message: Message) -> tuple[http.client.HTTPResponse, bytes]:
    """Send one message on a connection of its own."""
    with connect(way, message.patience) as connection:
        connection.sendall(message.head(way.http) + message.payload())
        return read_answer(connection, message.method)


def send(message: Message) -> Callable[[Way], Answer]:
    def ask(way: Way) -> Answer:
        try:
            response, body = exchange(way, message)
        except TimeoutError:
            return Answer("silence")
        except (OSError, http.client.HTTPException):
            return Answer("closed")
        return _answer(response, body)

    return ask


def _answer(response: http.client.HTTPResponse, body: bytes) -> Answer:
    kept = {
        name.lower(): value
        for name, value in response.getheaders()
        if name.lower() in ("content-type", "content-encoding", "inference-header-content-length")
    }
    text = _unpacked(body, kept.get("content-encoding", ""))
    shown = f"{response.status}" if response.status < 400 else f"{response.status} {_error(text)}"
    return Answer(shown, f"{sorted(kept.items())} {digest(text)}")


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _error(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")


def infer_body(**extra: object) -> bytes:
    pixels = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": PIXELS}
    return json.dumps({"id": "7", "inputs": [pixels], **extra}).encode()


def infer(name: str, body: bytes | None = None, **message: object) -> Request:
    """Ask the classifier."""
    headers = {"Content-Type": "application/json", **message.pop("headers", {})}  # type: ignore[dict-item]
    options = {"body": infer_body() if body is None else body, "headers": headers, **message}
    return Request(name, send(Message("POST", "/v2/models/digits/infer", **options)))  # type: ignore[arg-type]


def get(name: str, path: str, method: str = "GET", **message: object) -> Request:
    return Request(name, send(Message(method, path, **message)))  # type: ignore[arg-type]


def http_requests() -> list[Request]:
    """Return all requests over HTTP."""
    return [
        *_documented_endpoints(),
        *_closed_endpoints(),
        *_methods_and_paths(),
        *_versions_and_connections(),
        *_headers(),
        *_bodies(),
        *_errors(),
        *_extensions(),
    ]


def _documented_endpoints() -> Iterator[Request]:
    for name, path in (
        ("server live", "/v2/health/live"),
        ("server ready", "/v2/health/ready"),
        ("server metadata", "/v2"),
        ("model ready", "/v2/models/digits/ready"),
        ("model ready, of a version", "/v2/models/digits/versions/1/ready"),
        ("model metadata", "/v2/models/digits"),
        ("model metadata, of a version", "/v2/models/digits/versions/1"),
        ("model configuration", "/v2/models/digits/config"),
        ("model configuration, of a version", "/v2/models/digits/versions/1/config"),
        ("ready, of an unknown model", "/v2/models/unknown/ready"),
        ("metadata of an unknown version", "/v2/models/digits/versions/7"),
        ("metadata of a version that is no number", "/v2/models/digits/versions/latest"),
    ):
        yield get(f"HTTP {name}", path)
    yield Request(
        "HTTP infer, of a version",
        send(Message("POST", "/v2/models/digits/versions/1/infer", body=infer_body())),
    )


def _closed_endpoints() -> Iterator[Request]:
    for name, method, path in (
        ("statistics of all models", "GET", "/v2/models/stats"),
        ("statistics of a model", "GET", "/v2/models/digits/stats"),
        ("repository index", "POST", "/v2/repository/index"),
        ("load a model", "POST", "/v2/repository/models/digits/load"),
        ("unload a model", "POST", "/v2/repository/models/nobody/unload"),
        ("trace settings", "GET", "/v2/trace/setting"),
        ("trace settings of a model", "GET", "/v2/models/digits/trace/setting"),
        ("log settings", "GET", "/v2/logging"),
        ("system shared memory", "GET", "/v2/systemsharedmemory/status"),
        ("CUDA shared memory", "GET", "/v2/cudasharedmemory/status"),
        ("metrics", "GET", "/metrics"),
        ("root", "GET", "/"),
        ("an unknown path", "GET", "/v2/nothing"),
    ):
        yield get(f"HTTP {name}", path, method)


def _methods_and_paths() -> Iterator[Request]:
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST"):
        yield get(f"HTTP {method} on readiness", "/v2/health/ready", method)
    yield get("HTTP GET on infer", "/v2/models/digits/infer")
    yield get("HTTP HEAD on model metadata", "/v2/models/digits", "HEAD")
    for name, path in (
        ("a slash at the end of /v2", "/v2/"),
        ("a slash at the end of a model", "/v2/models/digits/"),
        ("a slash at the end of readiness", "/v2/health/ready/"),
        ("two slashes", "/v2//models/digits"),
        ("a query", "/v2/models/digits?verbose=1"),
        ("a dot in the path", "/v2/./models/digits"),
        ("an escaped letter", "/v2/models/digit%73"),
        ("an escaped slash", "/v2%2Fmodels/digits"),
    ):
        yield get(f"HTTP path with {name}", path)
    yield Request("HTTP target with scheme and host", _absolute_target)


def _absolute_target(way: Way) -> Answer:
    return send(Message("GET", f"http://{way.http}/v2/models/digits"))(way)


def _versions_and_connections() -> Iterator[Request]:
    yield infer("HTTP/1.0 infer", version="1.0")
    yield get("HTTP/1.0 without Host", "/v2/models/digits", version="1.0", headers={"Host": ""})
    yield get("HTTP/1.1 without Host", "/v2/models/digits", headers={"Host": ""})
    yield get("HTTP/1.1 with an odd Host", "/v2/models/digits", headers={"Host": "model.example"})
    upgrade = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
    }
    yield get("HTTP upgrade to h2c", "/v2/models/digits", headers=upgrade)
    websocket = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    yield get("HTTP upgrade to WebSocket", "/v2/models/digits", headers=websocket)
    yield Request("HTTP/2 without TLS", _speak_http2)
    yield Request("HTTP two requests on one connection", _keep_alive)
    yield Request("HTTP/1.0 with keep-alive", _keep_alive_10)
    yield Request("HTTP two requests at once on one connection", _pipeline)
    yield Request("HTTP Connection: close", _closes)


def _speak_http2(way: Way) -> Answer:
    with connect(way) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        first = connection.recv(9)
    return Answer("HTTP/2" if first[3:4] == b"\4" else "no HTTP/2")


def _talk(way: Way, message: Message, *, at_once: bool = False) -> Answer:
    with connect(way, SILENCE_SECONDS if at_once else SECONDS) as connection:
        data = message.head(way.http) + message.payload()
        statuses = []
        try:
            for turn in range(2):
                if turn == 0 or not at_once:
                    connection.sendall(data * (2 if at_once else 1))
                response, _ = _read_one(connection)
                statuses.append(str(response))
        except TimeoutError:
            statuses.append("silence")
        except (OSError, http.client.HTTPException, ValueError):
            statuses.append("closed")
    return Answer(", ".join(statuses))


def _read_one(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer without taking a byte of the next."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError("closed")
        head += byte
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    left, body = int(fields[b"content-length"]), b""
    while len(body) < left:
        body += connection.recv(left - len(body))
    return int(head.split()[1]), body


def _keep_alive(way: Way) -> Answer:
    return _talk(way, Message("GET", "/v2/models/digits"))


def _keep_alive_10(way: Way) -> Answer:
    headers = {"Connection": "keep-alive"}
    return _talk(way, Message("GET", "/v2/models/digits", headers, version="1.0"))


def _pipeline(way: Way) -> Answer:
    return _talk(way, Message("GET", "/v2/models/digits"), at_once=True)


def _closes(way: Way) -> Answer:
    message = Message("GET", "/v2/models/digits", {"Connection": "close"})
    with connect(way) as connection:
        connection.sendall(message.head(way.http))
        _read_one(connection)
        return Answer("closed" if connection.recv(1) == b"" else "open")


def _headers() -> Iterator[Request]:
    yield Request("HTTP headers of an answer", _header_names)
    yield Request("HTTP headers of an error", _error_header_names)
    yield get("HTTP 8 kB of headers", "/v2/models/digits", headers={"X-Long": "a" * 8_000})
    yield get("HTTP a header of 20 kB", "/v2/models/digits", headers={"X-Long": "a" * 20_000})
    for count, length in ((10, 4_000), (25, 4_000), (500, 10), (1_500, 10)):
        several = {f"X-Header-{n}": "a" * length for n in range(count)}
        name = f"HTTP {count} headers of {length} bytes"
        yield get(name, "/v2/models/digits", headers=several)
    yield get("HTTP a header with an underscore", "/v2/models/digits", headers={"my_header": "1"})
    yield get("HTTP Accept of XML", "/v2/models/digits", headers={"Accept": "application/xml"})
    yield get("HTTP credentials", "/v2/models/digits", headers={"Authorization": "Bearer x"})
    forged = {"x-slipway-route": "other", "x-slipway-revision": "other"}
    yield get("HTTP forged headers of the router", "/v2/models/digits", headers=forged)
    envoys = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx"}
    yield get("HTTP headers that steer Envoy", "/v2/models/digits", headers=envoys)
    yield infer("HTTP Expect: 100-continue", headers={"Expect": "100-continue"})
    yield infer("HTTP Content-Type of text", headers={"Content-Type": "text/plain"})
    yield infer("HTTP without Content-Type", headers={"Content-Type": ""})


def _header_names(way: Way) -> Answer:
    return _show_headers(way, "/v2/models/digits")


def _error_header_names(way: Way) -> Answer:
    return _show_headers(way, "/v2/models/unknown")


def _show_headers(way: Way, path: str) -> Answer:
    response, _ = exchange(way, Message("GET", path))
    return Answer(", ".join(sorted(name.lower() for name, _ in response.getheaders())))


def _bodies() -> Iterator[Request]:
    yield infer("HTTP infer")
    yield infer("HTTP infer in chunks", chunked=True)
    yield infer("HTTP infer with parameters", infer_body(parameters={"priority": 1}))
    chosen = {"outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]}
    yield infer("HTTP infer for one output", infer_body(outputs=[{"name": "label"}]))
    yield infer("HTTP infer with classification", infer_body(**chosen))
    for encoding, packed in (
        ("gzip", gzip.compress(infer_body())),
        ("deflate", zlib.compress(infer_body())),
    ):
        yield infer(f"HTTP request in {encoding}", packed, headers={"Content-Encoding": encoding})
        yield infer(f"HTTP answer in {encoding}", headers={"Accept-Encoding": encoding})
    yield infer("HTTP request in an unknown encoding", headers={"Content-Encoding": "br"})
    yield infer("HTTP answer in gzip or deflate", headers={"Accept-Encoding": "gzip, deflate"})
    yield infer("HTTP answer in any encoding", headers={"Accept-Encoding": "*"})
    yield Request("HTTP every type as JSON", _mirror_json)

    for kilobytes in (1, 64, 1024, BINARY_SIZE // 1024):
        name = f"{kilobytes} kB" if kilobytes < 1024 else f"{kilobytes // 1024} MB"
        yield _binary(f"HTTP binary tensor of {name}", kilobytes * 1024)
    yield _binary("HTTP binary tensor of 64 MB in chunks", BINARY_SIZE, chunked=True)
    yield _binary("HTTP binary tensor of 4 MB in gzip", 2**22, encoding="gzip")
    kserve = {"Content-Type": "application/octet-stream", "Accept-Encoding": "gzip, deflate, br"}
    yield _binary("HTTP binary tensor as KServe's client sends it", 4_096, headers=kserve)
    yield _binary("HTTP/1.0 binary tensor of 1 MB", 2**20, version="1.0")


def _binary(
    name: str, size: int, encoding: str = "", headers: Headers | None = None, **message: object
) -> Request:
    """Ask a model that answers its input, with a tensor of so many bytes."""

    def ask(way: Way) -> Answer:
        header, tensor = _binary_parts(size)
        body = header + tensor
        fields = {"Inference-Header-Content-Length": str(len(header)), **(headers or {})}
        if encoding:
            body, fields["Content-Encoding"] = gzip.compress(body, 1), encoding
        whole = Message("POST", "/v2/models/echo/infer", fields, body, **message)  # type: ignore[arg-type]
        return send(whole)(way)

    return Request(name, ask)


def _binary_parts(size: int) -> tuple[bytes, bytes]:
    tensor = np.arange(size // 4, dtype=np.float32)
    given = {
        "name": "x",
        "datatype": "FP32",
        "shape": list(tensor.shape),
        "parameters": {"binary_data_size": size},
    }
    wanted = {"name": "y", "parameters": {"binary_data": True}}
    return json.dumps({"inputs": [given], "outputs": [wanted]}).encode(), tensor.tobytes()


MIRRORED = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "INT8": [-128, 127],
    "INT64": [-(2**63), 2**63 - 1],
    "UINT64": [0, 2**64 - 1],
    "FP64": [0.1, -1e300],
    "STRING": ["ä", "\N{GRINNING FACE}"],
}


def _mirror_json(way: Way) -> Answer:
    inputs = [
        {
            "name": f"in_{name}",
            "datatype": "BYTES" if name == "STRING" else name,
            "shape": [2],
            "data": data,
        }
        for name, data in MIRRORED.items()
    ]
    body = json.dumps({"inputs": inputs}).encode()
    return send(Message("POST", "/v2/models/mirror/infer", body=body))(way)


def _errors() -> Iterator[Request]:
    yield infer("HTTP infer without a body", b"")
    yield infer("HTTP infer with broken JSON", b'{"inputs": [')
    yield infer("HTTP infer without inputs", b"{}")
    wrong = {"name": "pixels", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    yield infer("HTTP infer with a wrong shape", json.dumps({"inputs": [wrong]}).encode())
    refused = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": [-1, 0, 0, 0]}
    yield infer("HTTP infer that the model refuses", json.dumps({"inputs": [refused]}).encode())
    yield infer("HTTP infer with broken gzip", headers={"Content-Encoding": "gzip"})
    too_long = {"Inference-Header-Content-Length": "100000"}
    yield infer("HTTP infer with a wrong header length", headers=too_long)
    shared = {"shared_memory_region": "mine", "shared_memory_byte_size": 16}
    region = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "parameters": shared}
    yield infer("HTTP infer from shared memory", json.dumps({"inputs": [region]}).encode())
    two_lengths = {"Content-Length": "5", "Transfer-Encoding": "chunked"}
    yield infer("HTTP infer with two lengths", b"", headers=two_lengths, patience=SILENCE_SECONDS)


def _extensions() -> Iterator[Request]:
    for model, kind in (("sum", "a plain model"), ("stream", "a streaming model")):
        for path in ("generate", "generate_stream"):
            body = json.dumps({"x": [1, 2, 3]}).encode()
            message = Message("POST", f"/v2/models/{model}/{path}", body=body)
            yield Request(f"HTTP {path} of {kind}", send(message))
    bad = Message("POST", "/v2/models/stream/generate_stream", body=b'{"x": [-1, 2, 3]}')
    yield Request("HTTP generate_stream that the model refuses", send(bad))
    versioned = Message("POST", "/v2/models/sum/versions/1/generate", body=b'{"x": [1, 2, 3]}')
    yield Request("HTTP generate, of a version", send(versioned))
    plain = Message("POST", "/v2/models/stream/infer", body=_three())
    yield Request("HTTP infer of a streaming model", send(plain))
    sequence = {"sequence_id": 7, "sequence_start": True, "sequence_end": True}
    stateful = Message("POST", "/v2/models/counter/infer", body=_three(parameters=sequence))
    yield Request("HTTP infer of a sequence", send(stateful))
    alone = Message("POST", "/v2/models/counter/infer", body=_three())
    yield Request("HTTP infer of a stateful model without an id", send(alone))


def _three(**extra: object) -> bytes:
    given = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    return json.dumps({"inputs": [given], **extra}).encode()
