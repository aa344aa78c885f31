"""Distribution v3, the successor of the registry that Debian has: images, and models of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway.api.request import PackageMode

from tests.cluster import build
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.contract.registry import servers, test_artifact
from tests.contract.registry.bench import Bench, Shelf, a_model, a_tar, push_base
from tests.contract.registry.test_artifact import LAYOUTS, push

pytestmark = pytest.mark.stores

DISTRIBUTION = build.Program(
    "registry", "3.1.2", "github.com/distribution/distribution/v3/cmd/registry"
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        build.build_programs([DISTRIBUTION], Progress())
    except ClusterError as problem:
        pytest.skip(str(problem))
    folder = tmp_path_factory.mktemp("distribution")
    with servers.running_registry(folder, program=str(DISTRIBUTION.path)) as host:
        yield host


@pytest.fixture
def bench(registry: str, shelf: Shelf, tmp_path: Path) -> Bench:
    push_base(registry, "base/triton")
    return Bench(registry, shelf, tmp_path)


def test_an_image_is_pushed_pulled_and_found_again(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()

    first = bench.package("/digits.onnx")
    again = bench.package("/digits.onnx")

    assert first.error is None
    assert bench.pull(first.image or "").file("models/digits/1/model.onnx") == a_model()
    assert (again.image, again.reused) == (first.image, True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_of_each_layout_has_the_digest_that_it_has_everywhere(
    bench: Bench, layout: str
) -> None:
    config, manifest_type, layers = LAYOUTS[layout]
    bench.shelf.files["/digits.tar.gz"] = a_tar(test_artifact.MODEL)
    push(bench.registry, layers, config=config, manifest_type=manifest_type)
    expected = bench.package("/digits.tar.gz", mode=PackageMode.FETCH)

    result = test_artifact.fetch(bench)

    assert result.error is None
    assert result.model_digest == expected.model_digest
