"""Records beside the images: what a source, or files, gave, so that the same is not made again.

A record is a small artifact under a tag: ``s-<16 hex>`` has the result of packaging a source,
``w-<16 hex>`` the layer of files. It only saves time: where it is lost, refused or not believed,
the model is packaged as ever.
"""

import json
import logging
import re
from dataclasses import dataclass

from pydantic import ValidationError

from slipway import __version__
from slipway.api.canonical_json import sha256_of
from slipway.api.names import GROUP
from slipway.api.request import PackageRequest
from slipway.api.result import PackageResult
from slipway.errors import DependencyError, RegistryRefused
from slipway.jobs.model_digest import TreeDigest
from slipway.jobs.package.image import MODEL_DIGEST, PACKAGER_FORMAT
from slipway.jobs.registry.blob import BytesBlob
from slipway.jobs.registry.media_types import OCI_INDEX, OCI_MANIFEST
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import push_blob
from slipway.render.model_repository import Layout

log = logging.getLogger(__name__)

RECORD_TYPE = "application/vnd.slipway.packaged.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = BytesBlob(b"{}")
KEY = f"{GROUP}/source-key"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RecordKey:
    """All that decides what is recorded."""

    digest: str
    """sha256 of it, 64 hex digits."""
    prefix: str = "s"

    @property
    def tag(self) -> str:
        """``s-<16 hex>``."""
        return f"{self.prefix}-{self.digest[:16]}"


def make_record_key(request: PackageRequest, version: str, base_digest: str) -> RecordKey:
    """Return the key of a request; `version` is what tells the source's bytes from all others.

    The version of Slipway is in it, because another one may complete a config.pbtxt otherwise.
    """
    asked = request.model_dump(
        mode="json", include={"mode", "config", "base_image", "repository", "architectures"}
    )
    endpoint = request.source.access and request.source.access.endpoint
    source = [request.source.uri, endpoint, version]
    return RecordKey(sha256_of([asked, source, base_digest, PACKAGER_FORMAT, __version__]))


def find_record(target: Repository, key: RecordKey, pinned: str | None) -> PackageResult | None:
    """Return the result that was recorded; None where there is none whose image is there."""
    data = _read(target, key)
    if data is None:
        return None
    try:
        result = PackageResult.model_validate_json(data)
    except ValidationError as error:
        log.info("the record %s is not believed: %s", key.tag, error)
        return None
    return result if _has_image(target, result, pinned) else None


def write_record(target: Repository, key: RecordKey, result: PackageResult) -> None:
    """Record a result, where the registry lets us."""
    kept = result.model_copy(update={"seconds": {}, "reused": False})
    _write(target, key, kept.model_dump_json(by_alias=True, exclude_none=True))


def make_layer_key(layout: Layout, found: TreeDigest) -> RecordKey:
    """Return the key of the weights layer of files with these digests."""
    known = {file.name: file for file in found.files}
    files = [(it.target, known[it.source].sha256, known[it.source].size) for it in layout.weights]
    return RecordKey(sha256_of([files, PACKAGER_FORMAT]), "w")


def find_layer(target: Repository, key: RecordKey) -> str | None:
    """Return the digest of a layer that the repository has; None where it is not known."""
    data = _read(target, key)
    digest = data.decode(errors="replace") if data is not None else ""
    return digest if DIGEST.fullmatch(digest) and target.has(digest) else None


def write_layer(target: Repository, key: RecordKey, digest: str) -> None:
    """Record a layer, where the registry lets us."""
    _write(target, key, digest)


def _read(target: Repository, key: RecordKey) -> bytes | None:
    found = target.manifest(key.tag, (OCI_MANIFEST,))
    if found is None:
        return None
    try:
        record = json.loads(found.data)
        is_ours = record["annotations"][KEY] == key.digest
        return target.read(record["config"]["digest"]) if is_ours else None
    except (ValueError, KeyError, TypeError, RegistryRefused) as error:
        log.info("the record %s is not believed: %s", key.tag, error)
        return None


def _write(target: Repository, key: RecordKey, text: str) -> None:
    content = BytesBlob(text.encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": RECORD_TYPE, "digest": content.digest, "size": content.size},
        "layers": [{"mediaType": EMPTY_TYPE, "digest": EMPTY.digest, "size": EMPTY.size}],
        "annotations": {KEY: key.digest},
    }
    try:
        for blob in (content, EMPTY):
            push_blob(target, blob)
        target.put_manifest(key.tag, json.dumps(manifest).encode(), OCI_MANIFEST)
    except (RegistryRefused, DependencyError) as problem:
        log.info("the next Job will read the source again: %s", problem)


def _has_image(target: Repository, result: PackageResult, pinned: str | None) -> bool:
    """Return whether the image is there, and is of this model."""
    image = result.model_image or result.image or ""
    found = target.manifest(image.partition("@")[2] or "-", (OCI_MANIFEST, OCI_INDEX))
    if found is None or result.model_digest is None or pinned not in {None, result.model_digest}:
        return False
    annotations = json.loads(found.data).get("annotations") or {}
    return bool(annotations.get(MODEL_DIGEST) == result.model_digest)
