"""What the page brings along is what its makers published, and all that it loads."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.install.helm import ROOT

STATIC = ROOT / "operator/slipway/dashboard/static"
VENDOR = STATIC / "vendor"
LISTED = dict(
    re.findall(r"\| `([\w.]+)` \| `([0-9a-f]{64})` \|", (VENDOR / "README.md").read_text())
)
WRITTEN = sorted(path for path in STATIC.iterdir() if path.suffix in {".html", ".js", ".css"})


def test_every_file_is_the_published_one() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.name != "README.md"
    }
    assert found == LISTED


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    written = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[a-z]+\.", written)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_what_is_loaded_is_there(path: Path) -> None:
    for loaded in re.findall(r"""["']/static/([\w./-]+)["']""", path.read_text()):
        assert (STATIC / loaded).is_file(), f"{path.name} loads {loaded}"
