"""Modules of Go: what is read from their archive, and what a copy of their sources asks for."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import modules, settings
from tests.cluster.errors import ClusterError

OLDEST = ".".join(str(part) for part in settings.OLDEST_GO)
MODULE, VERSION = "example.org/program", "1.2.3"
FILES = {
    "go.mod": f"module {MODULE}\n\ngo {OLDEST}.99\n\nrequire example.org/go v1.0.0\n",
    "cmd/main.go": "package main\n",
    "crds/b.yaml": "kind: B\n",
    "crds/a.yaml": "kind: A\n",
    "crds/old/c.yaml": "kind: C\n",
}


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Let `go mod download` say this, and fail as it does for a module that needs a later Go."""

    def answer(found: dict[str, str]) -> None:
        program = tmp_path / "bin" / "go"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f"#!/bin/sh\ntest $1 = env && exec echo go{OLDEST}.1\n"
            f"cat <<'END'\n{json.dumps(found)}\nEND\nexit 1\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return answer


@pytest.fixture
def archive(tmp_path: Path) -> str:
    path = tmp_path / "module.zip"
    with zipfile.ZipFile(path, "w") as file:
        for inside, text in FILES.items():
            file.writestr(f"{MODULE}@v{VERSION}/{inside}", text)
    return str(path)


def test_a_copy_of_a_module_that_asks_for_a_later_patch_of_go_asks_for_none(
    go: Callable[[dict[str, str]], None], archive: str, tmp_path: Path
) -> None:
    go({"Error": f"requires go >= {OLDEST}.99", "Zip": archive})

    modules.unpack_module(MODULE, VERSION, tmp_path / "copy")

    asked = (tmp_path / "copy/go.mod").read_text()
    assert asked == FILES["go.mod"].replace(f"go {OLDEST}.99", f"go {OLDEST}")
    assert (tmp_path / "copy/cmd/main.go").read_text() == FILES["cmd/main.go"]


@pytest.mark.parametrize("line", ["go 1.99.1", "go 1.21", "toolchain go1.26.10"])
def test_another_minor_of_go_is_still_asked_for(line: str) -> None:
    assert modules.ask_for_any_patch(f"module a\n\n{line}\n") == f"module a\n\n{line}\n"


def test_the_files_of_one_folder_are_read_in_order(
    go: Callable[[dict[str, str]], None], archive: str
) -> None:
    go({"Zip": archive})

    read = list(modules.read_module(MODULE, VERSION, "crds"))

    assert read == [("crds/a.yaml", "kind: A\n"), ("crds/b.yaml", "kind: B\n")]


def test_a_module_that_is_not_to_be_had_is_named_with_the_cause(
    go: Callable[[dict[str, str]], None],
) -> None:
    go({"Error": "not found"})

    with pytest.raises(ClusterError, match=rf"{MODULE} {VERSION}: not found"):
        modules.find_module(MODULE, VERSION)


def test_without_go_it_says_where_go_is_to_be_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ClusterError, match="no 'go' on the PATH; install it from"):
        modules.find_module(MODULE, VERSION)
