"""Python models that bring their environment along are run in it by Triton."""

import json
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import files as files_of
from pathlib import Path

import pytest
from slipway.api.request import ConfigRequest, PackageMode, PackageRequest, SourceRequest
from slipway.api.result import PackageResult
from slipway.jobs.package.main import PackageMounts, run_package_job

from tests.contract.triton import install
from tests.contract.triton.models import HEAD
from tests.contract.triton.server import a_server, running

IO = """
input [{ name: "host" data_type: TYPE_STRING dims: [1] }]
output [{ name: "wire" data_type: TYPE_STRING dims: [1] }]
"""
PROGRAM = (
    "import idna\n\n"
    + HEAD
    + """
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        [host] = pb.get_input_tensor_by_name(request, "host").as_numpy()
        wire = np.array([idna.encode(host.decode())], dtype=np.object_)
        return pb.InferenceResponse([pb.Tensor("wire", wire)])
"""
)
ACTIVATE = """\
VIRTUAL_ENV="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"
"""
"""As packers write it: it works wherever the environment is unpacked."""
WHEEL = "idna"
"""What only the model needs; Triton's own library needs numpy."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed environment with a wheel that the server does not have."""
    server = install.packages(install.installed())
    assert not (server / WHEEL).exists()
    place = tmp_path_factory.mktemp("environment")
    command = [sys.executable, "-m", "venv", "--symlinks", "--without-pip", str(place / "env")]
    subprocess.run(command, check=True)
    (place / "env/bin/activate").write_text(ACTIVATE)

    archive = place / "environment.tar.gz"
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(place / "env", ".")
        for name in ("numpy", "numpy.libs"):
            tar.add(server / name, f"{packages}/{name}")
        for file in files_of(WHEEL) or ():
            tar.add(str(file.locate()), f"{packages}/{file}")
    return archive


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "hosts/1").mkdir(parents=True)
    (folder / "hosts/1/model.py").write_text(PROGRAM)
    return folder


def package(tmp_path: Path, source: Path, raw: str = IO) -> PackageResult:
    """Write the model repository as the init container of Fetch mode does."""
    log = tmp_path / "termination-log"
    request = PackageRequest(
        mode=PackageMode.FETCH,
        deliver_to=str(tmp_path / "models"),
        source=SourceRequest(uri="pvc://claim/hosts"),
        config=ConfigRequest(model_name="hosts", raw=raw),
    )
    (tmp_path / "models").mkdir(exist_ok=True)
    mounts = PackageMounts(source=source, scratch=tmp_path / "scratch")
    run_package_job(json.dumps(request.wire()), mounts, log)
    return PackageResult.model_validate_json(log.read_text())


def ask(tmp_path: Path, host: str) -> str:
    tensor = {"name": "host", "datatype": "BYTES", "shape": [1], "data": [host]}
    with running(a_server("hosts"), tmp_path / "models", tmp_path) as server:
        server.wait_ready()
        body = json.dumps({"inputs": [tensor]}).encode()
        answer = server.request("POST", "/v2/models/hosts/infer", body=body)
    assert answer.status == 200, answer.data
    [wire] = answer.json()["outputs"][0]["data"]
    return str(wire)


@pytest.mark.parametrize("place", ["hosts/environment.tar.gz", "hosts/1/env.tgz"])
def test_the_packed_environment_beside_a_model_is_the_one_that_it_runs_in(
    tmp_path: Path, source: Path, environment: Path, place: str
) -> None:
    shutil.copy(environment, source / place)

    result = package(tmp_path, source)

    assert result.error is None
    assert result.warnings == [f"runs in the packed environment {place.removeprefix('hosts/')}"]
    assert ask(tmp_path, "bücher.example") == "xn--bcher-kva.example"
