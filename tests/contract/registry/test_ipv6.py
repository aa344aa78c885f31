"""A store and a registry that have no address but one of IPv6."""

from pathlib import Path

import pytest
from slipway.api.result import EXIT_OK

from tests.contract.registry import servers
from tests.contract.registry.bench import Bench, Shelf, a_model, push_base

LOOPBACK = "::1"


@pytest.mark.skipif(servers.BINARY is None, reason=servers.MISSING)
def test_a_model_goes_from_one_to_the_other(tmp_path: Path) -> None:
    shelf = Shelf(files={"/digits.onnx": a_model()})

    with (
        servers.running_registry(tmp_path, host=LOOPBACK) as registry,
        servers.serving(shelf, address=LOOPBACK) as shelf.server,
    ):
        push_base(registry, "base/triton")
        bench = Bench(registry, shelf, tmp_path)

        result = bench.package("/digits.onnx")

        assert (bench.exit_code, result.error) == (EXIT_OK, None)
        assert result.image is not None
        assert result.image.startswith("[::1]:")
        assert bench.pull(result.image).file("models/digits/1/model.onnx") == a_model()
