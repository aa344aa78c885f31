"""How a pod gets at a model source: the init container of Fetch mode, and claims as volumes."""

from urllib.parse import urlsplit

from slipway.api import names
from slipway.api.base import ApiModel, Manifest
from slipway.api.request import ENVIRONMENT_VARIABLE, SOURCE_MOUNT, PackageRequest
from slipway.render.triton import SECURITY_CONTEXT

SOURCE_VOLUME = "source"
CLAIM_SCHEME = "pvc"
RESOURCES: Manifest = {
    "requests": {"cpu": "10m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}
"""Files are streamed, so that memory does not depend on the model's size. A pod needs what its
largest container asks for, so the few seconds of this one must not raise what a small server takes.
"""


def render_fetch_container(image: str, request: PackageRequest, model_volume: str) -> Manifest:
    """Return the init container; it writes the model repository to `model_volume`.

    Its user needs write access to that volume only. `fetch_volumes` has what else it mounts.
    """
    return {
        "name": "fetch",
        "image": image,
        "args": ["package"],
        "env": [order(request)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": SECURITY_CONTEXT,
        "resources": RESOURCES,
        "volumeMounts": [
            {"name": model_volume, "mountPath": request.deliver_to or names.MODEL_ROOT},
            *claim_mounts(request.source.uri, SOURCE_VOLUME, SOURCE_MOUNT),
        ],
    }


def fetch_volumes(request: PackageRequest) -> list[Manifest]:
    """Return the pod's volumes that the init container needs beside the model volume."""
    return claim_volumes(request.source.uri, SOURCE_VOLUME)


def order(request: ApiModel) -> Manifest:
    """Return the environment variable that carries a request."""
    text = request.model_dump_json(by_alias=True, exclude_none=True)
    return {"name": ENVIRONMENT_VARIABLE, "value": _literal(text)}


def claim_volumes(uri: str, volume: str) -> list[Manifest]:
    """Return the volume of a ``pvc://`` URI; none for the other schemes.

    The volume itself is read-only, not just its mount: the kubelet then changes no ownership of
    files in it.
    """
    parts = urlsplit(uri)
    if parts.scheme != CLAIM_SCHEME:
        return []
    claim = {"claimName": parts.netloc, "readOnly": True}
    return [{"name": volume, "persistentVolumeClaim": claim}]


def claim_mounts(uri: str, volume: str, path: str) -> list[Manifest]:
    """Return the mount that goes with `claim_volumes`."""
    return [
        {"name": item["name"], "mountPath": path, "readOnly": True}
        for item in claim_volumes(uri, volume)
    ]


def _literal(text: str) -> str:
    """The kubelet reads ``$(NAME)`` in a value as a reference, and ``$$`` as one dollar."""
    return text.replace("$", "$$")
