"""Container images of one static binary, made without any image tool, and pushed over HTTP."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
NOBODY = "65532"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """The three blobs of an image with one layer."""

    layer: bytes
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """What the image is known by, `sha256:…`."""
        return digest_of(self.manifest)


def digest_of(blob: bytes) -> str:
    """Return the name of a blob."""
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def image_of_binary(binary: Path) -> Image:
    """Return an image that runs `binary`; the same binary gives the same image."""
    tree = _tar({binary.name: binary.read_bytes()}, mode=0o755)
    layer = gzip.compress(tree, mtime=0)
    config = _json(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [f"/{binary.name}"], "User": NOBODY},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tree)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, layer)],
        }
    )
    return Image(layer, config, manifest)


def make_archive(image: Image, name: str) -> bytes:
    """Return the OCI archive that `ctr images import` reads, with the image under `name`."""
    entry = _descriptor(MANIFEST, image.manifest) | {
        "annotations": {"io.containerd.image.name": name}
    }
    blobs = {_blob_path(blob): blob for blob in (image.layer, image.config, image.manifest)}
    index = _json({"schemaVersion": 2, "manifests": [entry]})
    layout = _json({"imageLayoutVersion": "1.0.0"})
    return _tar({"oci-layout": layout, "index.json": index, **blobs}, mode=0o644)


def push_image(image: Image, registry: str, repository: str) -> str:
    """Push over plain HTTP and return the reference `registry/repository@sha256:…`.

    Raises:
        ClusterError: the registry did not take it.

    """
    base = f"http://{registry}/v2/{repository}"
    try:
        for blob in (image.layer, image.config):
            _push_blob(base, blob)
        _send("PUT", f"{base}/manifests/{image.digest}", image.manifest, MANIFEST)
    except OSError as error:
        raise ClusterError(f"pushing {repository} to {registry} failed: {error}") from error
    return f"{registry}/{repository}@{image.digest}"


def _push_blob(base: str, blob: bytes) -> None:
    location = urllib.parse.urljoin(base, _send("POST", f"{base}/blobs/uploads/", b""))
    joint = "&" if "?" in location else "?"
    _send("PUT", f"{location}{joint}digest={digest_of(blob)}", blob)


def _send(method: str, url: str, body: bytes, kind: str = "application/octet-stream") -> str:
    """Return where the registry says to go on."""
    headers = {"Content-Type": kind}
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(answer.headers.get("Location", ""))


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tree:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tree.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _blob_path(blob: bytes) -> str:
    return "blobs/" + digest_of(blob).replace(":", "/")


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}


def _json(content: dict[str, object]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
