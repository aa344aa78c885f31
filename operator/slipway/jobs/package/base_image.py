"""The base image: its manifest for this machine's architecture, and its configuration."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway.api.base import Manifest
from slipway.api.reasons import Reason
from slipway.api.request import ModelFormat
from slipway.errors import JobFailure, RegistryRefused
from slipway.jobs.registry.reference import ImageReference
from slipway.jobs.registry.repository import RawManifest, Repository
from slipway.render.triton import derive_server_version, parse_version

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)

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
    """An image for this machine's architecture."""

    reference: ImageReference
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


def resolve_base(reference: ImageReference, repository: Repository) -> BaseImage:
    """Return the image that a reference names.

    Raises:
        RegistryRefused: there is none, none for this architecture, or one of an unknown kind.
        RegistryUnavailable: the registry does not answer.

    """
    manifest = _read_manifest(reference, repository, reference.version)
    if manifest.media_type in INDEXES:
        digest = _choose_platform(reference, json.loads(manifest.data))
        manifest = _read_manifest(reference, repository, digest)

    if manifest.media_type not in MANIFESTS:
        raise RegistryRefused(
            f"image {reference}: found media type {manifest.media_type!r}, expected an image"
        )

    content = json.loads(manifest.data)
    return BaseImage(
        reference=reference,
        digest=manifest.digest,
        layers=tuple(_layer_descriptor(reference, item) for item in content["layers"]),
        config=json.loads(repository.read(content["config"]["digest"])),
    )


def _read_manifest(reference: ImageReference, repository: Repository, version: str) -> RawManifest:
    manifest = repository.manifest(version, (*MANIFESTS, *INDEXES))
    if manifest is None:
        raise RegistryRefused(f"image {reference}: found no {version} in {reference.name}")
    return manifest


def _choose_platform(reference: ImageReference, index: Mapping[str, Any]) -> str:
    machine = platform.machine()
    wanted = ("linux", ARCHITECTURES.get(machine, machine))

    found = []
    for item in index["manifests"]:
        described = item.get("platform") or {}
        found.append(f"{described.get('os')}/{described.get('architecture')}")
        if (described.get("os"), described.get("architecture")) == wanted:
            return str(item["digest"])

    raise RegistryRefused(
        f"image {reference}: found platforms {', '.join(found)}, expected {'/'.join(wanted)}"
    )


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
