"""What plain Triton serves is served from the directory that is made of it."""

import json
import math
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import urllib3
from onnx import TensorProto, helper
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, PackageMode, PackageRequest, SourceRequest
from slipway.api.result import PackageResult
from slipway.jobs.package.main import PackageMounts, run_package_job

from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running
from tests.models.samples import build_samples

IO = """
input [{ name: "x" data_type: TYPE_FP32 dims: [3] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [3] }]
"""


def ensemble_of(model: str) -> str:
    return (
        f'platform: "ensemble" max_batch_size: 4 {IO} ensemble_scheduling {{ step [{{ '
        f'model_name: "{model}" model_version: -1 input_map {{ key: "x" value: "x" }} '
        'output_map { key: "y" value: "y" } }] }'
    )


Package = Callable[..., PackageResult]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def package(tmp_path: Path, source: Path) -> Package:
    """Write the model repository as the init container of Fetch mode does."""

    def package(path: str = "", **config: object) -> PackageResult:
        log = tmp_path / "termination-log"
        request = PackageRequest(
            mode=PackageMode.FETCH,
            deliver_to=str(tmp_path / "models"),
            source=SourceRequest(uri=f"pvc://claim/{path}"),
            config=ConfigRequest.model_validate({"model_name": "digits", **config}),
        )
        (tmp_path / "models").mkdir(exist_ok=True)
        mounts = PackageMounts(source=source, scratch=tmp_path / "scratch")
        run_package_job(json.dumps(request.wire()), mounts, log)
        return PackageResult.model_validate_json(log.read_text())

    return package


def serve(tmp_path: Path, ask: Callable[[Running], None]) -> None:
    with running(a_server("digits"), tmp_path / "models", tmp_path) as server:
        ask(server.wait_ready())


def answers_nothing(_: Running) -> None:
    """Ask for nothing: that the server is ready is all."""


def infer(server: Running, model: str = "digits") -> list[float]:
    answer = server.request(
        "POST",
        f"/v2/models/{model}/infer",
        body=json.dumps(
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
        ).encode(),
    )
    assert answer.status == 200, answer.data
    data: list[float] = answer.json()["outputs"][0]["data"]
    return data


@pytest.mark.parametrize(
    ("core", "ensemble"),
    [pytest.param("core", "digits", id="our own"), pytest.param("digits", "pipeline", id="beside")],
)
def test_an_ensemble_without_a_version_directory(
    tmp_path: Path, source: Path, package: Package, core: str, ensemble: str
) -> None:
    models.add_onnx(source, core)
    (source / ensemble).mkdir()
    (source / ensemble / "config.pbtxt").write_text(ensemble_of(core))

    assert package().error is None

    def ask(server: Running) -> None:
        assert infer(server, ensemble) == [2, 4, 6]

    serve(tmp_path, ask)


def test_an_archive_that_finder_made(tmp_path: Path, source: Path, package: Package) -> None:
    models.add_onnx(tmp_path, "resnet")
    with zipfile.ZipFile(source / "m.zip", "w") as archive:
        for name in ("resnet/config.pbtxt", "resnet/1/model.onnx"):
            archive.write(tmp_path / name, name)
        for name in ("__MACOSX/._resnet", "__MACOSX/resnet/1/._model.onnx"):
            archive.writestr(name, bytes.fromhex("00051607"))

    assert package("m.zip").error is None

    def ask(server: Running) -> None:
        assert infer(server) == [2, 4, 6]

    serve(tmp_path, ask)


def test_the_newest_of_two_versions(tmp_path: Path, source: Path, package: Package) -> None:
    models.add_onnx(source, "digits")
    shutil.copytree(source / "digits/1", source / "digits/2")
    (source / "digits/1/model.onnx").write_bytes(b"not read")

    result = package("digits")

    assert result.error is None
    assert "took version directory 2 and left out 1" in result.warnings[0]

    def ask(server: Running) -> None:
        assert infer(server) == [2, 4, 6]

    serve(tmp_path, ask)


def test_a_python_model_that_reads_one_request_at_a_time(
    tmp_path: Path, source: Path, package: Package
) -> None:
    models.add_model(
        source,
        "digits",
        f"max_batch_size: 8\n{IO}",
        """
        def execute(self, requests):
            time.sleep(0.05)
            tensor = pb.get_input_tensor_by_name(requests[0], "x").as_numpy()
            return [pb.InferenceResponse([pb.Tensor("y", tensor)])]
        """,
    )

    assert package("digits").error is None

    def ask(server: Running) -> None:
        answers: list[object] = []

        def one() -> None:
            try:
                answers.append(infer(server))
            except (AssertionError, urllib3.exceptions.HTTPError) as error:
                answers.append(error)

        clients = [threading.Thread(target=one) for _ in range(12)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert answers == [[1, 2, 3]] * 12

    serve(tmp_path, ask)


def test_a_pointer_in_the_place_of_a_model(source: Path, package: Package) -> None:
    (source / "m.onnx").write_text("version https://git-lfs.github.com/spec/v1\nsize 102442450\n")

    result = package("m.onnx")

    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_REFUSED
    assert "102442450 bytes" in result.error.message


def add_graph(
    path: Path, shape: list[int | str], weights: tuple[int, ...], nodes: list[onnx.NodeProto]
) -> None:
    """Write a graph from `x` to `y`, which may use the weights `w`."""
    count = math.prod(weights)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(
                "y", TensorProto.FLOAT, ["batch", *[None] * (len(shape) - 1)]
            )
        ],
        [helper.make_tensor("w", TensorProto.FLOAT, weights, [1.0] * count)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_the_warm_up_of_a_batch_of_scalars(tmp_path: Path, source: Path, package: Package) -> None:
    add_graph(source / "m.onnx", ["batch"], (1,), [helper.make_node("Mul", ["x", "w"], ["y"])])

    assert package("m.onnx", warmup_requests=2).error is None

    serve(tmp_path, answers_nothing)


def test_a_warm_up_with_the_sizes_that_the_spec_gives(
    tmp_path: Path, source: Path, package: Package
) -> None:
    shape: list[int | str] = ["batch", 3, "h", "w"]
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[7, 7])
    add_graph(source / "m.onnx", shape, (1, 3, 7, 7), [node])

    without = package("m.onnx", warmup_requests=2)
    given = package("m.onnx", warmup_requests=2, warmup_shapes={"x": [3, 32, 32]})

    assert without.error is not None
    assert without.error.reason == Reason.WARMUP_IMPOSSIBLE
    assert given.error is None
    serve(tmp_path, answers_nothing)


def test_a_scalar_is_named_before_any_pod_starts(source: Path, package: Package) -> None:
    add_graph(source / "m.onnx", [], (1,), [helper.make_node("Mul", ["x", "w"], ["y"])])

    result = package("m.onnx")

    assert result.error is not None
    assert result.error.reason == Reason.CONFIG_INVALID
    assert "input 'x' is a scalar" in result.error.message


def test_an_ensemble_of_python_and_onnx_answers_as_the_network_alone(
    tmp_path: Path, source: Path, package: Package
) -> None:
    samples = build_samples()
    (source / "p.tar.gz").write_bytes(samples.files["pipeline.tar.gz"])
    image = samples.load[:4].tolist()
    tensor = {"name": "image", "datatype": "FP32", "shape": [4, 64], "data": image}

    assert package("p.tar.gz", model_name="pipeline").error is None

    with running(a_server("pipeline"), tmp_path / "models", tmp_path) as server:
        server.wait_ready()
        answers = [
            server.request(
                "POST", f"/v2/models/{model}/infer", body=json.dumps({"inputs": [given]}).encode()
            ).json()["outputs"]
            for model, given in (("pipeline", tensor), ("network", tensor))
        ]

    found, expected = ({item["name"]: item["data"] for item in answer} for answer in answers)
    assert found == expected
