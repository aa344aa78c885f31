"""Building without Docker: Debian's buildah, with images and layers in a store of the cache."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.images import machine
from tests.images.base import DebianBase
from tests.images.catalogue import Image
from tests.images.engine import run

_RUN_ROOT = Path("/run/slipway-images")
"""What buildah knows of mounts, which is void after a boot."""
_LOCAL = "localhost"


@dataclass(frozen=True, slots=True)
class Buildah:
    """Runs build steps in a chroot: it needs root, and neither a daemon nor user namespaces."""

    root: Path
    store: Path
    log: Path
    given_base: str = ""
    """An image to pull and stand on; empty for a Debian made here."""

    @property
    def base(self) -> str:
        """The given image, or what decides how the Debian comes out."""
        return self.given_base or DebianBase().recipe

    def build(self, image: Image, tag: str) -> None:
        """Build with cached layers; times are set to zero, so the same inputs give one digest."""
        if self._has(image.repository, tag):
            return

        base = self.given_base or self._debian()
        with tempfile.TemporaryDirectory() as scratch:
            volumes = machine.needs_of_build_steps(Path(scratch))
            self._buildah(
                "bud",
                "--isolation=chroot",
                "--layers",
                "--timestamp=0",
                f"--pull={'true' if self.given_base else 'never'}",
                f"--build-arg=BASE={base}",
                *(f"--volume={source}:{target}:ro" for source, target in volumes.items()),
                f"--file={self.root / image.dockerfile}",
                f"--tag={_LOCAL}/{image.repository}:{tag}",
                str(self.root),
            )

    def push(self, image: Image, tag: str, registry: str) -> None:
        """Push over plain HTTP; layers that the registry has already are not sent again."""
        self.build(image, tag)
        name = f"{image.repository}:{tag}"
        source, target = f"{_LOCAL}/{name}", f"docker://{registry}/{name}"
        self._buildah("push", "--quiet", "--tls-verify=false", source, target)

    def export(self, image: Image, tag: str, directory: Path, platforms: Sequence[str]) -> None:
        """Write the layout; a chroot runs this machine's programs only, so it has one platform."""
        if platforms:
            raise ClusterError(
                f"building for {', '.join(platforms)} needs Docker with buildx; without it, images"
                " are built for this machine's platform: leave PLATFORMS empty"
            )
        self.build(image, tag)
        source = f"{_LOCAL}/{image.repository}:{tag}"
        self._buildah("push", "--quiet", source, f"oci:{directory}")

    def _debian(self) -> str:
        """Return the name of the base, made on its first use."""
        debian = DebianBase()
        name = f"{_LOCAL}/slipway/base:{debian.tag}"
        if self._has("slipway/base", debian.tag):
            return name

        with tempfile.TemporaryDirectory(dir=self.store.parent) as directory:
            tree = Path(directory)
            debian.make(tree, self.log)
            container = self._buildah("from", "scratch").strip()
            self._buildah("add", "--quiet", container, str(tree), "/")
            self._buildah("config", f"--env=PATH={machine.SYSTEM_PATH}", container)
            self._buildah("commit", "--quiet", "--rm", "--timestamp=0", container, name)
        return name

    def _has(self, repository: str, tag: str) -> bool:
        reference = f"--filter=reference={_LOCAL}/{repository}:{tag}"
        return bool(self._buildah("images", "--quiet", reference).strip())

    def _buildah(self, *arguments: str) -> str:
        store = (f"--root={self.store}", f"--runroot={_RUN_ROOT}")
        return run(("buildah", *store, *arguments), self.log)
