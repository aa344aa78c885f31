"""The base image: its manifests for the nodes' architectures, and their configuration."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.api.base import Manifest
from slipway.api.reasons import Reason
from slipway.api.request import ModelFormat
from slipway.api.server_version import derive_server_version, parse_version
from slipway.errors import JobFailure, RegistryRefused
from slipway.jobs.registry.media_types import INDEXES, MANIFESTS, OCI_LAYER
from slipway.jobs.registry.reference import ImageReference
from slipway.jobs.registry.repository import RawManifest, Repository

LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{OCI_LAYER}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": OCI_LAYER,
}
"""Docker's media types of the same layers; the image that is made is an OCI image."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
VERSION_LABEL = "com.nvidia.tritonserver.version"
MAX_VERSION_LENGTH = 64
"""Characters; whoever makes a base image writes into its labels what they like."""
WITHOUT_TENSORFLOW = (2, 56)
"""Triton's version in release 25.03, the first of NVIDIA's images without that backend."""
NVIDIAS_REPOSITORY = "nvidia/tritonserver"
VERSION_VARIABLES = ("TRITON_SERVER_VERSION", "NVIDIA_TRITON_SERVER_VERSION")


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image for one architecture."""

    reference: ImageReference
    architecture: str
    """As images name it, such as amd64; empty where the image does not say."""
    digest: str
    """Digest of the architecture's own manifest."""
    layers: tuple[Manifest, ...]
    """OCI descriptors of the layers."""
    config: Manifest
    """The image's configuration document."""

    @property
    def server_version(self) -> str | None:
        """Triton's version (``2.71.0``) or NVIDIA's release (``26.07``); None if not declared."""
        inner = self.config.get("config") or {}
        label = (inner.get("Labels") or {}).get(VERSION_LABEL)
        variables = dict(item.partition("=")[::2] for item in inner.get("Env") or [])
        found = label or next(
            (variables[name] for name in VERSION_VARIABLES if variables.get(name)), None
        )
        return str(found)[:MAX_VERSION_LENGTH] if found else None


@dataclass(frozen=True, slots=True)
class BaseImages:
    """What a reference leads to."""

    found: str
    """Digest under which the registry has it: that of an index, where there is one."""
    images: tuple[BaseImage, ...]
    """One for each architecture that is wanted and there, in order of their names."""
    lacking: tuple[str, ...] = ()
    """Architectures that are wanted, and that it does not have."""

    @property
    def first(self) -> BaseImage:
        """The image that a revision is known by."""
        return self.images[0]

    @property
    def pinned(self) -> str:
        """``repository@sha256:…``, for pods that run it as it is."""
        return f"{self.first.reference.name}@{self.found}"

    @property
    def warnings(self) -> list[str]:
        """A sentence about the nodes that cannot run it, if there are any."""
        if not self.lacking:
            return []
        sentence = (
            f"server.image is not for {_on_linux(self.lacking)}, which some nodes have: pods that "
            "come there cannot start; set server.pod.nodeSelector kubernetes.io/arch: "
            f"{self.first.architecture}"
        )
        return [sentence]


def require_backend(model_format: ModelFormat, base: BaseImage) -> None:
    """Refuse a format for which the base image is known to have no backend.

    Raises:
        JobFailure: FormatMismatch. An image of one's own may have every backend.

    """
    name = base.reference.repository
    version = parse_version(base.server_version or derive_server_version(None, str(base.reference)))
    if model_format is not ModelFormat.TENSORFLOW or not name.endswith(NVIDIAS_REPOSITORY):
        return
    if version is not None and version >= WITHOUT_TENSORFLOW:
        found = ".".join(map(str, version))
        raise JobFailure(
            Reason.FORMAT_MISMATCH,
            f"found a TensorFlow model, and Triton {found} in {name} has no backend for it; "
            "expected spec.server.image 25.02 or older, one of yours that has the backend, or the "
            "model as ONNX",
        )


def resolve_base(
    reference: ImageReference, repository: Repository, architectures: Sequence[str] = ()
) -> BaseImages:
    """Return the images that a reference names.

    Args:
        reference: the image.
        repository: where it lies.
        architectures: those of the nodes; empty: they are not known, and this machine's is taken.

    Raises:
        JobFailure: ArchitectureMissing; it is for none of these architectures.
        RegistryRefused: there is none, none for this machine, or one of an unknown kind.
        RegistryUnavailable: the registry does not answer.

    """
    found = _read_manifest(reference, repository, reference.version)
    if found.media_type not in INDEXES:
        image = _read_image(reference, repository, found, "")
        offered = {image.architecture: image}
        # An image that is no index was taken as it is, and still is where nobody knows the nodes.
        wanted = sorted(architectures) or [image.architecture]
    else:
        manifests = _platforms(json.loads(found.data))
        wanted = sorted(architectures) or [_own_architecture()]
        if not architectures and wanted[0] not in manifests:
            raise RegistryRefused(
                f"image {reference}: found platforms {_on_linux(manifests)}, expected "
                f"{_on_linux(wanted)}"
            )
        offered = {
            name: _read_image(
                reference, repository, _read_manifest(reference, repository, digest), name
            )
            for name, digest in manifests.items()
            if name in wanted
        }
        if not offered:
            raise _lacks_all(reference, list(manifests), wanted)

    images = tuple(offered[name] for name in wanted if name in offered)
    if not images:
        raise _lacks_all(reference, list(offered), wanted)
    return BaseImages(found.digest, images, tuple(name for name in wanted if name not in offered))


def _lacks_all(
    reference: ImageReference, offered: Sequence[str], wanted: Sequence[str]
) -> JobFailure:
    return JobFailure(
        Reason.ARCHITECTURE_MISSING,
        f"image {reference}: found {_on_linux(offered)}, expected {_on_linux(wanted)}, which the "
        "nodes have that the pods may run on; set spec.server.image to an image for them, or "
        "spec.server.pod.nodeSelector to other nodes",
    )


def _read_image(
    reference: ImageReference, repository: Repository, manifest: RawManifest, architecture: str
) -> BaseImage:
    if manifest.media_type not in MANIFESTS:
        raise RegistryRefused(
            f"image {reference}: found media type {manifest.media_type!r}, expected an image"
        )

    content = json.loads(manifest.data)
    config = json.loads(repository.read(content["config"]["digest"]))
    return BaseImage(
        reference=reference,
        architecture=architecture or str(config.get("architecture") or ""),
        digest=manifest.digest,
        layers=tuple(_layer_descriptor(reference, item) for item in content["layers"]),
        config=config,
    )


def _read_manifest(reference: ImageReference, repository: Repository, version: str) -> RawManifest:
    manifest = repository.manifest(version, (*MANIFESTS, *INDEXES))
    if manifest is None:
        raise RegistryRefused(f"image {reference}: found no {version} in {reference.name}")
    return manifest


def _platforms(index: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of an index's Linux images by architecture; the first one counts."""
    found: dict[str, str] = {}
    for item in index["manifests"]:
        described = item.get("platform") or {}
        if described.get("os") == "linux":
            found.setdefault(str(described.get("architecture")), str(item["digest"]))
    return found


def _own_architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _on_linux(architectures: Iterable[str]) -> str:
    return ", ".join(f"linux/{name or '?'}" for name in architectures) or "none for Linux"


def _layer_descriptor(reference: ImageReference, descriptor: Mapping[str, Any]) -> Manifest:
    if descriptor.get("urls"):
        raise RegistryRefused(
            f"image {reference}: found layer {descriptor['digest']} outside the registry, expected "
            "an image whose layers can be copied"
        )

    media_type = descriptor["mediaType"]
    return {
        "mediaType": LAYER_TYPES.get(media_type, media_type),
        "digest": descriptor["digest"],
        "size": descriptor["size"],
    }
