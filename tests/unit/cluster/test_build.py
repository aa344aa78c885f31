"""Which build of a program lies in the cache, and what is said while it is built."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import settings
from tests.cluster.build import Program, build_programs
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress


def leave_out(sources: Path) -> None:
    (sources / "extra.go").unlink()


def leave_more_out(sources: Path) -> None:
    (sources / "more.go").unlink()


CHANGED = Program("keda", "1.0.0", "./cmd", module="example.com/keda", change=leave_out)


def test_what_is_done_to_the_sources_and_by_which_go_makes_another_build() -> None:
    others = [
        replace(CHANGED, change=None),
        replace(CHANGED, change=leave_more_out),
        replace(CHANGED, recipe=("prometheus",)),
        replace(CHANGED, toolchain="go1.27.3"),
    ]
    assert len({CHANGED.key, *(program.key for program in others)}) == 5
    assert replace(CHANGED).key == CHANGED.key


def test_a_program_as_it_comes_keeps_its_place_in_the_cache() -> None:
    plain = Program("plain", "1.0.0", "example.com/plain")
    assert plain.key == "plain-1.0.0-c2cec55c"


FAKE_GO = """#!/bin/sh
if [ "$1" = list ]; then printf 'example.com/a\nexample.com/b\nexample.com/c\n'; exit; fi
echo 'go: downloading example.com/a v1.0.0'
echo example.com/a
echo example.com/b
%s
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


class Heard(Progress):
    """Keeps all that a step was said to have reached."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def reach(self, name: str, how_far: str) -> None:
        super().reach(name, how_far)
        self.lines.append(self._running().partition(" s")[2])


def build_with(go: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Build a program with a Go of ours."""
    (tmp_path / "go").write_text(go)
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("tests.cluster.go.require_go", lambda: None)
    monkeypatch.setattr(settings, "cache_directory", lambda: tmp_path / "cache")
    heard = Heard()
    build_programs([Program("pause", "1", "./pause", sources=("pause/main.go",))], heard)
    return heard


def test_a_long_build_says_how_many_packages_it_has_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = build_with(FAKE_GO % "", tmp_path, monkeypatch)
    assert heard.lines[-1] == " (2 of 3 packages)"
    assert "(3 of 3" not in "".join(heard.lines)


def test_a_build_that_fails_shows_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClusterError, match=r"example.com/b\nb.go:1: no such thing"):
        build_with(FAKE_GO % "echo 'b.go:1: no such thing'; exit 1", tmp_path, monkeypatch)
    assert not list((tmp_path / "cache" / "bin").iterdir())
