"""A package Job against a real registry: what it makes, and what it makes only once."""

import gzip
import hashlib

from slipway.api.request import ConfigRequest
from slipway.api.result import EXIT_OK

from tests.contract.registry.bench import Bench, a_model


def test_a_model_file_becomes_an_image_of_the_base_and_two_layers(bench: Bench) -> None:
    model = a_model()
    bench.shelf.files["/digits.onnx"] = model

    result = bench.package(
        "/digits.onnx", config=ConfigRequest(model_name="digits", max_batch_size=8)
    )

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert result.image is not None
    image = bench.pull(result.image)
    assert len(image.layers) == 3
    assert image.names(1) == [
        "models",
        "models/digits",
        "models/digits/1",
        "models/digits/1/model.onnx",
    ]
    assert image.file("models/digits/1/model.onnx") == model
    assert b'backend: "onnxruntime"' in image.file("models/digits/config.pbtxt")
    assert image.config["rootfs"]["diff_ids"][1:] == [
        f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in image.layers[1:]
    ]
    assert image.config["config"]["Entrypoint"] == ["/usr/bin/env"]
    assert len(image.config["history"]) == 3
    assert gzip.decompress(image.layers[0])
