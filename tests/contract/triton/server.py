"""Running the rendered container as a process, with arguments and variables as in a pod."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Protocol
from slipway.render import triton
from slipway.render.traces import ServerTraces

from tests.contract.triton import install
from tests.patience import patient
from tests.ports import free_port

ONNXRUNTIME = Path(__file__).parents[2] / "images/triton/onnxruntime"
POD_UID = "5e1f0c1e-3a6b-4c52-9d5f-7f2f3a1f7d11"
START_SECONDS = 60


def a_server(model: str, **changes: object) -> triton.TritonServer:
    values: dict[str, object] = {
        "image": "triton",
        "version": "2.51.0",
        "model_name": model,
        "protocols": (Protocol.HTTP, Protocol.GRPC),
        "requests": {},
        "limits": {},
        "start_seconds": START_SECONDS,
        "drain_seconds": 20,
    }
    return triton.TritonServer(**(values | changes))  # type: ignore[arg-type]


def a_traced_server(model: str, traced: ServerTraces) -> triton.TritonServer:
    """Return one that is told of traces, as Triton 2.57 is.

    The one that runs here (2.51) knows the same flag. It ends by a signal once in some ten thousand
    traced requests, so a test may send it a few.
    """
    return a_server(model, version="2.57.0", traced=traced)


@dataclass(slots=True)
class Running:
    """A tritonserver process."""

    spec: triton.TritonServer
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def host(self) -> str:
        """The loopback address of the family on which it listens."""
        return "::1" if self.spec.is_ipv6 else "127.0.0.1"

    @property
    def http(self) -> str:
        return self._at("http")

    @property
    def grpc(self) -> str:
        return self._at("grpc")

    @property
    def metrics(self) -> str:
        return self._at("metrics")

    def _at(self, port: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.ports[port]}"

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.request("GET", path, headers=headers)

    def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> urllib3.BaseHTTPResponse:
        """Send one request on a connection of its own, which is closed after it."""
        return urllib3.request(
            method,
            f"http://{self.http}{path}",
            headers={"connection": "close", **(headers or {})},
            body=body,
            retries=False,
            timeout=30,
        )

    def listens(self, port: str) -> bool:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            return probe.connect_ex((self.host, self.ports[port])) == 0

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"tritonserver ended:\n{self.output()}"
        if not self.listens("http"):
            return False
        return self.get(self.spec.ready_path).status == 200

    def refuses(self) -> bool:
        """Tell whether it takes no new connection over HTTP, as one that is ending."""
        try:
            self.get("/v2/health/live")
        except urllib3.exceptions.HTTPError:
            return True
        return False

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self) -> "Running":
        wait_until(self.is_ready, START_SECONDS)
        return self

    def wait_ended(self) -> int:
        return self.process.wait(timeout=START_SECONDS)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    seconds = patient(seconds)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.02)


@contextmanager
def running(
    spec: triton.TritonServer,
    repository: Path,
    scratch: Path,
    *,
    without: Collection[str] = (),
) -> Iterator[Running]:
    """Start the server on free ports, without some of the rendered flags; kill it at the end."""
    log = scratch / "triton.log"
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    container, environment = triton.render_container(spec), install.installed()

    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                install.server(environment) / "bin/tritonserver",
                *_arguments(container, repository, ports, without),
                f"--backend-directory={_backends(scratch, environment)}",
            ],
            env={**_literals(container), "PATH": f"{environment}/bin:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    try:
        yield Running(spec, ports, process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=START_SECONDS)


def _arguments(
    container: Manifest, repository: Path, ports: dict[str, int], without: Collection[str]
) -> Iterator[str]:
    """Yield the container's arguments with this machine's paths and ports."""
    variables = {**_literals(container), triton.ADMIN_KEY: POD_UID}
    here = {f"{name}-port": str(port) for name, port in ports.items()}
    here["model-repository"] = str(repository)
    for argument in container["args"][1:]:
        flag, value = argument.removeprefix("--").split("=", 1)
        value = re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], value)
        if flag not in without:
            yield f"--{flag}={here.get(flag, value)}"


def _literals(container: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def _backends(scratch: Path, environment: Path) -> Path:
    folder = scratch / "backends"
    folder.mkdir()
    (folder / "python").symlink_to(install.server(environment) / "backends/python")
    (folder / "onnxruntime").symlink_to(ONNXRUNTIME)
    return folder
