import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc
import urllib3
from slipway.adapters.triton import TritonMetrics
from slipway.api.modeldeployment import Protocol
from slipway.api.modeldeployment.server import ARGUMENTS
from slipway.jobs.check.model_server import open_grpc_server, open_http_server
from slipway.render import triton
from tritonclient.utils import InferenceServerException

from tests.contract.triton import install, models
from tests.contract.triton.server import POD_UID, Running, a_server, running, wait_until
from tests.pages import ROOT

RESTRICTED = [
    ("GET", "/v2/models/stats"),
    ("GET", "/v2/trace/setting"),
    ("GET", "/v2/logging"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/repository/index"),
]
OPEN = [
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/digits",
    "/v2/models/digits/ready",
    "/v2/models/digits/config",
]
NEWER_ARGUMENTS = {
    "grpc-infer-thread-count",
    "grpc-max-response-pool-size",
    "http-max-input-size",
}
"""Of Triton's releases after the one that is tested, by their documentation."""
LAST_WORDS_BYTES = 2048
"""What the kubelet keeps of a log with FallbackToLogsOnError."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    repository = tmp_path_factory.mktemp("repository")
    models.add_classifier(repository)
    scratch = tmp_path_factory.mktemp("scratch")
    with running(a_server("digits", version=None), repository, scratch) as server:
        yield server.wait_ready()


@pytest.mark.parametrize("path", OPEN)
def test_clients_probes_and_the_check_reach_what_they_need(server: Running, path: str) -> None:
    assert server.get(path).status == 200


@pytest.mark.parametrize(("method", "path"), RESTRICTED)
def test_the_rest_needs_the_pods_uid(server: Running, method: str, path: str) -> None:
    key = {triton.ADMIN_HEADER: POD_UID}
    assert server.request(method, path).status == 403
    assert server.request(method, path, headers={triton.ADMIN_HEADER: "guess"}).status == 403
    assert server.request(method, path, headers=key).status == 200


def test_grpc_is_restricted_too(server: Running) -> None:
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        assert client.is_model_ready("digits")
        with pytest.raises(InferenceServerException, match="restricted"):
            client.get_inference_statistics("digits")


def test_metrics_are_open_and_have_what_the_dashboard_asks_for(server: Running) -> None:
    answer = urllib3.request("GET", f"http://{server.metrics}/metrics")
    page = (ROOT / "docs/metrics.md").read_text()
    named = re.findall(r"^\| `(nv_inference_\w+)` \| counter \|", page, re.MULTILINE)
    assert len(named) == 5
    for name in named:
        assert f'# TYPE {name} counter\n{name}{{model="digits",version="1"}}' in (
            answer.data.decode()
        )


def test_the_metadata_hold_the_batch_dimension_and_the_config_what_is_optional(
    server: Running,
) -> None:
    metadata = json.loads(server.get("/v2/models/digits").data)
    assert metadata["inputs"][0] == {"name": "pixels", "datatype": "FP32", "shape": [-1, 4]}
    config = json.loads(server.get("/v2/models/digits/config").data)
    assert [tensor["optional"] for tensor in config["input"]] == [False, True]


async def test_in_a_cluster_of_ipv6_all_ports_are_where_the_pods_address_is(
    tmp_path: Path,
) -> None:
    repository = a_repository(tmp_path)
    models.add_classifier(repository)
    with running(a_server("digits", is_ipv6=True), repository, tmp_path) as server:
        server.wait_ready()

        async with (
            open_http_server(server.http, "digits") as over_http,
            open_grpc_server(server.grpc, "digits") as over_grpc,
        ):
            assert await over_http.signature() == await over_grpc.signature()
        await _load_is_read(server)


async def _load_is_read(server: Running) -> None:
    """Wait for it: one read has a second, and a busy machine may take longer over the first."""
    metrics = TritonMetrics(port=server.ports["metrics"])
    try:
        async with asyncio.timeout(90):
            while not await metrics.read_load(server.host, "digits"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await metrics.close()


def test_a_flag_of_a_newer_server_ends_this_one(tmp_path: Path) -> None:
    repository = a_repository(tmp_path)
    models.add_classifier(repository)
    with running(a_server("digits", version="2.69.0"), repository, tmp_path) as server:
        assert server.wait_ended() == 1
        assert "allow-client-shm" in server.output()


def test_the_last_words_of_a_broken_model_are_its_reason(tmp_path: Path) -> None:
    repository = a_repository(tmp_path)
    models.add_broken(repository, "broken", "weights are corrupt")
    with running(a_server("broken"), repository, tmp_path) as server:
        assert server.wait_ended() == 1
        assert "weights are corrupt" in server.output()[-LAST_WORDS_BYTES:]


def test_a_server_without_models_calls_itself_ready_but_not_the_model(tmp_path: Path) -> None:
    with running(a_server("digits"), a_repository(tmp_path), tmp_path) as server:
        wait_until(lambda: server.listens("http"))
        assert server.get("/v2/health/ready").status == 200
        assert server.get(server.spec.ready_path).status == 400


def test_without_grpc_its_port_is_closed(tmp_path: Path) -> None:
    repository = a_repository(tmp_path)
    models.add_classifier(repository)
    spec = a_server("digits", protocols=(Protocol.HTTP,))
    with running(spec, repository, tmp_path) as server:
        server.wait_ready()
        assert not server.listens("grpc")


def test_all_ports_refuse_until_the_model_is_loaded_and_sigterm_drains(tmp_path: Path) -> None:
    repository = a_repository(tmp_path)
    models.add_gated(repository, "gated", tmp_path)
    with running(a_server("gated"), repository, tmp_path) as server:
        wait_until((tmp_path / "loading").exists)
        assert not any(server.listens(port) for port in server.ports)
        (tmp_path / "load").touch()
        server.wait_ready()

        answers: list[urllib3.BaseHTTPResponse] = []
        request = threading.Thread(target=lambda: answers.append(infer_one(server)))
        request.start()
        wait_until((tmp_path / "answering").exists)
        server.process.terminate()
        wait_until(server.refuses)
        assert server.process.poll() is None
        (tmp_path / "answer").touch()
        request.join(timeout=30)

        assert [answer.status for answer in answers] == [200]
        assert server.wait_ended() == 0


def test_the_drain_ends_at_the_exit_timeout(tmp_path: Path) -> None:
    repository = a_repository(tmp_path)
    models.add_gated(repository, "gated", tmp_path)
    (tmp_path / "load").touch()
    with running(a_server("gated", drain_seconds=1), repository, tmp_path) as server:
        server.wait_ready()
        with urllib3.HTTPConnectionPool(server.http.split(":")[0], server.ports["http"]) as idle:
            idle.request("GET", "/v2/health/live")
            server.process.terminate()
            try:
                assert server.wait_ended() == 1
            except subprocess.TimeoutExpired:
                pytest.fail("an idle connection holds the server for ever")


def a_repository(scratch: Path) -> Path:
    repository = scratch / "models"
    repository.mkdir()
    return repository


def infer_one(server: Running) -> urllib3.BaseHTTPResponse:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}
    return server.request("POST", "/v2/models/gated/infer", body=json.dumps(body).encode())


def test_users_may_give_only_arguments_that_triton_knows() -> None:
    program = install.server(install.installed()) / "bin/tritonserver"
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^  --([a-z0-9-]+)", said.stdout + said.stderr, re.MULTILINE))

    assert set(ARGUMENTS) - known == NEWER_ARGUMENTS


def test_triton_starts_with_the_users_arguments(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "scratch").mkdir()
    models.add_classifier(tmp_path / "models")
    arguments = ("--log-info=true", "--http-thread-count=2", "--rate-limit=off")

    server = a_server("digits", version=None, args=arguments)
    with running(server, tmp_path / "models", tmp_path / "scratch") as started:
        assert started.wait_ready().get("/v2/health/ready").status == 200
        assert "Started HTTPService" in started.output()  # said with log-info alone
