"""slipway-bundle: code, layout and files in one archive that Python runs."""

import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from slipway.bundle.archive import FILES, LAYOUT

from tests.install.helm import ROOT

SHEBANG = b"#!/usr/bin/env python3\n"
START = """\
import sys


if sys.version_info < (3, 11):
    sys.exit(f"slipway-bundle needs Python 3.11 or newer, found {sys.version.split()[0]}")

from slipway.bundle.main import run

run()
"""
CODE = (
    "__init__.py",
    "errors.py",
    "bundle/*.py",
    "api/__init__.py",
    "api/reasons.py",
    "jobs/__init__.py",
    "jobs/file_tree.py",
    "jobs/http.py",
    "jobs/registry/*.py",
)
LIBRARIES = ("certifi", "click", "urllib3")
"""In pure Python: they are imported from the archive."""


def write(target: Path, layout: Path, files: list[Path]) -> None:
    """Write the bundle; the same inputs give the same bytes."""
    with target.open("wb") as stream:
        stream.write(SHEBANG)
        with ZipFile(stream, "w") as archive:
            _add(archive, "__main__.py", START.encode())
            for name, path in sorted(_code()):
                _add(archive, name, path.read_bytes())
            for path in sorted(path for path in layout.rglob("*") if path.is_file()):
                _add_file(archive, f"{LAYOUT}/{path.relative_to(layout)}", path)
            for path in files:
                _add_file(archive, f"{FILES}/{path.name}", path)
    target.chmod(0o755)


def _code() -> Iterator[tuple[str, Path]]:
    package = ROOT / "operator/slipway"
    for pattern in CODE:
        for path in package.glob(pattern):
            yield f"slipway/{path.relative_to(package)}", path

    for library in LIBRARIES:
        for file in metadata.files(library) or ():
            is_code = re.fullmatch(
                r".*\.(py|pem|typed)|.*dist-info/(METADATA|licenses/.*)", str(file)
            )
            if is_code and not str(file).startswith(".."):
                yield str(file), Path(str(file.locate()))


def _add(archive: ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_entry(name, 0o644), data, ZIP_DEFLATED)


def _add_file(archive: ZipFile, name: str, path: Path) -> None:
    """Add what is compressed already, as it is; blobs can then be read from any offset."""
    entry = _entry(name, path.stat().st_mode & 0o777)
    entry.file_size = path.stat().st_size
    entry.compress_type = ZIP_STORED
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, 2**20)


def _entry(name: str, mode: int) -> ZipInfo:
    entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = mode << 16
    entry.create_system = 3  # Unix, wherever this runs
    return entry
