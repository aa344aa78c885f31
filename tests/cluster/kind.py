"""The cluster where Docker is: kind's, with a registry that all of its users reach by one name."""

import subprocess
from pathlib import Path

from tests.cluster import settings, tools
from tests.cluster.choose import Kind
from tests.cluster.clone import Access
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress

REGISTRY_CONTAINER = "slipway-registry"
REGISTRY_IMAGE = "registry:2"
NETWORK = "kind"
PORT = 5000
CONTROL_PLANE = f"{settings.NAME}-control-plane"
_ADDRESS = '{{(index .NetworkSettings.Networks "kind").IPAddress}}'
# Newer node images have this by default.
_CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
"""


def up(progress: Progress) -> Access:
    """Return the way into a kind cluster, made if it is not there.

    Raises:
        ClusterError: kind or docker refused; with their words.

    """
    program = str(tools.kind(progress))
    with progress.step("starting kind"), progress.ticking():
        if settings.NAME not in _run(program, "get", "clusters").split():
            create = ("create", "cluster", f"--name={settings.NAME}", "--config=-", "--wait=180s")
            _run(program, *create, text=_CONFIG)
        registry = _registry()
        _teach_nodes(program, registry)
    return Access(
        kind=Kind.KIND,
        kubeconfig=_run(program, "get", "kubeconfig", f"--name={settings.NAME}"),
        kubectl=tools.kubectl(progress),
        helm=tools.helm(progress),
        registry=registry,
        details={"node": CONTROL_PLANE, "auditLog": None},
    )


def down() -> bool:
    """Remove the cluster and its registry; False when neither is there."""
    listed = _run("docker", "ps", "--all", "--format={{.Names}}").split()
    ours = [name for name in listed if name in {REGISTRY_CONTAINER, CONTROL_PLANE}]
    if CONTROL_PLANE in ours:
        program = str(tools.kind(Progress()))
        _run(program, "delete", "cluster", f"--name={settings.NAME}")
    if REGISTRY_CONTAINER in ours:
        _run("docker", "rm", "--force", "--volumes", REGISTRY_CONTAINER)
    return bool(ours)


def _registry() -> str:
    """Return the registry's address on kind's network: on Linux the host reaches it there too."""
    listed = _run("docker", "ps", "--all", "--format={{.Names}}").split()
    if REGISTRY_CONTAINER not in listed:
        name = f"--name={REGISTRY_CONTAINER}"
        delete = "--env=REGISTRY_STORAGE_DELETE_ENABLED=true"
        _run("docker", "run", "--detach", name, f"--network={NETWORK}", delete, REGISTRY_IMAGE)
    _run("docker", "start", REGISTRY_CONTAINER)
    address = _run("docker", "inspect", f"--format={_ADDRESS}", REGISTRY_CONTAINER).strip()
    return f"{address}:{PORT}"


def _teach_nodes(program: str, registry: str) -> None:
    """Tell every node's containerd that the registry speaks plain HTTP."""
    directory = f"/etc/containerd/certs.d/{registry}"
    hosts = f'server = "http://{registry}"\n[host."http://{registry}"]\n'
    for node in _run(program, "get", "nodes", f"--name={settings.NAME}").split():
        _run("docker", "exec", node, "mkdir", "-p", directory)
        to_file = ("cp", "/dev/stdin", f"{directory}/hosts.toml")
        _run("docker", "exec", "--interactive", node, *to_file, text=hosts)


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shown = f"{Path(command[0]).name} {' '.join(command[1:])}"
        raise ClusterError(f"'{shown}' failed: {done.stderr.strip()}")
    return done.stdout
