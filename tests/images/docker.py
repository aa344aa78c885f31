"""Building with a Docker engine, as a machine with kind has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.images.catalogue import Image
from tests.images.engine import run


@dataclass(frozen=True, slots=True)
class Docker:
    """BuildKit in the engine; its cache answers the second build, the one that pushes."""

    root: Path
    log: Path
    base: str = ""
    """Empty for the default that the Dockerfiles name."""

    def build(self, image: Image, tag: str) -> None:
        """Build and load into the engine."""
        self._build(image, f"--tag={image.repository}:{tag}", "--load")

    def push(self, image: Image, tag: str, registry: str) -> None:
        """Let BuildKit push: `docker push` would insist on TLS for this registry."""
        name = f"{registry}/{image.repository}:{tag}"
        self._build(image, f"--output=type=image,name={name},push=true,registry.insecure=true")

    def export(self, image: Image, tag: str, directory: Path, platforms: Sequence[str]) -> None:
        """Let BuildKit write the layout; several platforms need a builder that has them."""
        del tag  # a layout has digests
        platform = [f"--platform={','.join(platforms)}"] if platforms else []
        output = f"--output=type=oci,dest={directory},tar=false,rewrite-timestamp=true"
        self._build(image, *platform, "--provenance=false", output)

    def _build(self, image: Image, *options: str) -> None:
        file = f"--file={self.root / image.dockerfile}"
        base = [f"--build-arg=BASE={self.base}"] if self.base else []
        run(("docker", "buildx", "build", file, *base, *options, str(self.root)), self.log)
