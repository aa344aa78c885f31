from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.registry import servers
from tests.contract.registry.bench import Bench, Shelf, push_base


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if servers.BINARY is None:
        pytest.skip(servers.MISSING)
    with servers.running_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    with servers.serving(shelf) as server:
        shelf.server = server
        yield shelf


@pytest.fixture
def bench(registry: str, shelf: Shelf, tmp_path: Path) -> Bench:
    push_base(registry, "base/triton")
    return Bench(registry, shelf, tmp_path)
