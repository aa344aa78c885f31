"""What plain Triton serves is served from the directory that is made of it."""

import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, PackageMode, PackageRequest, SourceRequest
from slipway.api.result import PackageResult
from slipway.jobs.package.main import PackageMounts, run_package_job

from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running

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
