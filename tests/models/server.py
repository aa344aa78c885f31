"""Hands the sample models out over HTTP inside the cluster, from a ConfigMap: no volume needed."""

import base64
import hashlib
from collections.abc import Mapping

from tests.kubectl import POD_SECURITY, RESTRICTED, Kubectl, Manifest

NAME = "sample-models"
PORT = 8080
DIRECTORY = "/srv/models"
READY_SECONDS = 120.0


def serve_files(kubectl: Kubectl, namespace: str, image: str, files: Mapping[str, bytes]) -> None:
    """Serve the files, or other ones than before, from a pod of `image`, which has Python.

    Raises:
        KubectlError: the cluster refused it, or the pod was not ready in time.

    """
    kubectl.apply_server_side(*render_server(namespace, image, files))
    words = ("rollout", "status", f"deployment/{NAME}", "-n", namespace)
    kubectl.run(*words, f"--timeout={READY_SECONDS:.0f}s", seconds=READY_SECONDS + 10)


def uri(namespace: str, file: str) -> str:
    """Return where a pod finds the file."""
    return f"http://{NAME}.{namespace}.svc:{PORT}/{file}"


def render_server(namespace: str, image: str, files: Mapping[str, bytes]) -> list[Manifest]:
    """Return ConfigMap, Deployment and Service; other files make other pods."""
    metadata = {"name": NAME, "namespace": namespace, "labels": {"app": NAME}}
    content = {name: base64.b64encode(data).decode() for name, data in sorted(files.items())}
    port = {"name": "http", "port": PORT, "targetPort": "http"}

    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": content},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": NAME}},
                "template": _pod(image, _digest(files)),
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": [port]},
        },
    ]


def _pod(image: str, digest: str) -> Manifest:
    return {
        "metadata": {"labels": {"app": NAME}, "annotations": {"files": digest}},
        "spec": render_pod_spec(image, {"configMap": {"name": NAME}}),
    }


def render_pod_spec(image: str, volume: Manifest, *, is_writable: bool = False) -> Manifest:
    """Return the pod that serves what lies in a volume, which is without its name here."""
    command = ["python", "-m", "http.server", str(PORT), "--directory", DIRECTORY]
    mount = {"name": "files", "mountPath": DIRECTORY, "readOnly": not is_writable}
    container = {
        "name": "server",
        "image": image,
        "command": command,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [mount],
    }

    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "files", **volume}],
    }


def _digest(files: Mapping[str, bytes]) -> str:
    hasher = hashlib.sha256()
    for name, data in sorted(files.items()):
        hasher.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    return hasher.hexdigest()
