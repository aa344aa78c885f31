"""Which build of a program lies in the cache."""

from dataclasses import replace
from pathlib import Path

from tests.cluster.build import Program


def leave_out(sources: Path) -> None:
    (sources / "extra.go").unlink()


def leave_more_out(sources: Path) -> None:
    (sources / "more.go").unlink()


CHANGED = Program("keda", "1.0.0", "./cmd", module="example.com/keda", change=leave_out)


def test_what_is_done_to_the_sources_makes_another_build() -> None:
    others = [
        replace(CHANGED, change=None),
        replace(CHANGED, change=leave_more_out),
        replace(CHANGED, recipe=("prometheus",)),
    ]
    assert len({CHANGED.key, *(program.key for program in others)}) == 4
    assert replace(CHANGED).key == CHANGED.key


def test_a_program_as_it_comes_keeps_its_place_in_the_cache() -> None:
    plain = Program("plain", "1.0.0", "example.com/plain")
    assert plain.key == "plain-1.0.0-c2cec55c"
