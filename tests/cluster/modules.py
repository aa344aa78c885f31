"""Go modules as their proxy hands them out: sources, and the manifests that lie among them."""

import json
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import go, settings
from tests.cluster.errors import ClusterError

GO_LINE = re.compile(r"^go (\d+)\.(\d+)\S*$", re.MULTILINE)


def find_module(module: str, version: str) -> Path:
    """Return the directory of a module's sources, downloaded where they are missing.

    Raises:
        ClusterError: there is none, or it needs another Go.

    """
    return Path(_download(module, version, "Dir"))


def unpack_module(module: str, version: str, target: Path) -> None:
    """Write a module's sources below a directory, where they may be changed and built.

    They ask for no later patch of Go than this machine has.
    """
    with _archive(module, version) as archive:
        for inside, name in _names(archive, module, version):
            path = target / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))
    file = target / "go.mod"
    file.write_text(ask_for_any_patch(file.read_text()))


def read_module(module: str, version: str, folder: str) -> Iterator[tuple[str, str]]:
    """Yield paths and texts of a module's files in one folder, sorted by path."""
    with _archive(module, version) as archive:
        for inside, name in sorted(_names(archive, module, version)):
            if inside.rpartition("/")[0] == folder:
                yield inside, archive.read(name).decode()


def ask_for_any_patch(text: str) -> str:
    """Return a go.mod that asks for our oldest Go, where it asked for a patch of it.

    A module names the patch that it was released with, and builds with those before it.
    """
    oldest = settings.OLDEST_GO
    lower = f"go {oldest[0]}.{oldest[1]}"
    return GO_LINE.sub(
        lambda line: lower if (int(line[1]), int(line[2])) == oldest else line[0], text
    )


def _archive(module: str, version: str) -> zipfile.ZipFile:
    """Open it: it is there, and its sum was checked, also where the Go here is too old for it."""
    return zipfile.ZipFile(_download(module, version, "Zip"))


def _names(archive: zipfile.ZipFile, module: str, version: str) -> Iterator[tuple[str, str]]:
    """Yield paths inside the module, and what the archive calls them."""
    prefix = f"{module}@v{version}/"
    for name in archive.namelist():
        if name.startswith(prefix) and not name.endswith("/"):
            yield name.removeprefix(prefix), name


def _download(module: str, version: str, what: str) -> str:
    """Return one of the places that Go names, which it does in part where it refuses the rest."""
    go.require_go()
    words = ("go", "mod", "download", "-json", f"{module}@v{version}")
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(words, cwd=nowhere, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    if what not in found:
        raise ClusterError(f"no module {module} {version}: {found.get('Error') or done.stderr}")
    return str(found[what])
