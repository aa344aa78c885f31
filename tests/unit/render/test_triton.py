import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from slipway.api.modeldeployment import EnvVar, Protocol
from slipway.api.server_version import derive_server_version, parse_version
from slipway.render import triton
from slipway.render.traces import EXPORT_TIMEOUT_VARIABLE, ServerTraces

MAY_TRACE = "2.57.0"
TRACES = ServerTraces(
    endpoint="http://collector.observability:4318/",
    model="digits",
    namespace="vision",
    revision="aaaaaaaa",
    version="3",
)


def a_server(**changes: object) -> triton.TritonServer:
    server = triton.TritonServer(
        image="registry.local/models/digits@sha256:" + "a" * 64,
        version="2.51.0",
        model_name="digits",
        protocols=(Protocol.HTTP, Protocol.GRPC),
        requests={"cpu": "100m", "memory": "512Mi"},
        limits={},
        start_seconds=600,
        drain_seconds=30,
    )
    return replace(server, **changes)  # type: ignore[arg-type]


def flags(server: triton.TritonServer) -> dict[str, str]:
    program, *arguments = triton.render_args(server)
    assert program == "tritonserver"
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def test_a_bad_model_ends_the_server_with_the_reason_as_its_last_output() -> None:
    assert (
        flags(a_server()).items()
        >= {
            "model-repository": "/models",
            "model-control-mode": "none",
            "exit-on-error": "true",
            "strict-readiness": "true",
            "log-info": "false",
        }.items()
    )
    assert (
        triton.render_container(a_server())["terminationMessagePolicy"] == "FallbackToLogsOnError"
    )


@pytest.mark.parametrize(
    ("version", "known"),
    [("2.51.0", False), ("2.68", False), ("2.69.0", True), ("3.0.0", True), (None, False)],
)
def test_only_servers_that_know_a_flag_get_it(version: str | None, known: bool) -> None:
    assert ("allow-client-shm" in flags(a_server(version=version))) is known


def test_an_older_server_gets_the_flags_of_the_oldest_known() -> None:
    assert flags(a_server(version="2.45.0")) == flags(a_server(version="2.51.0"))


@pytest.mark.parametrize("text", ["nightly", "", "2", "2.x"])
def test_an_unreadable_version_counts_as_unknown(text: str) -> None:
    assert parse_version(text) is None
    assert flags(a_server(version=text)) == flags(a_server(version=None))


@pytest.mark.parametrize(
    ("label", "image", "version"),
    [
        ("2.51.0", "nvcr.io/nvidia/tritonserver:26.07-py3", "2.51.0"),
        (None, "nvcr.io/nvidia/tritonserver:24.04-py3", "2.45.0"),
        (None, "nvcr.io/nvidia/tritonserver:24.10-py3", "2.51.0"),
        (None, "nvcr.io/nvidia/tritonserver:25.07-py3-min", "2.60.0"),
        (None, "mirror.local:5000/nvidia/tritonserver:26.05-vllm-python-py3", "2.69.0"),
        ("nightly", "nvcr.io/nvidia/tritonserver:26.07", "2.71.0"),
        (None, "nvcr.io/nvidia/tritonserver:26.07-py3@sha256:" + "a" * 64, "2.71.0"),
        (None, "registry.local/my-server:26.07", None),
        (None, "nvcr.io/nvidia/tritonserver@sha256:" + "a" * 64, None),
        (None, "nvcr.io/nvidia/tritonserver:26.075", None),
    ],
)
def test_the_version_is_the_images_label_or_nvidias_tag(
    label: str | None, image: str, version: str | None
) -> None:
    assert derive_server_version(label, image) == version


def test_http_and_metrics_listen_where_the_pods_address_is_and_ipv4_needs_no_flag() -> None:
    six = flags(a_server(is_ipv6=True))

    assert six.pop("http-address") == "ipv6:::"
    assert six == flags(a_server())


def test_every_flag_is_in_the_table_and_every_entry_is_used() -> None:
    newest = {"version": "99.0.0", "is_ipv6": True, "traced": TRACES}
    assert set(flags(a_server(**newest))) == set(triton.FIRST_VERSION)


def test_a_server_goes_on_with_traces_and_begins_none() -> None:
    plain, traced = (
        triton.render_args(a_server(version=MAY_TRACE, traced=each)) for each in (None, TRACES)
    )
    assert traced[: len(plain)] == plain
    assert [each.removeprefix("--trace-config=") for each in traced[len(plain) :]] == [
        "mode=opentelemetry",
        "level=TIMESTAMPS",
        "rate=0",
        "opentelemetry,url=http://collector.observability:4318/v1/traces",
        "opentelemetry,resource=service.name=digits",
        "opentelemetry,resource=service.version=3",
        "opentelemetry,resource=k8s.namespace.name=vision",
        "opentelemetry,resource=slipway.modeldeployment=digits",
        "opentelemetry,resource=slipway.revision=aaaaaaaa",
    ]


@pytest.mark.parametrize("version", ["2.51.0", "2.56.0", None])
def test_a_server_that_traces_could_end_is_not_told_of_them(version: str | None) -> None:
    plain, traced = (
        triton.render_container(a_server(version=version, traced=each)) for each in (None, TRACES)
    )
    assert traced == plain


def test_a_server_that_ends_waits_briefly_for_its_last_spans_unless_its_user_says_otherwise() -> (
    None
):
    server = a_server(version=MAY_TRACE, traced=TRACES)
    variables = triton.render_container(server)["env"]
    assert {"name": EXPORT_TIMEOUT_VARIABLE, "value": "2s"} in variables
    assert EXPORT_TIMEOUT_VARIABLE not in str(triton.render_container(a_server())["env"])

    own = EnvVar(name=EXPORT_TIMEOUT_VARIABLE, value="1s")
    variables = triton.render_container(server, env=[own])["env"]
    assert [each["value"] for each in variables if each["name"] == own.name] == ["1s"]


def test_the_users_own_trace_settings_take_the_place_of_all_of_ours() -> None:
    server = a_server(version=MAY_TRACE, traced=TRACES, args=("--trace-config=level=OFF",))
    found = [each for each in triton.render_args(server) if "trace-config" in each]
    assert found == ["--trace-config=level=OFF"]


def test_running_requests_get_their_drain_time_between_pre_stop_and_sigkill() -> None:
    server = a_server(drain_seconds=45)
    hook = triton.render_container(server)["lifecycle"]["preStop"]["exec"]["command"]
    assert (hook[0], hook[-1]) == ("sh", "45")
    assert flags(server)["exit-timeout-secs"] == "45"
    assert server.grace_seconds > triton.PRE_STOP_SECONDS + 45


@pytest.mark.parametrize("port", [8000, 8001])
def test_triton_is_told_to_end_once_no_connection_to_it_is_open(tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        hook = a_hook(tmp_path, {port: listening.getsockname()[1]}, seconds=500)
        with socket.create_connection(listening.getsockname()):
            wait_until(lambda: len(hook.naps()) > 3)
            assert hook.process.poll() is None
        with listening.accept()[0]:
            pass
        assert hook.process.wait(timeout=30) == 0
    assert hook.naps()[0] == str(triton.PRE_STOP_SECONDS)
    assert set(hook.naps()[1:]) == {"1"}


def test_a_connection_that_nobody_closes_holds_triton_for_the_drain_time_alone(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        hook = a_hook(tmp_path, {8001: listening.getsockname()[1]}, seconds=3)
        with socket.create_connection(listening.getsockname()):
            assert hook.process.wait(timeout=30) == 0
    assert hook.naps() == [str(triton.PRE_STOP_SECONDS), "1", "1", "1"]


def test_a_hook_without_connections_waits_only_until_routers_know(tmp_path: Path) -> None:
    hook = a_hook(tmp_path, {}, seconds=3)
    assert hook.process.wait(timeout=30) == 0
    assert hook.naps() == [str(triton.PRE_STOP_SECONDS)]


@dataclass
class Hook:
    """The hook as a process, with ports of this machine in the place of Triton's."""

    process: subprocess.Popen[bytes]
    file: Path

    def naps(self) -> list[str]:
        """Return the seconds that it wanted to sleep; it slept some milliseconds each time."""
        return self.file.read_text().split() if self.file.exists() else []


def a_hook(folder: Path, ports: dict[int, int], *, seconds: int) -> Hook:
    program, naps = folder / "sleep", folder / "naps"
    program.write_text(f'#!/bin/sh\necho "$1" >> {naps}\n/bin/sleep 0.02\n')
    program.chmod(0o755)
    shell, flag, script, *arguments = triton.render_container(a_server(drain_seconds=seconds))[
        "lifecycle"
    ]["preStop"]["exec"]["command"]
    for port in (8000, 8001):
        script = script.replace(f"{port:04X}", f"{ports.get(port, 1):04X}")
    process = subprocess.Popen(
        [shell, flag, script, *arguments], env={"PATH": f"{folder}:/usr/bin:/bin"}
    )
    return Hook(process, naps)


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(1500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never held")


def test_probes_ask_for_the_model_because_an_empty_server_calls_itself_ready() -> None:
    probes = triton.render_probes(a_server())
    for name in ("startupProbe", "readinessProbe"):
        assert probes[name]["httpGet"]["path"] == "/v2/models/digits/ready"
    assert probes["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"


def test_a_slow_model_gets_all_of_its_start_time() -> None:
    probe = triton.render_probes(a_server(start_seconds=7200))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 7200


def test_the_key_of_the_restricted_apis_is_the_pods_uid_and_stands_in_no_manifest() -> None:
    container = triton.render_container(
        a_server(), env=[EnvVar(name=triton.ADMIN_KEY, value="known-to-everyone")]
    )
    assert flags(a_server())["http-restricted-api"].endswith("=$(SLIPWAY_POD_UID)")
    assert [entry for entry in container["env"] if entry["name"] == triton.ADMIN_KEY] == [
        {"name": triton.ADMIN_KEY, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    ]


def test_users_may_override_our_variables() -> None:
    container = triton.render_container(a_server(), env=[EnvVar(name="HOME", value="/work")])
    assert [entry["value"] for entry in container["env"] if entry["name"] == "HOME"] == ["/work"]


def test_without_grpc_there_is_no_grpc_port() -> None:
    server = a_server(protocols=(Protocol.HTTP,))
    assert flags(server)["allow-grpc"] == "false"
    assert "grpc" not in triton.open_ports(server)


def test_http_stays_open_for_the_probes_where_clients_speak_grpc_only() -> None:
    server = a_server(protocols=(Protocol.GRPC,))
    assert flags(server)["allow-http"] == "true"
    assert "http" in triton.open_ports(server)


def test_a_gpu_server_keeps_its_gpu_metrics_and_pinned_memory() -> None:
    cpu_only = {"allow-gpu-metrics", "pinned-memory-pool-byte-size"}
    gpu = a_server(limits={"nvidia.com/gpu": "1"})
    assert cpu_only <= set(flags(a_server()))
    assert not cpu_only & set(flags(gpu))


def test_shared_memory_grows_with_the_python_processes() -> None:
    def megabytes(instances: int) -> int:
        volumes = triton.render_volumes(a_server(python_instances=instances))
        shm = next(volume["emptyDir"] for volume in volumes if volume["name"] == "shm")
        assert shm["medium"] == "Memory"
        return int(shm["sizeLimit"].removesuffix("Mi"))

    assert megabytes(8) > megabytes(1) > 64
