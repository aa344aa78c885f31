"""A model above 2 GiB, the limit of protobuf, is converted with the weights beside it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from slipway.api.precision import Precision
from slipway.api.request import (
    ConfigRequest,
    OptimizeRequest,
    PackageMode,
    PackageRequest,
    SourceRequest,
)
from slipway.api.result import PackageResult
from slipway.jobs.optimize.optimize_tree import MEMORY_BYTES, MEMORY_FACTOR

pytestmark = pytest.mark.large

SIZE, LAYERS = 8192, 9
LAYER_BYTES = SIZE * SIZE * 4
PROTOBUF_BYTES = 2**31
FIRST_ROWS = 64
"""Rows of each layer that are not zero: the rest of the file takes no disk."""
JOB = """
import resource, sys
from pathlib import Path
from slipway.jobs.package.main import PackageMounts, run_package_job

folder = Path(sys.argv[1])
mounts = PackageMounts(source=folder / "source", scratch=folder / "scratch")
code = run_package_job((folder / "request").read_text(), mounts, folder / "log")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def write_network(folder: Path) -> None:
    """Write a chain of matrix products, whose weights lie in one sparse file beside it."""
    draw = np.random.default_rng(1)
    names = [f"x{number}" for number in range(LAYERS + 1)]
    tensors, nodes = [], []
    with (folder / "weights.bin").open("wb") as file:
        for number in range(LAYERS):
            block = draw.standard_normal((FIRST_ROWS, SIZE)) / np.sqrt(FIRST_ROWS)
            file.seek(number * LAYER_BYTES)
            file.write(block.astype(np.float32).tobytes())

            tensor = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[SIZE, SIZE])
            tensor.data_location = TensorProto.EXTERNAL
            place = {"location": "weights.bin", "offset": number * LAYER_BYTES}
            for key, value in {**place, "length": LAYER_BYTES}.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            inputs, outputs = [names[number], tensor.name], [names[number + 1]]
            nodes.append(helper.make_node("MatMul", inputs, outputs, name=f"layer{number}"))
        file.truncate(LAYERS * LAYER_BYTES)

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", SIZE])
        for name in (names[0], names[-1])
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def answer(path: Path) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = np.random.default_rng(2).standard_normal((1, SIZE)).astype(np.float32)
    return np.asarray(session.run(None, {"x0": given})[0])


@pytest.mark.parametrize(
    ("precision", "share"), [(Precision.FP16, 0.51), (Precision.INT8_DYNAMIC, 0.26)]
)
def test_a_model_above_two_gibibytes_is_converted_within_the_memory_that_is_asked_for(
    tmp_path: Path, precision: Precision, share: float
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "models").mkdir()
    write_network(tmp_path / "source")
    request = PackageRequest(
        mode=PackageMode.FETCH,
        deliver_to=str(tmp_path / "models"),
        source=SourceRequest(uri="pvc://claim/"),
        config=ConfigRequest(model_name="m"),
        optimize=OptimizeRequest(precision=precision),
    )
    (tmp_path / "request").write_text(json.dumps(request.wire()))

    command = [sys.executable, "-c", JOB, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    result = PackageResult.model_validate_json((tmp_path / "log").read_text())
    assert (done.returncode, result.error) == (0, None), done.stderr
    assert result.optimized is not None
    assert result.optimized.bytes_before > PROTOBUF_BYTES
    assert result.optimized.bytes < share * result.optimized.bytes_before
    memory = 1024 * int(done.stdout.splitlines()[-1])
    assert memory < MEMORY_BYTES + MEMORY_FACTOR * result.optimized.bytes_before

    served = answer(tmp_path / "models/m/1/model.onnx")
    expected = answer(tmp_path / "source/model.onnx")
    assert np.abs(served - expected).max() < 0.1 * np.abs(expected).max()
