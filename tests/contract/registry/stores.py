"""Real object stores on the loopback, versitygw (S3) and Azurite (Azure), and a bad way there."""

import base64
import hashlib
import hmac
import http.client
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import obstore
import pytest
from obstore.store import AzureStore, ObjectStore, S3Store

from tests.cluster import build, settings
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.contract.registry import servers
from tests.contract.registry.servers import (
    BLOCK_BYTES,
    HOP_HEADERS,
    Certificate,
    Conversation,
    Seen,
)
from tests.ports import free_port

VERSITYGW = build.Program("versitygw", "1.8.0", "github.com/versity/versitygw/cmd/versitygw")
AZURITE = "3.37.0"
USER, PASSWORD = "models-reader", "a-secret-that-no-message-shows"
REGION = "eu-central-1"
BUCKET = "models"
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Published with Azurite, the same everywhere."""
CLIENT: Any = {
    "client_options": {"allow_http": True, "timeout": "1min"},
    "retry_config": {"max_retries": 1, "retry_timeout": timedelta(seconds=10)},
}


@dataclass
class Store:
    """A store with a bucket, and what is needed to read it."""

    address: str
    """``http://host:port``, with a path if it has one."""
    scheme: str
    writer: ObjectStore
    secret: Mapping[str, str]
    """Keys of the Secret that lets one in."""

    def put(self, files: Mapping[str, bytes], prefix: str = "") -> None:
        for name, data in files.items():
            obstore.put(self.writer, f"{prefix}{name}", data)

    def uri(self, path: str) -> str:
        return f"{self.scheme}://{BUCKET}/{path}"


@dataclass
class Versitygw:
    """The S3 server, which can be killed and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(
        cls, folder: Path, port: int | None = None, tls: Certificate | None = None
    ) -> "Versitygw":
        port = port or free_port()
        for name in ("buckets", "accounts"):
            (folder / name).mkdir(exist_ok=True)
        command = [
            str(VERSITYGW.path),
            *("--access", USER, "--secret", PASSWORD, "--region", REGION, "--quiet"),
            *("--port", f"127.0.0.1:{port}", "--iam-dir", str(folder / "accounts")),
            *(("--cert", str(tls.certificate), "--key", str(tls.key)) if tls is not None else ()),
            *("posix", str(folder / "buckets")),
        ]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        servers.wait_for_port(port, process)
        return cls(folder, port, process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def start_again(self) -> None:
        self.process = Versitygw.start(self.folder, self.port).process

    def allow_everybody(self) -> None:
        """Let requests without a signature read and list the bucket."""
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self._put(f"/{BUCKET}", "policy=", json.dumps(policy).encode())

    def let_read_only(self, name: str) -> dict[str, str]:
        """Make an account that may read objects and not list them; return its Secret."""
        accounts = self.folder / "accounts" / "users.json"
        account = {"access": name, "secret": PASSWORD, "role": "user"}
        accounts.write_text(json.dumps({"accessAccounts": {name: account}}))
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": [name]},
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{BUCKET}/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self._put(f"/{BUCKET}", "policy=", json.dumps(policy).encode())
        return {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": PASSWORD}

    def _put(self, path: str, query: str, body: bytes) -> None:
        """Send a signed request; the client that reads has none such."""
        digest = hashlib.sha256(body).hexdigest()
        host, now = f"127.0.0.1:{self.port}", datetime.now(UTC)
        headers = sign_s3("PUT", f"{path}?{query}", host, digest, now)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("PUT", f"{path}?{query}", body, headers)
            answer = connection.getresponse()
            assert answer.status < http.client.MULTIPLE_CHOICES, answer.read()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self) -> Store:
        (self.folder / "buckets" / BUCKET).mkdir(exist_ok=True)
        writer = S3Store(
            BUCKET,
            endpoint=self.address,
            region=REGION,
            access_key_id=USER,
            secret_access_key=PASSWORD,
            **CLIENT,
        )
        secret = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD}
        return Store(self.address, "s3", writer, secret)


@contextmanager
def running_versitygw(folder: Path) -> Iterator[Versitygw]:
    """Run versitygw, built into the cache where it is not there yet."""
    try:
        build.build_programs([VERSITYGW], Progress())
    except ClusterError as problem:
        pytest.skip(str(problem))
    server = Versitygw.start(folder)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_azurite(folder: Path, tls: Certificate | None = None) -> Iterator[Store]:
    """Run Azurite, installed into the cache where it is not there yet.

    With TLS it takes tokens as well, whose claims it checks, and not their signature.
    """
    program = _install_azurite()
    port = free_port()
    secure = (
        ("--oauth", "basic", "--cert", str(tls.certificate), "--key", str(tls.key)) if tls else ()
    )
    process = subprocess.Popen(
        [
            *(str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--location", str(folder), "--silent", "--skipApiVersionCheck", *secure),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        servers.wait_for_port(port, process)
        scheme = "http" if tls is None else "https"
        address = f"{scheme}://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
        _make_container(address)
        key = {"account_name": AZURITE_ACCOUNT, "account_key": AZURITE_KEY}
        config: Any = {**key, "endpoint": address}
        options = {**CLIENT["client_options"], "allow_invalid_certificates": tls is not None}
        client: Any = {**CLIENT, "client_options": options}
        secret = {"AZURE_STORAGE_ACCOUNT": AZURITE_ACCOUNT, "AZURE_STORAGE_KEY": AZURITE_KEY}
        yield Store(address, "az", AzureStore(BUCKET, config=config, **client), secret)
    finally:
        process.kill()  # it would wait for every open connection
        process.wait(10)


def _install_azurite() -> Path:
    place = settings.cache_directory() / "bin" / f"azurite-{AZURITE}"
    program = place / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        if shutil.which("npm") is None:
            pytest.skip("no npm, which installs Azurite")
        place.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", f"azurite@{AZURITE}"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return program


def _make_container(address: str) -> None:
    """Make the container with a signed request: the client that reads has no such operation."""
    now = formatdate(usegmt=True)
    path = f"/{AZURITE_ACCOUNT}/{BUCKET}"
    headers = f"x-ms-date:{now}\nx-ms-version:2021-08-06\n"
    text = f"PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}/{AZURITE_ACCOUNT}{path}\nrestype:container"
    digest = hmac.new(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    with closing(_connect(address)) as connection:
        connection.request(
            "PUT",
            f"{path}?restype=container",
            headers={
                "x-ms-date": now,
                "x-ms-version": "2021-08-06",
                "Content-Length": "0",
                "Authorization": f"SharedKey {AZURITE_ACCOUNT}:{signature}",
            },
        )
        answer = connection.getresponse()
        assert answer.status == http.client.CREATED, answer.read()


def _connect(address: str) -> http.client.HTTPConnection:
    scheme, _, host, *_ = address.split("/")
    if scheme == "http:":
        return http.client.HTTPConnection(host)
    trusting = ssl._create_unverified_context()  # noqa: S323 - of the test itself
    return http.client.HTTPSConnection(host, context=trusting)


def sign_s3(method: str, address: str, host: str, digest: str, at: datetime) -> dict[str, str]:
    """Return the headers of a signed request (AWS Signature Version 4), signed at a moment."""
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    named = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    path, _, query = address.partition("?")
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{named}\n{digest}"
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}"
    key = f"AWS4{PASSWORD}".encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={USER}/{scope}, SignedHeaders={named}, Signature={key.hex()}"
    )
    return headers


def sign_azure_container(begins: datetime, ends: datetime) -> str:
    """Return a token (SAS) with which the container can be read and listed until it expires."""
    start, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (begins, ends))
    rights, version = "rl", "2020-12-06"
    place = f"/blob/{AZURITE_ACCOUNT}/{BUCKET}"
    fields = [rights, start, end, place, "", "", "", version, "c", *[""] * 7]
    key = base64.b64decode(AZURITE_KEY)
    digest = hmac.new(key, "\n".join(fields).encode(), hashlib.sha256).digest()
    token = {"sv": version, "st": start, "se": end, "sr": "c", "sp": rights}
    return urlencode({**token, "sig": base64.b64encode(digest).decode()})


@dataclass(frozen=True)
class Asked:
    """A part of an object that was asked for, and how much of it was sent."""

    key: str
    start: int
    end: int
    sent: int

    @property
    def is_whole(self) -> bool:
        return self.start + self.sent == self.end


@dataclass
class BadWay:
    """Stands before a store, changes nothing of what is signed, and makes trouble."""

    upstream: str
    """host:port."""
    refusals: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Answered first to reads of objects: status, headers, body."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes of a body after which the connection breaks; one per answer with a long body."""
    after: dict[int, Callable[[], object]] = field(default_factory=dict)
    """Called once so many bytes were sent."""
    clock_is_ahead: timedelta | None = None
    """Sign requests to S3 anew, as a node whose clock is ahead would sign them."""
    sent: int = 0
    """Bytes of objects so far."""
    asked: list[Asked] = field(default_factory=list)
    """Parts of objects, in the order in which they ended."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, talk: Conversation, _: Seen) -> None:
        is_list = "list-type=" in talk.path or "comp=list" in talk.path
        is_read = talk.command == "GET" and not is_list
        with self._lock:
            refusal = self.refusals.pop(0) if is_read and self.refusals else None
        if refusal is not None:
            status, headers, body = refusal
            talk.answer(status, headers, body)
            return

        with closing(http.client.HTTPConnection(self.upstream)) as upstream:
            upstream.putrequest(talk.command, talk.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._headers(talk).items():
                upstream.putheader(name, value)
            upstream.endheaders()
            answer = upstream.getresponse()
            self._pass_on(talk, answer, is_read=is_read)

    def _pass_on(
        self, talk: Conversation, answer: http.client.HTTPResponse, *, is_read: bool
    ) -> None:
        talk.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in HOP_HEADERS:
                talk.send_header(name, value)
        length = answer.getheader("Content-Length")
        if length is None:
            body = answer.read()
            talk.send_header("Content-Length", str(len(body)))
            talk.end_headers()
            talk.wfile.write(body)
            return
        talk.end_headers()
        if talk.command == "HEAD":
            return

        with self._lock:
            is_cut = bool(is_read and answer.status < http.client.BAD_REQUEST and self.cut_after)
            left = min(int(length), self.cut_after.pop(0)) if is_cut else int(length)
        sent = 0
        try:
            while left and (block := answer.read(min(left, BLOCK_BYTES))):
                left -= len(block)
                talk.wfile.write(block)
                sent += len(block)
                if is_read:
                    self._count(len(block))
        finally:
            if is_read:
                self._note(talk, int(length), sent)
        if is_cut or left:
            talk.cut()

    def _headers(self, talk: Conversation) -> dict[str, str]:
        headers = {name.lower(): value for name, value in talk.headers.items()}
        if self.clock_is_ahead is None:
            return headers
        moment, digest = datetime.now(UTC) + self.clock_is_ahead, headers["x-amz-content-sha256"]
        return headers | sign_s3(talk.command, talk.path, headers["host"], digest, moment)

    def _note(self, talk: Conversation, length: int, sent: int) -> None:
        wanted = talk.headers.get("Range") or talk.headers.get("x-ms-range") or "bytes=0-"
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        part = Asked(talk.path.partition("?")[0], start, start + length, sent)
        with self._lock:
            self.asked.append(part)

    def _count(self, count: int) -> None:
        with self._lock:
            self.sent += count
            due = [self.after.pop(mark) for mark in list(self.after) if mark <= self.sent]
        for act in due:
            act()


def mount_secret(folder: Path, values: Mapping[str, str]) -> None:
    """Write a Secret as the kubelet mounts it."""
    data = folder / "..data"
    shutil.rmtree(folder, ignore_errors=True)
    data.mkdir(parents=True)
    for name, value in values.items():
        (data / name).write_text(value + "\n")
        (folder / name).symlink_to(f"..data/{name}")
