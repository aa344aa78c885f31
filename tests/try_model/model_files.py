"""The file that is tried: whether it looks like a model, and one stream of bytes to send."""

import hashlib
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from slipway.jobs.placeholder import describe_placeholder
from slipway.jobs.sources.archive import TAR_SUFFIXES, ZIP_SUFFIXES
from slipway.jobs.sources.telling_name import is_telling_name
from slipway.render.model_formats import FIL_SUFFIXES, FIL_TYPES, MODEL_SUFFIXES

CONFIG = "config.pbtxt"
SAVED_MODEL = "saved_model.pb"
BLOCK_BYTES = 2**20
MOST_NAMED = 5
SUFFIXES = sorted({*MODEL_SUFFIXES, *FIL_SUFFIXES})
EXPECTED = (
    f"expected a model file ({', '.join(SUFFIXES)}), "
    f"an archive ({', '.join((*TAR_SUFFIXES, *ZIP_SUFFIXES))}), or a directory with a model in it"
)


class NotAModel(Exception):
    """What is there cannot be a model; says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Bytes to send, under the name that says what they are."""

    name: str
    """Part of the model's digest, so a file keeps its own."""
    size: int
    """Bytes."""
    content: IO[bytes] = field(repr=False)

    def digest(self) -> str:
        """Return the sha256 of the bytes, as hex digits."""
        hasher = hashlib.sha256()
        for block in self.blocks():
            hasher.update(block)
        return hasher.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes from the beginning, at most 1 MiB at a time."""
        self.content.seek(0)
        while block := self.content.read(BLOCK_BYTES):
            yield block


@contextmanager
def open_model(path: Path) -> Iterator[ModelFile]:
    """Open a model file or an archive; a directory is packed into an archive first.

    Raises:
        NotAModel: there is nothing of that name, or it is no model.

    """
    problem = find_problem(path)
    if problem:
        raise NotAModel(f"{path}: {problem}")

    if path.is_dir():
        with tempfile.TemporaryFile() as packed:
            pack(path, packed)
            yield ModelFile(f"{path.resolve().name}.tar", packed.tell(), packed)
    else:
        with path.open("rb") as file:
            yield ModelFile(path.name, path.stat().st_size, file)


def pack(directory: Path, into: IO[bytes]) -> None:
    """Write a tar of the directory's files; what a link leads to is packed in its place."""
    with tarfile.open(fileobj=into, mode="w", dereference=True) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                archive.add(path, path.relative_to(directory))


def find_problem(path: Path) -> str:
    """Say why a path is no model; empty: it looks like one. Whether it loads is Triton's word."""
    if path.is_dir():
        return "" if any(map(is_model_part, path.rglob("*"))) else _describe_directory(path)
    if not path.exists():
        return f"no such file; {_describe_neighbours(path)}"
    if not path.is_file():
        return f"found neither a file nor a directory, {EXPECTED}"

    if path.stat().st_size == 0:
        return "found an empty file, expected a model"
    if not is_model_part(path) or path.name == CONFIG:
        return f"found {path.suffix or 'no suffix'}, {EXPECTED}"
    return describe_placeholder(path, path.name) or ""


def is_model_part(path: Path) -> bool:
    """Return whether a name says that a model lies here."""
    name = path.name
    is_tree = name in FIL_TYPES or name.lower().endswith(FIL_SUFFIXES)
    return is_telling_name(name) or is_tree or name in {CONFIG, SAVED_MODEL}


def _describe_directory(path: Path) -> str:
    names = sorted(found.name for found in path.iterdir())
    found = _list(names) if names else "nothing"
    return f"found {found}, expected a model file ({', '.join(SUFFIXES)}) or {CONFIG} in it"


def _describe_neighbours(path: Path) -> str:
    """Say what lies there instead, since most wrong paths are nearly right."""
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    models = sorted(found.name for found in path.parent.iterdir() if is_model_part(found))
    return f"beside it: {_list(models)}" if models else EXPECTED


def _list(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
