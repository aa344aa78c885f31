"""A real registry, a gate in front of it that makes trouble, and a file server that does too."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.ports import free_port

BINARY = shutil.which("docker-registry") or shutil.which("registry")
MISSING = "no registry program: install Debian's package docker-registry"
START_SECONDS = 60
BLOCK_BYTES = 2**16
HOP_HEADERS = frozenset({"Transfer-Encoding", "Date", "Server", "Connection"})

CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: "{address}"
"""
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate for the loopback that nobody else has signed."""

    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "ca.crt", folder / "tls.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=loopback"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(made.certificate), "-keyout", str(made.key)),
        ],
        check=True,
        capture_output=True,
    )
    return made


def make_chain(folder: Path) -> tuple[Path, Certificate]:
    """Return the certificate of a private authority, and one for the loopback that it signed.

    Some clients accept no certificate of an authority as that of a server.
    """
    authority = make_certificate(folder)
    made = Certificate(folder / "leaf.crt", folder / "leaf.key")
    request, extensions = folder / "leaf.csr", folder / "leaf.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    asked = ("-subj", "/CN=store", "-keyout", str(made.key), "-out", str(request))
    signed = (
        *("-in", str(request), "-CA", str(authority.certificate), "-CAkey", str(authority.key)),
        *("-CAcreateserial", "-days", "2", "-extfile", str(extensions)),
        *("-out", str(made.certificate)),
    )
    for command in (("req", *curve, *asked), ("x509", "-req", *signed)):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return authority.certificate, made


@contextmanager
def running_registry(
    folder: Path,
    tls: Certificate | None = None,
    *,
    host: str = LOOPBACK,
    program: str | None = BINARY,
) -> Iterator[str]:
    """Run a registry program, and yield its host:port."""
    assert program is not None
    port = free_port()
    config = folder / "registry.yml"
    address = at_port(host, port)
    text = CONFIG.format(root=folder / "storage", address=address)
    if tls is not None:
        text += f"  tls: {{certificate: {tls.certificate}, key: {tls.key}}}\n"
    config.write_text(text)

    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    process = subprocess.Popen(
        [program, "serve", str(config)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    try:
        wait_for_port(port, process, host)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def at_port(host: str, port: int) -> str:
    """Return host:port as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def wait_for_port(
    port: int,
    process: subprocess.Popen[bytes],
    host: str = LOOPBACK,
    *,
    seconds: float = START_SECONDS,
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the registry ended with {process.returncode}"
        try:
            socket.create_connection((host, port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"no registry on port {port} after {seconds} s")


@dataclass
class Seen:
    """One request, as a server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    received: int = 0
    """Bytes of the body."""


class Conversation(BaseHTTPRequestHandler):
    """One connection; what it does is in the server's `respond`."""

    protocol_version = "HTTP/1.1"
    server: "RecordingServer"

    def _serve(self) -> None:
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.server.seen.append(seen)
        self.server.respond(self, seen)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """Break the connection off, without a goodbye."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class RecordingServer(ThreadingHTTPServer):
    """An HTTP server on a free port of the loopback."""

    daemon_threads = True

    def __init__(
        self, respond: Callable[[Conversation, Seen], None], address: str = LOOPBACK
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Conversation)
        self.address = address
        self.respond = respond
        self.seen: list[Seen] = []

    def handle_error(self, *_: Any) -> None:
        """Connections that we cut are no news."""

    @property
    def host(self) -> str:
        return at_port(self.address, self.server_port)

    def requests(self, method: str, part: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and part in seen.path]


@contextmanager
def serving(
    handle: Callable[[Conversation, Seen], None],
    tls: Certificate | None = None,
    *,
    address: str = LOOPBACK,
) -> Iterator[RecordingServer]:
    server = RecordingServer(handle, address)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Gate:
    """Stands before a registry: asks for tokens, answers 503, or cuts uploads."""

    upstream: str
    ticket: str | None = None
    """A token, asked for where set; given to whoever has `basic`."""
    basic: str | None = None
    unavailable: int = 0
    """How many requests to answer with 503 first."""
    cut_uploads_after: list[int] = field(default_factory=list)
    """Bytes of a PATCH after which the connection breaks; one entry per upload."""
    remembers: bool = True
    """Whether an upload that was cut can go on. docker-registry cannot: its Location carries the
    offset, which no longer fits. Others keep what came, as this gate does for it."""
    _kept: dict[str, str] = field(default_factory=dict)

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        if self.unavailable:
            self.unavailable -= 1
            self._read_all(talk)
            talk.answer(503, {"Retry-After": "0"})
        elif urlsplit(talk.path).path == "/token":
            self._give_token(talk, seen)
        elif self.ticket and seen.headers.get("authorization") != f"Bearer {self.ticket}":
            self._read_all(talk)
            realm = f'Bearer realm="http://{talk.headers["Host"]}/token",service="test"'
            talk.answer(401, {"WWW-Authenticate": realm})
        else:
            self._forward(talk, seen)

    def _give_token(self, talk: Conversation, seen: Seen) -> None:
        if seen.headers.get("authorization") != self.basic:
            talk.answer(401)
            return
        assert parse_qs(urlsplit(talk.path).query)["scope"]
        talk.answer(200, body=json.dumps({"token": self.ticket}).encode())

    def _forward(self, talk: Conversation, seen: Seen) -> None:
        limit = self._limit(talk)
        with closing(http.client.HTTPConnection(self.upstream)) as upstream:
            self._pass_on(upstream, talk, seen, limit)
            if limit is not None and not self.remembers:
                upstream.close()
                talk.cut()
                return

            response = upstream.getresponse()
            body = response.read()
            if limit is not None:
                self._kept[_path(talk.path)] = response.headers["Location"]
                talk.cut()
                return
            kept = {k: v for k, v in response.getheaders() if k not in HOP_HEADERS}
            talk.answer(response.status, kept, body)

    def _pass_on(
        self,
        upstream: http.client.HTTPConnection,
        talk: Conversation,
        seen: Seen,
        limit: int | None,
    ) -> None:
        url = urlsplit(self._kept.get(_path(talk.path), "") if talk.command == "GET" else "")
        path = f"{url.path}?{url.query}" if url.path else talk.path
        headers = dict(talk.headers.items())
        if limit is not None and self.remembers:
            headers["Content-Length"] = str(limit)
        upstream.putrequest(talk.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            upstream.putheader(name, value)
        upstream.endheaders()
        for block in self._body(talk, seen, limit):
            upstream.send(block)

    def _limit(self, talk: Conversation) -> int | None:
        return (
            self.cut_uploads_after.pop(0)
            if talk.command == "PATCH" and self.cut_uploads_after
            else None
        )

    def _body(self, talk: Conversation, seen: Seen, limit: int | None) -> Iterator[bytes]:
        left = int(talk.headers.get("Content-Length", 0))
        if limit is not None:
            left = min(left, limit)
        while left and (block := talk.rfile.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            seen.received += len(block)
            yield block

    def _read_all(self, talk: Conversation) -> None:
        for _ in self._body(talk, Seen("", "", {}), None):
            pass


def _path(url: str) -> str:
    return urlsplit(url).path
