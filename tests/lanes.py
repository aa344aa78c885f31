"""Which tests of a cluster run beside each other, and which have it alone.

Most of a test on a cluster is waiting. So `make test` has several workers (pytest-xdist), which
take whole units of work in the order of this page: what takes long first, and last what needs no
cluster, which fills the time in which the others have to wait.

A unit is a module, but for those that stand together here. While any test in `ALONE` runs, no other
worker has anything on the cluster: a lock between the workers says so. With one worker (`-n 0`) the
modules run in the order of their names, as ever.
"""

import fcntl
import tempfile
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Protocol

ALONE = (
    "tests/e2e/test_5_kills.py",
    "tests/e2e/test_5_soak.py",
    "tests/e2e/test_6_crash.py",
    "tests/e2e/test_7_release.py",
    "tests/e2e/test_8_quiet.py",
    "tests/e2e/test_8_users.py",
    "tests/e2e/test_9_power_loss.py",
    "tests/contract/install/test_namespaced.py",
    "tests/contract/install/test_migration.py",
)
"""They kill, stop or replace the operator, stop the API server, write or count all that is written,
or switch the node off."""

UNITS: tuple[tuple[str, ...], ...] = (
    # One model, one load, from the first version to the power loss: what disturbs the cluster has
    # to disturb something that has a past.
    (
        "tests/e2e/test_1_outcomes.py",
        "tests/e2e/test_2_people.py",
        "tests/e2e/test_4_router.py",
        "tests/e2e/test_7_gitops.py",
        *ALONE,
    ),
    # Verdicts on latency, one after the other: seven servers under load are noise for each other.
    ("tests/e2e/test_3_verdicts.py", "tests/e2e/test_8_shadow.py"),
    # The other modules that have a steady load beside them, which costs a tenth of a core.
    ("tests/e2e/test_3_broken.py", "tests/e2e/test_3_formats.py"),
)
"""What one worker does in this order. All units before the rest."""

END_TO_END = "tests/e2e/"


class Use(IntEnum):
    """What a test has of the cluster."""

    NOTHING = fcntl.LOCK_UN
    SHARED = fcntl.LOCK_SH
    ALONE = fcntl.LOCK_EX


class Marked(Protocol):
    """A test, as far as this page asks."""

    @property
    def nodeid(self) -> str: ...

    def get_closest_marker(self, name: str) -> object: ...


def module_of(nodeid: str) -> str:
    """Return the path of a test's module."""
    return nodeid.partition("::")[0]


def unit_of(nodeid: str) -> str:
    """Return the name of a test's unit: that of its first module."""
    module = module_of(nodeid)
    return next((unit[0] for unit in UNITS if module in unit), module)


def use_of(test: Marked) -> Use:
    """Return what a test needs of the cluster."""
    module = module_of(test.nodeid)
    if module in ALONE:
        return Use.ALONE
    on_cluster = module.startswith(END_TO_END) or test.get_closest_marker("cluster") is not None
    return Use.SHARED if on_cluster else Use.NOTHING


def place_of(test: Marked) -> tuple[int, ...]:
    """Return where a test stands in the queue; those of the same place keep their order."""
    module = module_of(test.nodeid)
    for number, unit in enumerate(UNITS):
        if module in unit:
            return (0, number, unit.index(module))
    if module.startswith(END_TO_END):
        return (1,)
    return (2,) if use_of(test) is Use.SHARED else (3,)


class Turns:
    """A worker's turns on the cluster."""

    def __init__(self, directory: Path) -> None:
        self._lock = (directory / "cluster.lock").open("wb")
        self._held = Use.NOTHING

    def take(self, use: Use) -> None:
        """Wait until this use is this worker's; it gives away first what it had."""
        if use is self._held:
            return
        fcntl.flock(self._lock, Use.NOTHING)
        fcntl.flock(self._lock, use)
        self._held = use

    def close(self) -> None:
        """Give away what is held."""
        self._lock.close()


def make_directory() -> Path:
    """Return a new directory that all workers of a run know."""
    return Path(tempfile.mkdtemp(prefix="slipway-lanes-"))


def once(directory: Path | None, what: str, do: Callable[[], None]) -> None:
    """Do something that one worker does for all; the others wait for it."""
    if directory is None:
        do()
        return
    with (directory / f"{what}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / f"{what}.done"
        if not done.exists():
            do()
            done.touch()


def in_order(tests: Sequence[Marked]) -> list[int]:
    """Return the places of the tests in the order in which workers take them."""
    return sorted(range(len(tests)), key=lambda number: place_of(tests[number]))
