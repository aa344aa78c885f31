"""Sending an image to its repository: base layers are mounted or copied, new ones streamed."""

from collections.abc import Iterator
from dataclasses import dataclass

from slipway.adapters.registry.content import Blob, BytesBlob, Repository
from slipway.api.base import Manifest
from slipway.jobs.package.base import OCI_MANIFEST, BaseImage
from slipway.jobs.package.image import Appended, Inputs


def find_image(target: Repository, inputs: Inputs) -> str | None:
    """Return the digest of the image that was made of these inputs before; None without one."""
    found = target.manifest(inputs.tag, (OCI_MANIFEST,))
    return found.digest if found is not None and inputs.made(found.data) else None


def publish(
    target: Repository,
    origin: Repository,
    base: BaseImage,
    *,
    layers: list[Blob],
    image: Appended,
    tag: str,
) -> str:
    """Send everything that is not there yet, the manifest last, and return its digest.

    Raises:
        RegistryRefused: not allowed.
        RegistryUnavailable: no answer after all attempts.

    """
    for descriptor in base.layers:
        _take_over(target, origin, descriptor)
    for layer in layers:
        target.push(layer)
    target.push(BytesBlob(image.config))
    return target.put_manifest(tag, image.manifest, OCI_MANIFEST)


def _take_over(target: Repository, origin: Repository, descriptor: Manifest) -> None:
    digest = descriptor["digest"]
    if target.has(digest):
        return
    same_registry = target.registry.host == origin.registry.host
    if same_registry and target.mount(digest, origin.name):
        return
    target.push(_Remote(origin, digest, descriptor["size"]))


@dataclass(frozen=True, slots=True)
class _Remote:
    """A blob of another repository, streamed through."""

    origin: Repository
    digest: str
    size: int

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on."""
        return self.origin.stream(self.digest, offset)
