"""One run: every image whose inputs are new is built, and pushed where the registry lacks it."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import clone, packages, settings
from tests.cluster.choose import observe_machine
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress, say
from tests.images.base import BASE_VARIABLE
from tests.images.buildah import Buildah
from tests.images.catalogue import IMAGES, Image, tag_of
from tests.images.docker import Docker
from tests.images.engine import Engine
from tests.images.registry import digest_of_tag

REFERENCES = "images.json"
"""In `.cluster/`: name of the image → what a pod spec says."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The engine, and the place where one run at a time may use it."""

    engine: Engine
    cache: Path
    progress: Progress

    def tag(self, image: Image) -> str:
        """Return the tag of the image as the files are now."""
        return tag_of(image, settings.CLONE, self.engine.base)

    def build(self, image: Image, tag: str) -> None:
        """Build the image if there is none under `tag`."""
        with self._step(f"building {image.name} {tag}"):
            self.engine.build(image, tag)

    def publish(self, image: Image, registry: str) -> str:
        """Return the image's reference by digest, after a build and a push if they are due."""
        tag = self.tag(image)
        digest = digest_of_tag(registry, image, tag)
        if digest is None:
            self.build(image, tag)
            with self._step(f"pushing {image.name} to {registry}"):
                self.engine.push(image, tag, registry)
            digest = digest_of_tag(registry, image, tag)
        if digest is None:
            raise ClusterError(f"{registry} took {image.repository}:{tag} and does not know it")
        return f"{registry}/{image.repository}@{digest}"

    def export(self, image: Image, directory: Path, platforms: Sequence[str]) -> None:
        """Write the image as an OCI layout into an empty directory."""
        with self._step(f"writing {image.name} as an OCI layout"):
            self.engine.export(image, self.tag(image), directory, platforms)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        with (
            (self.cache / "lock").open("w") as lock,
            self.progress.step(name),
            self.progress.ticking(),
        ):
            self.progress.reach(name, " (or waiting for another build on this machine)")
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.progress.reach(name, "")
            yield


def workshop() -> Workshop:
    """Return the engine of this machine, with what it needs installed.

    Raises:
        ClusterError: there is none; says what is missing.

    """
    cache = settings.cache_directory() / "images"
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / "build.log"
    log.unlink(missing_ok=True)
    progress = Progress()
    base = os.environ.get(BASE_VARIABLE, "")
    if observe_machine().has_docker:
        return Workshop(Docker(settings.CLONE, log, base), cache, progress)
    packages.install_missing(packages.IMAGES, progress)
    return Workshop(Buildah(settings.CLONE, cache / "store", log, base), cache, progress)


def publish_all(shop: Workshop) -> Path:
    """Push every image and write their references; returns the file.

    Raises:
        ClusterError: there is no registry, or it or a build failed.

    """
    described = clone.description(settings.CLONE) or {}
    registry = described.get("registry", settings.REGISTRY)
    if not registry:
        raise ClusterError("this cluster has no registry: name one in SLIPWAY_REGISTRY")
    references = {image.name: shop.publish(image, registry) for image in IMAGES}
    for reference in references.values():
        say(reference)
    written = settings.CLONE / clone.DIRECTORY / REFERENCES
    written.parent.mkdir(exist_ok=True)
    written.write_text(json.dumps(references, indent=2) + "\n")
    return written
