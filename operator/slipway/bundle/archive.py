"""What the bundle carries: blobs, manifests, and files to unpack."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

from slipway.errors import SlipwayError
from slipway.jobs.registry.media_types import INDEXES

BLOCK_BYTES = 2**20
LAYOUT, FILES = "release/oci", "release/files"
"""Where the archive has the OCI layout, and what people download."""
REFERENCE = "org.opencontainers.image.ref.name"


class BundleError(SlipwayError):
    """The bundle is damaged, or was asked for what it cannot do."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image or a chart of the layout."""

    repository: str
    """Such as ``slipway/operator``."""
    tag: str
    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class ArchivedBlob:
    """A blob of the layout, read as often as it is asked for."""

    archive: ZipFile
    digest: str
    size: int

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, in blocks of a mebibyte.

        Raises:
            BundleError: the archive's own checksum says that the blob is damaged.

        """
        try:
            with self.archive.open(blob_path(self.digest)) as stream:
                stream.seek(offset)
                while block := stream.read(BLOCK_BYTES):
                    yield block
        except BadZipFile as error:
            raise BundleError(f"{self.digest} is damaged: download the bundle again") from error


@dataclass(frozen=True, slots=True)
class Archive:
    """The zip archive of a bundle."""

    zip: ZipFile

    def artifacts(self) -> list[Artifact]:
        """Return the images and the chart, in the order of the layout's index.

        Raises:
            BundleError: there is no layout, or an entry of its index has no name.

        """
        found = []
        for entry in json.loads(self._read(f"{LAYOUT}/index.json"))["manifests"]:
            repository, colon, tag = entry.get("annotations", {}).get(REFERENCE, "").rpartition(":")
            if not colon:
                raise BundleError(f"{entry['digest']} has no name in {LAYOUT}/index.json")
            found.append(Artifact(repository, tag, entry["digest"], entry["mediaType"]))
        return found

    def manifest(self, digest: str) -> bytes:
        """Return the text of a manifest, or of an index of manifests.

        Raises:
            BundleError: it is not there, or its bytes have another digest.

        """
        data = self._read(blob_path(digest))
        found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if found != digest:
            raise BundleError(f"manifest {digest} is damaged: its bytes have the digest {found}")
        return data

    def blob(self, digest: str, size: int) -> ArchivedBlob:
        """Return a blob that can be sent to a registry."""
        return ArchivedBlob(self.zip, digest, size)

    def blobs(self, artifact: Artifact) -> dict[str, int]:
        """Return the bytes of every blob that an artifact consists of, by digest.

        What several platforms share is named once.
        """
        return {
            part["digest"]: part["size"]
            for manifest in self.platform_manifests(artifact)
            for part in parts(json.loads(self.manifest(manifest)))
        }

    def platform_manifests(self, artifact: Artifact) -> list[str]:
        """Return the digests of an artifact's manifests: one, or one for each platform."""
        if artifact.media_type not in INDEXES:
            return [artifact.digest]
        index = json.loads(self.manifest(artifact.digest))
        return [entry["digest"] for entry in index["manifests"]]

    def files(self) -> list[str]:
        """Return the names of what `unpack` writes."""
        names = self.zip.namelist()
        return sorted(
            name.removeprefix(f"{FILES}/")
            for name in names
            if name.startswith(f"{FILES}/") and not name.endswith("/")
        )

    def unpack(self, directory: Path) -> Iterator[Path]:
        """Write the files into a directory, and yield each path; programs are made executable.

        Raises:
            BundleError: the archive is damaged, or names a place outside the directory.

        """
        for name in self.files():
            if ".." in PurePosixPath(name).parts:
                raise BundleError(f"the bundle names a file outside of the directory: {name}")
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)

            entry = self.zip.getinfo(f"{FILES}/{name}")
            try:
                with self.zip.open(entry) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target, BLOCK_BYTES)
            except BadZipFile as error:
                raise BundleError(f"{name} is damaged: download the bundle again") from error

            path.chmod((entry.external_attr >> 16) & 0o777 or 0o644)
            yield path

    def _read(self, name: str) -> bytes:
        try:
            return self.zip.read(name)
        except (KeyError, BadZipFile) as error:
            raise BundleError(
                f"the bundle lacks {name} or has it damaged: download it again"
            ) from error


def blob_path(digest: str) -> str:
    """Return where the archive has the blob with this digest."""
    return f"{LAYOUT}/blobs/{digest.replace(':', '/')}"


def parts(manifest: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the descriptors of a manifest's configuration and layers, in the order to send."""
    return [*manifest["layers"], manifest["config"]]
