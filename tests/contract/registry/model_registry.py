"""MLflow's tracking server: the real one in an environment of its own, and a small one of ours."""

import http.client
import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cluster import settings
from tests.contract.registry import servers
from tests.contract.registry.servers import Conversation, Seen
from tests.ports import free_port

MLFLOW = "3.17.2"
PACKAGES = (f"mlflow=={MLFLOW}", "onnx==1.23.2", "onnxruntime==1.32.0")
"""The last is imported by MLflow's client where it logs a graph."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
START_SECONDS = 120
LOG_MODEL = """
import sys, mlflow, onnx
tracking, graph, name, alias = sys.argv[1:]
mlflow.set_tracking_uri(tracking)
with mlflow.start_run():
    mlflow.onnx.log_model(
        onnx.load(graph), name="model", registered_model_name=name, pip_requirements=[]
    )
client = mlflow.MlflowClient()
newest = max(int(found.version) for found in client.search_model_versions(f"name='{name}'"))
client.set_registered_model_alias(name, alias, newest)
print(newest)
"""
"""What a user does who trains models."""
PREFIX = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class RealRegistry:
    """The server, with its database and its files in one folder."""

    folder: Path
    address: str
    python: Path

    def log(self, graph: bytes, alias: str = "champion", name: str = "digits") -> str:
        """Log and register a model as MLflow's own client does; return its version."""
        path = self.folder / "graph.onnx"
        path.write_bytes(graph)
        done = subprocess.run(
            [str(self.python), "-c", LOG_MODEL, self.address, str(path), name, alias],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, **ENVIRONMENT},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    def register(self, place: str, name: str) -> str:
        """Register files that lie elsewhere, and return the version."""
        self._post("registered-models/create", {"name": name})
        made = self._post("model-versions/create", {"name": name, "source": place})
        version = str(made["model_version"]["version"])
        alias = {"name": name, "alias": "champion", "version": version}
        self._post("registered-models/alias", alias)
        return version

    def _post(self, route: str, body: Mapping[str, str]) -> Any:
        with closing(http.client.HTTPConnection(urlsplit(self.address).netloc)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"{PREFIX}{route}", json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        assert answer.status == http.client.OK, data
        return json.loads(data)


@contextmanager
def running_mlflow(folder: Path) -> Iterator[RealRegistry]:
    """Run MLflow, installed into the cache where it is not there yet."""
    programs = _install_mlflow() / "bin"
    port = free_port()
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            *(str(programs / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        stdout=log,
        stderr=log,
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        start_new_session=True,
    )
    try:
        servers.wait_for_port(port, process, seconds=START_SECONDS)
        yield RealRegistry(folder, f"http://127.0.0.1:{port}", programs / "python")
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # uvicorn's workers with it
        process.wait(10)
        log.close()


def _install_mlflow() -> Path:
    place = settings.cache_directory() / f"mlflow-{MLFLOW}"
    done = place / "installed"
    if not done.exists() or done.read_text() != repr(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        made = subprocess.run(
            [str(place / "bin" / "pip"), "install", "--quiet", *PACKAGES],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        done.write_text(repr(PACKAGES))
    return place


@dataclass
class Registry:
    """The routes of MLflow's that a source uses."""

    models: dict[str, dict[str, Mapping[str, bytes]]] = field(default_factory=dict)
    """Files by model and version."""
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    """Versions by model and alias."""
    places: dict[tuple[str, str], str] = field(default_factory=dict)
    """Addresses of versions whose files are elsewhere, by model and version."""
    token: str | None = None
    """Asked for where set."""
    password: str | None = None
    """Of the user `reader`; asked for where set."""
    status: str = "READY"
    knows_its_name: bool = True
    """Takes the host of a request for one of its own."""
    statuses: list[int] = field(default_factory=list)
    """Answered first."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes of a file after which the connection breaks."""

    def log(self, graph: bytes, alias: str = "champion", name: str = "digits") -> str:
        """Register a model with the files that MLflow writes; return its version."""
        return self.add({"model.onnx": graph, **OWN_FILES}, alias, name)

    def add(self, files: Mapping[str, bytes], alias: str, name: str = "digits") -> str:
        versions = self.models.setdefault(name, {})
        version = str(len(versions) + 1)
        versions[version] = files
        self.aliases[name, alias] = version
        return version

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        path = unquote(urlsplit(talk.path).path)
        query = {key: values[0] for key, values in parse_qs(urlsplit(talk.path).query).items()}
        if self.statuses:
            talk.answer(self.statuses.pop(0), {"Retry-After": "0"})
        elif not self.knows_its_name:
            talk.answer(403, body=b"Invalid Host header - possible DNS rebinding attack detected")
        elif seen.headers.get("authorization") not in self._welcome():
            talk.answer(401, body=b"You are not authenticated.")
        elif path == ARTIFACTS:
            self._list(talk, query["path"])
        elif path.startswith(f"{ARTIFACTS}/"):
            self._send(talk, path.removeprefix(f"{ARTIFACTS}/"))
        else:
            self._answer_registry(talk, path.removeprefix(PREFIX), query)

    def _welcome(self) -> list[str | None]:
        if self.token is not None:
            return [f"Bearer {self.token}"]
        if self.password is not None:
            pair = b64encode(f"reader:{self.password}".encode()).decode()
            return [f"Basic {pair}"]
        return [None]

    def _answer_registry(self, talk: Conversation, route: str, query: dict[str, str]) -> None:
        name, is_alias = query["name"], route == "registered-models/alias"
        version = self.aliases.get((name, query["alias"])) if is_alias else query["version"]
        if is_alias and version is None and name in self.models:
            _answer(talk, 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no alias"})
        elif version is None or version not in self.models.get(name, {}):
            _answer(talk, 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "nothing"})
        elif route == "model-versions/get-download-uri":
            place = self.places.get((name, version), f"mlflow-artifacts:/1/{name}/{version}")
            _answer(talk, 200, {"artifact_uri": place})
        else:
            found = {"name": name, "version": version, "status": self.status}
            _answer(talk, 200, {"model_version": found})

    def _files_below(self, path: str) -> dict[str, bytes]:
        _, name, version, *inside = path.strip("/").split("/")
        prefix = "".join(f"{part}/" for part in inside)
        files = self.models[name][version]
        return {key[len(prefix) :]: files[key] for key in files if key.startswith(prefix)}

    def _list(self, talk: Conversation, path: str) -> None:
        below = self._files_below(path)
        names = sorted({name.partition("/")[0] for name in below})
        entries = [
            {"path": name, "is_dir": False, "file_size": len(below[name])}
            if name in below
            else {"path": name, "is_dir": True}
            for name in names
        ]
        _answer(talk, 200, {"files": entries})

    def _send(self, talk: Conversation, path: str) -> None:
        _, name, version, inside = path.split("/", 3)
        data = self.models[name][version][inside]
        limit = self.cut_after.pop(0) if self.cut_after else None
        talk.answer(200, {"Content-Length": str(len(data))}, data[:limit])
        if limit is not None:
            talk.cut()


OWN_FILES = {
    "MLmodel": b"""artifact_path: model
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.20.0
    providers: [CUDAExecutionProvider, CPUExecutionProvider]
  python_function:
    data: model.onnx
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.onnx
""",
    "conda.yaml": b"name: mlflow-env\n",
    "python_env.yaml": b"python: 3.11.7\n",
    "requirements.txt": b"",
}
"""What MLflow writes beside a model."""


def _answer(talk: Conversation, status: int, body: Mapping[str, Any]) -> None:
    talk.answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())
