"""Pushing an image to its repository: base layers are mounted or copied, new ones are streamed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway.api.base import Manifest
from slipway.jobs.package.base_image import BaseImage
from slipway.jobs.package.image import ImageInputs, ModelImage
from slipway.jobs.registry.blob import Blob, BytesBlob
from slipway.jobs.registry.media_types import OCI_INDEX, OCI_MANIFEST
from slipway.jobs.registry.reference import ImageReference
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import push_blob


@dataclass(frozen=True, slots=True)
class Transfer:
    """The repositories that an image is made from and pushed to."""

    base: ImageReference
    image: ImageReference
    origin: Repository
    """Repository of the base image."""
    target: Repository

    @property
    def is_one_registry(self) -> bool:
        """Whether both are in the same registry, so that blobs can be mounted instead of sent."""
        return self.origin.registry.host == self.target.registry.host


def find_image(target: Repository, inputs: ImageInputs) -> str | None:
    """Return the digest of an image that was made from these inputs before; None without one."""
    found = target.manifest(inputs.tag, (OCI_MANIFEST, OCI_INDEX))
    return found.digest if found is not None and inputs.match(found.data) else None


def publish_image(
    route: Transfer, bases: Sequence[BaseImage], layers: Sequence[Blob], image: ModelImage, tag: str
) -> str:
    """Push what the repository lacks, and return the digest of the image.

    Raises:
        RegistryRefused: the push is not allowed.
        RegistryUnavailable: no answer after all attempts.

    """
    # What names others comes after them: a registry accepts it only when all of them are there.
    descriptors = {item["digest"]: item for base in bases for item in base.layers}
    for descriptor in descriptors.values():
        _transfer_layer(route, descriptor)
    for layer in layers:
        push_blob(route.target, layer)
    for config in image.configs:
        push_blob(route.target, BytesBlob(config))

    for manifest in image.manifests if image.index is not None else ():
        route.target.put_manifest(manifest.digest, manifest.data, manifest.media_type)
    return route.target.put_manifest(tag, image.top.data, image.top.media_type)


def _transfer_layer(route: Transfer, descriptor: Manifest) -> None:
    digest = descriptor["digest"]
    if route.target.has(digest):
        return
    if route.is_one_registry and route.target.mount(digest, route.origin.name):
        return
    push_blob(route.target, _RemoteBlob(route.origin, digest, descriptor["size"]))


@dataclass(frozen=True, slots=True)
class _RemoteBlob:
    """A blob of another repository, streamed from there."""

    origin: Repository
    digest: str
    size: int

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on."""
        return self.origin.stream(self.digest, offset)
