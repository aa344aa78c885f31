"""Which images there are, and what decides whether one must be built again."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IGNORED = ("__pycache__", "*.pyc", "*.egg-info")
"""As .dockerignore has it: these never reach an image."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image and the Dockerfile that makes it; the context is the root of the repository."""

    name: str
    dockerfile: str

    @property
    def repository(self) -> str:
        """Its place in a registry."""
        return f"slipway/{self.name}"


IMAGES = (
    Image("operator", "operator/Dockerfile"),
    Image("envoy", "operator/envoy.Dockerfile"),
    Image("optimizer", "operator/optimizer.Dockerfile"),
    Image("triton", "tests/images/triton/Dockerfile"),
    Image("prometheus", "tests/images/prometheus/Dockerfile"),
)

RELEASED = tuple(image for image in IMAGES if image.dockerfile.startswith("operator/"))
"""The others serve tests."""


def tag_of(image: Image, root: Path, base: str) -> str:
    """Return a digest of all that goes in: the base, the Dockerfile and every file it copies.

    Raises:
        FileNotFoundError: the Dockerfile copies what is not there.

    """
    digest = hashlib.sha256(base.encode())
    dockerfile = root / image.dockerfile
    for path in (dockerfile, *_copied_files(root, dockerfile.read_text())):
        digest.update(f"\n{path.relative_to(root)} {path.stat().st_mode:o} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def copied(dockerfile: str) -> list[str]:
    """Return what the Dockerfile takes from the context, in its order."""
    lines = dockerfile.replace("\\\n", " ").splitlines()
    copies = [line.split()[1:] for line in lines if line.startswith(("COPY ", "ADD "))]
    plain = [words for words in copies if not any(word.startswith("--from") for word in words)]
    return [word for words in plain for word in words[:-1] if not word.startswith("--")]


def _copied_files(root: Path, dockerfile: str) -> Iterator[Path]:
    for source in copied(dockerfile):
        path = root / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in files if not _is_ignored(file) and not file.is_dir())


def _is_ignored(path: Path) -> bool:
    parts = (path, *path.parents)
    return any(part.match(pattern) for part in parts for pattern in IGNORED)
