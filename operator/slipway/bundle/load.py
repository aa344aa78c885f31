"""Pushing a release to a registry: blobs, then manifests, then the tag."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from slipway.bundle.archive import Archive, Artifact, parts
from slipway.jobs.registry.client import RegistryClient
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import push_blob


@dataclass(frozen=True, slots=True)
class Loaded:
    """An artifact in the registry."""

    artifact: Artifact
    name: str
    """Host and repository."""
    sent_bytes: int
    """Of its blobs; 0 where the registry had them all."""

    @property
    def reference(self) -> str:
        """The name with the digest, as pods write it."""
        return f"{self.name}@{self.artifact.digest}"


def load_all(
    archive: Archive,
    registry: RegistryClient,
    prefix: str,
    begin: Callable[[Artifact, int], None],
) -> Iterable[Loaded]:
    """Push every artifact under `prefix` of a registry, and yield each when it is complete.

    Blobs that the registry has are not sent. The tag is written last, so that one that exists is
    whole; what was broken off is continued by the next call. `begin` hears of each artifact and its
    bytes before it is pushed.

    Raises:
        BundleError: the bundle is damaged.
        RegistryRefused: the registry refused to take something.
        RegistryUnavailable: the registry does not answer.

    """
    for artifact in archive.artifacts():
        begin(artifact, sum(archive.blobs(artifact).values()))

        path = "/".join(part for part in (prefix, artifact.repository) if part)
        target = Repository(registry, path, is_writable=True)
        sent = sum(
            _push(archive, target, digest) for digest in archive.platform_manifests(artifact)
        )
        target.put_manifest(artifact.tag, archive.manifest(artifact.digest), artifact.media_type)
        yield Loaded(artifact, f"{registry.host}/{path}", sent)


def _push(archive: Archive, target: Repository, digest: str) -> int:
    """Push one platform's blobs and its manifest; returns the bytes that were sent."""
    data = archive.manifest(digest)
    manifest = json.loads(data)
    sent = 0
    for part in parts(manifest):
        if push_blob(target, archive.blob(part["digest"], part["size"])):
            sent += part["size"]
    target.put_manifest(digest, data, manifest["mediaType"])
    return sent
