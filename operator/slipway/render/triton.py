"""How one Triton server runs: its arguments, probes, environment and memory file systems.

Flags come from one table, because an older server exits on a flag that it does not know. What this
module says about Triton's behaviour, tests/contract/triton holds against a real server.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import EnvVar
from slipway.api.protocol import Protocol
from slipway.api.server_version import OLDEST, Version, parse_version
from slipway.render import traces

CONTAINER = "triton"

USER = 1000
"""``triton-server`` in NVIDIA's images."""

SECURITY_CONTEXT: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

PRE_STOP_SECONDS = 10
"""Routers learn in this time that the pod is ending; then Triton refuses new connections."""

_OPEN = "|".join(f'"{port:04X} 01"' for port in (names.TRITON_HTTP_PORT, names.TRITON_GRPC_PORT))
"""In the kernel's table: a local port, and the state of a connection that is open."""
WAIT_FOR_CLIENTS = f"""
sleep {PRE_STOP_SECONDS}
while [ "$1" -gt 0 ]; do
  busy=
  for table in /proc/net/tcp /proc/net/tcp6; do
    while read -r _ local _ state _; do
      case "${{local##*:}} $state" in {_OPEN}) busy=1; break;; esac
    done < "$table"
  done 2> /dev/null
  [ "$busy" ] || exit 0
  sleep 1
  set -- $(($1 - 1))
done
""".strip()
"""Wait until no connection to Triton is open, for as many seconds as the first argument says.

Routers close theirs when nothing is in flight on them. A Triton that is told to end with a stream
open either dies of the next message on it, or never ends (2.51): both cut what others wait for.
"""

UNLOAD_SECONDS = 20
"""Triton polls once a second while it unloads, and its exit timeout is no hard limit."""

STARTUP_PERIOD_SECONDS = 1
"""All ports refuse connections until every model is loaded, so this probe costs little."""

ADMIN_HEADER = "x-slipway-admin"
ADMIN_KEY = "SLIPWAY_POD_UID"
"""The variable that holds the key of the restricted APIs: the pod's uid, so no Secret is needed."""

RESTRICTED_APIS = "model-repository,shared-memory,statistics,trace,logging"
"""Closed without the key. model-config stays open: it is read-only, and the check needs it."""

TMP_SIZE = "8Gi"

ANY_IPV6 = "ipv6:::"
"""Triton's HTTP server takes one family only. It takes `::` for an IPv4 address, without a word."""

FIRST_VERSION: dict[str, Version] = {
    "model-repository": OLDEST,
    "model-control-mode": OLDEST,
    "exit-on-error": OLDEST,
    "strict-readiness": OLDEST,
    "exit-timeout-secs": OLDEST,
    "allow-http": OLDEST,
    "http-port": OLDEST,
    "http-address": OLDEST,
    "http-restricted-api": OLDEST,
    "allow-grpc": OLDEST,
    "grpc-port": OLDEST,
    "grpc-restricted-protocol": OLDEST,
    "allow-metrics": OLDEST,
    "metrics-port": OLDEST,
    "allow-gpu-metrics": OLDEST,
    "pinned-memory-pool-byte-size": OLDEST,
    "log-info": OLDEST,
    "log-format": OLDEST,
    "allow-client-shm": (2, 69),
    "trace-config": (2, 57),
}
"""First server version that is given a flag: the first that knows it.

Earlier ones than 2.57 know `trace-config`, and sooner or later end by a signal or hang when they
trace (https://github.com/triton-inference-server/server/pull/8144).
"""


@dataclass(frozen=True, slots=True)
class TritonServer:
    """What one Triton container is made from; every value is resolved."""

    image: str
    """``repository@sha256:…`` in Image mode, the server's own image in Fetch mode."""
    version: str | None
    """Triton's version as ``2.51.0``; None: unknown."""
    model_name: str
    protocols: tuple[Protocol, ...]
    requests: Manifest
    limits: Manifest
    start_seconds: int
    """How long loading may take."""
    drain_seconds: int
    """How long requests in flight may take once the pod is ending."""
    is_ipv6: bool = False
    """Whether the first address of its pods is of IPv6."""
    python_instances: int = 1
    """Python backend processes, each with its own region in /dev/shm."""
    args: tuple[str, ...] = ()
    """The user's arguments, ``--name=value``; they win over ours of the same name."""
    shm_size: int | str | None = None
    """Size of /dev/shm; None: by the number of Python processes."""
    tmp_size: int | str | None = None
    """Size of /tmp; None: `TMP_SIZE`."""
    repository: str = names.MODEL_ROOT
    """Directory of the model repository."""
    traced: traces.ServerTraces | None = None
    """Where its spans go, if its version is one that may trace; None: it traces nothing."""

    @property
    def known_version(self) -> Version:
        """Major and minor of its version; `OLDEST` where it is unknown or older."""
        return max(parse_version(self.version) or OLDEST, OLDEST)

    @property
    def has_grpc(self) -> bool:
        """Whether the gRPC endpoint is on."""
        return Protocol.GRPC in self.protocols

    @property
    def has_gpu(self) -> bool:
        """Whether the container requests a GPU."""
        return any(resource.startswith("nvidia.com/") for resource in self.limits)

    @property
    def grace_seconds(self) -> int:
        """Time from the pod's deletion to SIGKILL."""
        return PRE_STOP_SECONDS + self.drain_seconds + UNLOAD_SECONDS

    @property
    def ready_path(self) -> str:
        """Readiness of the model, because a server without a model reports itself ready."""
        return f"/v2/models/{self.model_name}/ready"


def render_container(
    server: TritonServer,
    *,
    env: Iterable[EnvVar] = (),
    mounts: Sequence[Manifest] = (),
    claims: Sequence[str] = (),
) -> Manifest:
    """Return the Triton container.

    Args:
        server: what it serves, and how.
        env: the user's variables.
        mounts: mounts besides its own.
        claims: names of the pod's resource claims; the container uses all of them.

    """
    volume_mounts = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- a volume of this pod only
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        *mounts,
    ]

    return {
        "name": CONTAINER,
        "image": server.image,
        "args": render_args(server),
        "env": list(_environment_variables(server, env)),
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in open_ports(server).items()
        ],
        "resources": _container_resources(server, claims),
        **render_probes(server),
        "lifecycle": {"preStop": {"exec": {"command": _wait_for_clients(server)}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": SECURITY_CONTEXT,
        "volumeMounts": volume_mounts,
    }


def render_args(server: TritonServer) -> list[str]:
    """Return the command line; the image's entry point runs it.

    The key of the restricted APIs is a ``$(VARIABLE)`` that the kubelet expands, so that it stands
    in no manifest.
    """
    version = server.known_version
    users = {argument.removeprefix("--").partition("=")[0] for argument in server.args}
    flags = [
        f"--{flag}={value}"
        for flag, value in _wanted_flags(server)
        if FIRST_VERSION[flag] <= version and flag not in users
    ]
    return ["tritonserver", *flags, *server.args]


def _wait_for_clients(server: TritonServer) -> list[str]:
    return ["sh", "-c", WAIT_FOR_CLIENTS, "sh", str(server.drain_seconds)]


def render_probes(server: TritonServer) -> Manifest:
    """Return the startup, readiness and liveness probes."""
    ready = {"path": server.ready_path, "port": "http"}
    live = {"path": "/v2/health/live", "port": "http"}
    startup_polls = -(-server.start_seconds // STARTUP_PERIOD_SECONDS)

    return {
        "startupProbe": {
            "httpGet": ready,
            "periodSeconds": STARTUP_PERIOD_SECONDS,
            "timeoutSeconds": 3,
            "failureThreshold": startup_polls,
        },
        "readinessProbe": {
            "httpGet": ready,
            "periodSeconds": 2,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": live,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def render_volumes(server: TritonServer) -> list[Manifest]:
    """Return the volumes that every Triton needs, because its root file system is read-only.

    The Python backend unpacks environments directly under /tmp, and gives every process at least
    1 MiB of /dev/shm, which grows with its tensors: Triton crashes when that runs out. Memory used
    there counts against the memory limit; a size limit that is not used up does not.
    """
    shm_size = server.shm_size or f"{256 + 64 * server.python_instances}Mi"
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": server.tmp_size or TMP_SIZE}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shm_size}},
    ]


def open_ports(server: TritonServer) -> dict[str, int]:
    """Return the open ports by name."""
    grpc = {"grpc": names.TRITON_GRPC_PORT} if server.has_grpc else {}
    return {"http": names.TRITON_HTTP_PORT, **grpc, "metrics": names.TRITON_METRICS_PORT}


def _wanted_flags(server: TritonServer) -> Iterator[tuple[str, str]]:
    yield "model-repository", server.repository
    yield "model-control-mode", "none"
    yield "exit-on-error", "true"
    yield "strict-readiness", "true"
    yield "exit-timeout-secs", str(server.drain_seconds)

    key = f"{RESTRICTED_APIS}:{ADMIN_HEADER}=$({ADMIN_KEY})"
    yield "allow-http", "true"  # the kubelet's probes need it, whatever clients speak
    yield "http-port", str(names.TRITON_HTTP_PORT)
    if server.is_ipv6:
        yield "http-address", ANY_IPV6  # of the metrics, too; gRPC listens on both families anyway
    yield "http-restricted-api", key
    yield "allow-grpc", str(server.has_grpc).lower()
    if server.has_grpc:
        yield "grpc-port", str(names.TRITON_GRPC_PORT)
        yield "grpc-restricted-protocol", key

    yield "allow-metrics", "true"
    yield "metrics-port", str(names.TRITON_METRICS_PORT)
    if not server.has_gpu:
        yield "allow-gpu-metrics", "false"
        yield "pinned-memory-pool-byte-size", "0"

    yield "allow-client-shm", "false"
    yield "log-info", "false"  # so that the last 2 KiB of a failed start hold the reason
    yield "log-format", "ISO8601"
    if server.traced is not None:
        for setting in traces.server_settings(server.traced):
            yield "trace-config", setting


def _environment_variables(server: TritonServer, user: Iterable[EnvVar]) -> Iterator[Manifest]:
    """The user's variables override ours, except for the key of the restricted APIs."""
    variables: dict[str, Manifest] = {
        "HOME": {"value": "/tmp"},  # noqa: S108
        "PYTHONDONTWRITEBYTECODE": {"value": "1"},
    }
    if server.traced is not None and FIRST_VERSION["trace-config"] <= server.known_version:
        variables[traces.EXPORT_TIMEOUT_VARIABLE] = {"value": traces.EXPORT_TIMEOUT}
    variables |= {variable.name: _variable_value(variable) for variable in user}
    variables.pop(ADMIN_KEY, None)

    yield {"name": ADMIN_KEY, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    for name, value in variables.items():
        yield {"name": name, **value}


def _variable_value(variable: EnvVar) -> Manifest:
    if variable.value_from is None:
        return {"value": variable.value}
    return {"valueFrom": variable.value_from.wire()}


def _container_resources(server: TritonServer, claims: Sequence[str]) -> Manifest:
    wanted = {"requests": server.requests, "limits": server.limits}
    resources: Manifest = {name: dict(amounts) for name, amounts in wanted.items() if amounts}
    if claims:
        resources["claims"] = [{"name": name} for name in claims]
    return resources
