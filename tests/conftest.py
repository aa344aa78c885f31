"""Workers that share a cluster: see tests/lanes.py."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import lanes

# before any type is made: tests hold schemas and pages to their descriptions
os.environ["SLIPWAY_FIELD_DOCS"] = "yes"

# A machine that is busy with something else is no finding: what is measured stands in tests/bench.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

DIRECTORY = pytest.StashKey[Path]()
TURNS = pytest.StashKey[lanes.Turns]()


class Units(LoadScopeScheduling):  # type: ignore[misc]
    """Gives units to workers, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return lanes.unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Units | None:
    """Schedule units where the command line says `--dist loadscope`."""
    if config.option.dist != "loadscope":
        return None
    config.option.loadscopereorder = False
    return Units(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Take this worker's place among the others, or make room for all of them."""
    given = getattr(config, "workerinput", {}).get("lanes")
    if given is not None:
        config.stash[DIRECTORY] = Path(given)
        config.stash[TURNS] = lanes.Turns(Path(given))
    elif config.getoption("dist", "no") == "loadscope":
        config.stash[DIRECTORY] = lanes.make_directory()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker where the others are."""
    directory = node.config.stash.get(DIRECTORY, None)  # type: ignore[attr-defined]
    if directory is not None:
        node.workerinput["lanes"] = str(directory)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    turns, directory = config.stash.get(TURNS, None), config.stash.get(DIRECTORY, None)
    if turns is not None:
        turns.close()
    elif directory is not None:
        shutil.rmtree(directory, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of a worker into the order of the queue."""
    if TURNS in config.stash:
        items[:] = [items[number] for number in lanes.in_order(items)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Run a test when it is its turn on the cluster.

    What it shares is held until the next test needs something else: a load goes on in between.
    """
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    turns.take(lanes.use_of(item))
    try:
        return (yield)
    finally:
        if nextitem is None or lanes.use_of(nextitem) is not lanes.use_of(item):
            turns.take(lanes.Use.NOTHING)


@pytest.fixture(scope="session")
def shared_directory(pytestconfig: pytest.Config) -> Path | None:
    """A directory that all workers of a run know; None: there is one only."""
    return pytestconfig.stash.get(DIRECTORY, None)
