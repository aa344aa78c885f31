"""An API server and its etcd on this machine alone: no node, no controllers, no pods.

Nothing competes with what is measured, and all of it is removed at the end.
"""

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster import build, pki
from tests.cluster.progress import Progress
from tests.ports import free_port

START_SECONDS = 180.0
"""Beside tens of thousands of objects it reads them all first, and repairs what copies lack."""
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.1
IDLE_LOOK_SECONDS = 2.0
IDLE_SHARE = 0.1
"""Of a core."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WRITES = ("create", "update", "patch", "delete")


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running one."""

    url: str
    kubeconfig: Path
    audit_log: Path
    trust: ssl.SSLContext
    """Knows the server, and shows it the administrator's certificate."""
    pids: tuple[int, ...]
    etcd: str
    """URL of its etcd."""

    def cpu_seconds(self) -> float:
        """Return the processor time that the API server and etcd took since their start."""
        return sum(cpu_seconds(pid) for pid in self.pids)


@contextmanager
def run_api_server(
    data: Path | None = None, *, flags: Sequence[str] = (), bodies: bool = False
) -> Iterator[ApiServer]:
    """Start an API server, and end it with everything that it stored, but for `data`.

    `data` is a folder of an etcd, which may be absent yet; None: of one that is empty. With
    `bodies` the record of its writes says what was sent.
    """
    build.build_programs([build.NODE], Progress())
    place = Path(tempfile.mkdtemp(prefix="slipway-bench-"))
    daemons: list[subprocess.Popen[bytes]] = []

    try:
        pki.issue_certificates(place / "pki")
        audit = _audit("Request" if bodies else "Metadata")
        (place / "audit.yaml").write_text(yaml.safe_dump(audit))
        etcd, url = f"http://127.0.0.1:{free_port()}", f"https://127.0.0.1:{free_port()}"
        daemons.append(_start(place, "etcd", _etcd(data or place / "etcd", etcd)))
        served = (*_kube_apiserver(place, etcd, url), *flags)
        daemons.append(_start(place, "kube-apiserver", served))
        pids = tuple(daemon.pid for daemon in daemons)
        server = ApiServer(
            url, place / "kubeconfig", place / "audit.log", _trust(place), pids, etcd
        )
        server.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(place, url)))
        _wait_until_ready(server, daemons, place)
        yield server
    finally:
        for daemon in reversed(daemons):
            _stop(daemon)
        shutil.rmtree(place, ignore_errors=True)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process took since its start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _audit(level: str) -> dict[str, object]:
    """Return the policy by which writes are recorded."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": level, "verbs": [*WRITES]}, {"level": "None"}],
    }


def _etcd(data: Path, url: str) -> tuple[str, ...]:
    peer = f"http://127.0.0.1:{free_port()}"
    return (
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # the disk is not what is measured
        "--log-level=warn",
    )


def _kube_apiserver(place: Path, etcd: str, url: str) -> tuple[str, ...]:
    keys = place / "pki"
    return (
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={url.rpartition(':')[2]}",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",  # which waits for a controller
        "--profiling=false",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={keys / 'service-accounts.key'}",
        f"--audit-policy-file={place / 'audit.yaml'}",
        f"--audit-log-path={place / 'audit.log'}",
        "--audit-log-maxsize=4000",
    )


def _start(place: Path, name: str, flags: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    with (place / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [str(build.NODE.path), name, *flags],
            cwd=place,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(place)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _stop(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _kubeconfig(place: Path, url: str) -> dict[str, object]:
    keys = place / "pki"
    cluster = {"server": url, "certificate-authority": str(keys / "ca.crt")}
    user = {"client-certificate": str(keys / "admin.crt"), "client-key": str(keys / "admin.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": user}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }


def _trust(place: Path) -> ssl.SSLContext:
    keys = place / "pki"
    trust = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    trust.load_cert_chain(keys / "admin.crt", keys / "admin.key")
    return trust


def _wait_until_ready(
    server: ApiServer, daemons: "list[subprocess.Popen[bytes]]", place: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(server):
        ended = [daemon for daemon in daemons if daemon.poll() is not None]
        if ended or time.monotonic() > deadline:
            log = place / ("etcd.log" if ended and ended[0] is daemons[0] else "kube-apiserver.log")
            raise RuntimeError(f"no API server; {log.name} ends: {log.read_text()[-2000:]}")
        time.sleep(LOOK_SECONDS)


def wait_until_idle(server: ApiServer) -> None:
    """Wait until the API server is idle: a start or new CRDs keep it busy for seconds."""
    deadline = time.monotonic() + START_SECONDS
    used = server.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(IDLE_LOOK_SECONDS)
        before, used = used, server.cpu_seconds()
        if used - before < IDLE_SHARE * IDLE_LOOK_SECONDS:
            return


def _is_ready(server: ApiServer) -> bool:
    try:
        with urllib.request.urlopen(  # noqa: S310 -- our own URL
            f"{server.url}/readyz", context=server.trust, timeout=5
        ) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
