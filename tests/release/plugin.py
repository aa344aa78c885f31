"""kubectl-slipway as one file for each platform: Python runs it, and nothing is installed.

shiv packs the command line and the few libraries that it needs. pydantic's core is a binary for one
version of Python, so the file has one for each version.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.install.helm import ROOT

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "linux-amd64": ("manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "linux-arm64": ("manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "darwin-amd64": ("macosx_10_12_x86_64", "macosx_10_13_x86_64"),
    "darwin-arm64": ("macosx_11_0_arm64",),
}
"""Name as krew writes it, to the tags of wheels."""
LIBRARIES = (
    "annotated-types",
    "anyio",
    "click",
    "cronsim",
    "h11",
    "idna",
    "pydantic",
    "pydantic-core",
    "pyyaml",
    "starlette",
    "typing-extensions",
    "typing-inspection",
    "tzdata",
    "uvicorn",
)
LOCK = "requirements-dev.lock"
"""Has what the extra `dashboard` brings, and all else as requirements.lock does."""
EPOCH = 315_532_800
"""1980, as early as a zip archive can say."""
PARTS = (
    "__init__.py",
    "api",
    "cli",
    "dashboard",
    "errors.py",
    "policy",
    "py.typed",
    "settings.py",
)
"""Of the package: what the command line imports."""


def pack(platform: str, target: Path, scratch: Path) -> None:
    """Write the program for one platform.

    Raises:
        ClusterError: pip or shiv failed; with their last lines.

    """
    site = scratch / platform
    requirements = scratch / "requirements.txt"
    requirements.write_text("\n".join(locked(LIBRARIES)))
    for version in PYTHONS:
        _install(site, requirements, platform, version)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for part in PARTS:
        _copy(ROOT / "operator/slipway" / part, site / "slipway" / part)

    _run(
        *(sys.executable, "-m", "shiv", "--reproducible", "--compressed"),
        *("--site-packages", str(site), "--python", "/usr/bin/env python3"),
        *("--entry-point", "slipway.cli.main:main", "--output-file", str(target)),
    )


def locked(names: Iterable[str]) -> Iterator[str]:
    """Yield the entries of these libraries in the lock file, with their hashes."""
    wanted = set(names)
    for entry in re.split(r"\n(?=\S)", (ROOT / LOCK).read_text()):
        name = entry.partition("==")[0]
        if name in wanted:
            wanted.remove(name)
            yield "\n".join(
                line for line in entry.splitlines() if not line.lstrip().startswith("#")
            )
    if wanted:
        raise ClusterError(f"{LOCK} lacks {', '.join(sorted(wanted))}")


def _install(site: Path, requirements: Path, platform: str, version: str) -> None:
    """Add the wheels for one version of Python; binaries have its number in their names."""
    tags = [f"--platform={tag}" for tag in PLATFORMS[platform]]
    with_version = site.parent / f"{platform}-{version}"
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"),
        *(*tags, f"--python-version={version}", "--target", str(with_version)),
        *("--requirement", str(requirements)),
    )
    shutil.copytree(with_version, site, dirs_exist_ok=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _run(*command: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).splitlines()[-10:])
        raise ClusterError(f"{last}\n'{' '.join(command[:3])}' failed")
