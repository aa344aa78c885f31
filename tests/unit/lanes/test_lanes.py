"""Units of work on a cluster: who has it when, and in which order."""

from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests import lanes
from tests.lanes import ALONE, UNITS, Turns, Use, in_order, once, unit_of, use_of

ROOT = Path(lanes.__file__).parents[1]
SECONDS = 30.0


@dataclass(frozen=True)
class Sketch:
    """A test with its markers."""

    nodeid: str
    markers: frozenset[str] = frozenset()

    def get_closest_marker(self, name: str) -> object:
        return name if name in self.markers else None


def marked(module: str, *markers: str) -> Sketch:
    return Sketch(f"{module}::test_one", frozenset(markers))


def test_every_module_that_is_named_is_there_and_named_once() -> None:
    named = [module for unit in UNITS for module in unit]
    assert [module for module in named if not (ROOT / module).exists()] == []
    assert len(named) == len(set(named))


def test_what_needs_the_cluster_alone_ends_a_unit() -> None:
    assert [unit[-len(ALONE) :] for unit in UNITS if set(unit) & set(ALONE)] == [ALONE]


@pytest.mark.parametrize(
    ("test", "use"),
    [
        (marked("tests/e2e/test_5_kills.py", "e2e"), Use.ALONE),
        (marked("tests/contract/install/test_namespaced.py", "cluster"), Use.ALONE),
        (marked("tests/e2e/test_4_switch.py", "e2e"), Use.SHARED),
        (marked("tests/contract/kube/test_lease.py", "cluster"), Use.SHARED),
        (marked("tests/contract/envoy/test_tls.py"), Use.NOTHING),
    ],
)
def test_a_test_uses(test: Sketch, use: Use) -> None:
    assert use_of(test) is use


def test_long_units_come_first_and_what_needs_no_cluster_last() -> None:
    tests = [
        marked("tests/contract/envoy/test_tls.py"),
        marked("tests/contract/kube/test_lease.py", "cluster"),
        marked("tests/e2e/test_9_power_loss.py", "e2e"),
        marked("tests/e2e/test_4_switch.py", "e2e"),
        marked("tests/e2e/test_1_outcomes.py", "e2e"),
    ]
    assert [tests[number] for number in in_order(tests)] == [
        tests[4],
        tests[2],
        tests[3],
        tests[1],
        tests[0],
    ]
    assert unit_of(tests[2].nodeid) == unit_of(tests[4].nodeid)
    assert unit_of(tests[3].nodeid) == "tests/e2e/test_4_switch.py"


def share(directory: Path, shares: Event, ends: Event) -> None:
    turns = Turns(directory)
    turns.take(Use.SHARED)
    shares.set()
    assert ends.wait(SECONDS)
    (directory / "ended").touch()
    turns.close()


def test_who_needs_the_cluster_alone_waits_for_those_who_share_it(tmp_path: Path) -> None:
    context = get_context("spawn")
    shares, ends = context.Event(), context.Event()
    other = context.Process(target=share, args=(tmp_path, shares, ends))
    other.start()
    assert shares.wait(SECONDS)

    turns = Turns(tmp_path)
    turns.take(Use.SHARED)
    ends.set()
    turns.take(Use.ALONE)

    assert (tmp_path / "ended").exists()
    turns.close()
    other.join(SECONDS)


def test_one_worker_does_what_all_need(tmp_path: Path) -> None:
    done: list[str] = []
    for _ in range(2):
        once(tmp_path, "release", lambda: done.append("release"))
    once(None, "release", lambda: done.append("a worker of its own"))
    assert done == ["release", "a worker of its own"]


def test_what_failed_is_tried_again_by_the_next(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 -- whatever it is
        once(tmp_path, "release", fail)
    done: list[str] = []
    once(tmp_path, "release", lambda: done.append("release"))
    assert done == ["release"]
