"""A package Job's surroundings: a shelf of files, a base image, mounts, and its last words."""

import gzip
import io
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from slipway.api.request import ConfigRequest, PackageMode, PackageRequest, SourceRequest
from slipway.api.result import PackageResult
from slipway.jobs.http import Backoff, open_pool
from slipway.jobs.package.main import PackageMounts, run_package_job
from slipway.jobs.registry.blob import BytesBlob
from slipway.jobs.registry.client import RegistryClient as Client
from slipway.jobs.registry.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import push_blob
from slipway.settings import RegistryAccess

from tests.contract.registry.servers import BLOCK_BYTES, Conversation, RecordingServer, Seen

FAST = Backoff(first_seconds=0.001, most_seconds=0.01)
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Shelf:
    """Files by path, and the trouble that their server makes."""

    files: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    """Answered first, one per request."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the connection breaks; one per answer."""
    can_resume: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every file."""
    bytes_per_second: int = 0
    """Of each answer; 0: as fast as it goes."""
    sent: int = 0
    """Bytes of bodies so far."""
    server: RecordingServer | None = None

    def url(self, path: str) -> str:
        assert self.server is not None
        return f"http://{self.server.host}{path}"

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        path = talk.path.partition("?")[0]
        if self.statuses:
            talk.answer(self.statuses.pop(0), {"Retry-After": "0"})
        elif path in self.redirects:
            talk.answer(302, {"Location": self.redirects[path]})
        elif path not in self.files:
            talk.answer(404)
        else:
            self._send(talk, seen, self.files[path])

    def _send(self, talk: Conversation, seen: Seen, data: bytes) -> None:
        etag = f'"{hash(data)}"'
        start, status, headers = 0, 200, {"ETag": etag, **self.headers}
        wanted = seen.headers.get("range")
        if wanted and self.can_resume and seen.headers.get("if-range") == etag:
            start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"

        headers["Content-Length"] = str(len(data) - start)
        limit = self.cut_after.pop(0) if self.cut_after else None
        body = b"" if seen.method == "HEAD" else data[start:][:limit]
        talk.answer(status, headers)
        for block in self._paced(body):
            talk.wfile.write(block)
            self.sent += len(block)
        if limit is not None:
            talk.cut()

    def _paced(self, body: bytes) -> Iterator[bytes]:
        """Yield the body as it comes over the link."""
        began = time.monotonic()
        for start in range(0, len(body), BLOCK_BYTES):
            if self.bytes_per_second:
                due = began + start / self.bytes_per_second
                time.sleep(max(0.0, due - time.monotonic()))
            yield body[start : start + BLOCK_BYTES]


def a_model(width: int = 4, *, batch: int | str = "batch") -> bytes:
    """An ONNX graph: y = x + weights."""
    shape = [batch, width]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [helper.make_tensor("w", TensorProto.FLOAT, [width], [0.5] * width)],
    )
    data: bytes = helper.make_model(graph).SerializeToString()
    assert onnx.load_model_from_string(data)
    return data


def a_tar(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def client(host: str) -> Client:
    return Client(host, f"http://{host}", open_pool(), backoff=FAST)


def push_base(host: str, repository: str, *, label: str = "2.51.0", docker: bool = True) -> str:
    """Push a small image, and return its digest."""
    return push_base_to(client(host), repository, label=label, docker=docker)


def push_base_to(
    registry: Client, repository: str, *, label: str = "2.51.0", docker: bool = True
) -> str:
    """Push as Docker would, or in OCI's form."""
    target = Repository(registry, repository)
    tar = a_tar({"opt/tritonserver/VERSION": label.encode()}, "w")
    layer = BytesBlob(gzip.compress(tar, mtime=0))
    config = BytesBlob(
        json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {
                    "Labels": {"com.nvidia.tritonserver.version": label},
                    "Env": ["PATH=/bin"],
                    "Entrypoint": ["/usr/bin/env"],
                },
                "rootfs": {"type": "layers", "diff_ids": [BytesBlob(tar).digest]},
                "history": [{"created_by": "base"}],
            }
        ).encode()
    )

    for blob in (layer, config):
        push_blob(target, blob)

    types = (
        (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
        if docker
        else (
            OCI_MANIFEST,
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
    )

    manifest = {
        "schemaVersion": 2,
        "mediaType": types[0],
        "config": {"mediaType": types[1], "digest": config.digest, "size": config.size},
        "layers": [{"mediaType": types[2], "digest": layer.digest, "size": layer.size}],
    }

    return target.put_manifest("1", json.dumps(manifest).encode(), types[0])


def push_index(host: str, repository: str, entries: Sequence[tuple[str, str]]) -> str:
    """Push an index of (digest, architecture)."""
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": DOCKER_MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"os": "linux", "architecture": architecture},
            }
            for digest, architecture in entries
        ],
    }

    target = Repository(client(host), repository)
    return target.put_manifest("multi", json.dumps(index).encode(), OCI_INDEX)


@dataclass
class Bench:
    """Runs package Jobs in this process."""

    registry: str
    shelf: Shelf
    folder: Path
    exit_code: int = -1
    backoff: Backoff = FAST

    @property
    def places(self) -> PackageMounts:
        return PackageMounts(
            scratch=self.folder / "scratch",
            source=self.folder / "claim",
            push_secret=self.folder / "push",
            pull_secrets=self.folder / "pull",
            ca=self.folder / "ca",
            source_secret=self.folder / "source-secret",
            source_ca=self.folder / "source-ca",
            source_key=self.folder / "source-key",
            cache=self.folder / "cache",
        )

    def order(self, path: str, **changes: Any) -> PackageRequest:
        """An order that works: one file of the shelf to an image."""
        uri = path if "://" in path else self.shelf.url(path)
        healthy: dict[str, Any] = {
            "mode": PackageMode.IMAGE,
            "source": SourceRequest(uri=uri, allow_plain_http=True),
            "config": ConfigRequest(model_name="digits"),
            "base_image": f"{self.registry}/base/triton:1",
            "repository": f"{self.registry}/models/digits",
            "registries": [RegistryAccess(host=self.registry, plain_http=True)],
            "version": "1",
        }
        return PackageRequest(**{**healthy, **changes})

    def package(self, path: str, **changes: Any) -> PackageResult:
        """Run a Job and read its last words."""
        log = self.folder / "termination-log"
        log.write_text("")
        request = self.order(path, **changes).model_dump_json(by_alias=True, exclude_none=True)
        self.exit_code = run_package_job(request, self.places, log, self.backoff)
        return PackageResult.model_validate_json(log.read_text())

    def pull(self, image: str) -> "Pulled":
        """Read an image as a container runtime would."""
        name, _, digest = image.partition("@")
        host, _, repository = name.partition("/")
        source = Repository(client(host), repository)
        manifest = source.manifest(digest, (OCI_MANIFEST,))
        assert manifest is not None
        content = json.loads(manifest.data)
        config = json.loads(source.read(content["config"]["digest"]))
        layers = [source.read(layer["digest"], 2**30) for layer in content["layers"]]
        return Pulled(content, config, layers)


@dataclass
class Pulled:
    """An image, with all its layers."""

    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: list[bytes]

    def names(self, layer: int) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.layers[layer])) as tar:
            return tar.getnames()

    def file(self, path: str) -> bytes:
        """Content of a file in the topmost layer that has it."""
        for layer in reversed(self.layers):
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                if path in tar.getnames():
                    content = tar.extractfile(path)
                    assert content is not None
                    return content.read()
        raise KeyError(path)
