"""How a pod reads a model source: the init container of Fetch mode, and claims as volumes."""

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
"""Files are streamed, so memory does not depend on the model's size. A pod requests what its
largest container requests, so these few seconds must not raise what a small server takes.
"""


def render_fetch_container(image: str, request: PackageRequest, model_volume: str) -> Manifest:
    """Return the init container; it writes the model repository to `model_volume`.

    It needs write access to that volume only. `render_fetch_volumes` returns what it also
    mounts.
    """
    mounts = [
        {"name": model_volume, "mountPath": request.deliver_to or names.MODEL_ROOT},
        *render_claim_mounts(request.source.uri, SOURCE_VOLUME, SOURCE_MOUNT),
    ]

    return {
        "name": "fetch",
        "image": image,
        "args": ["package"],
        "env": [render_request(request)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": SECURITY_CONTEXT,
        "resources": RESOURCES,
        "volumeMounts": mounts,
    }


def render_fetch_volumes(request: PackageRequest) -> list[Manifest]:
    """Return the pod's volumes that the init container needs besides the model volume."""
    return render_claim_volumes(request.source.uri, SOURCE_VOLUME)


def render_request(request: ApiModel) -> Manifest:
    """Return the environment variable that carries a request to its program."""
    text = request.model_dump_json(by_alias=True, exclude_none=True)
    return {"name": ENVIRONMENT_VARIABLE, "value": _escape_references(text)}


def render_claim_volumes(uri: str, volume: str) -> list[Manifest]:
    """Return the volume of a ``pvc://`` URI; none for the other schemes.

    The volume itself is read-only, not just its mount: otherwise the kubelet would change the
    ownership of files in it.
    """
    # Not parsed as an address: one that is none is for the Job to report.
    scheme, _, rest = uri.partition("://")
    if scheme != CLAIM_SCHEME:
        return []
    claim = {"claimName": rest.partition("/")[0], "readOnly": True}
    return [{"name": volume, "persistentVolumeClaim": claim}]


def render_claim_mounts(uri: str, volume: str, path: str) -> list[Manifest]:
    """Return the mount of what `render_claim_volumes` returns."""
    return [
        {"name": item["name"], "mountPath": path, "readOnly": True}
        for item in render_claim_volumes(uri, volume)
    ]


def _escape_references(text: str) -> str:
    """The kubelet reads ``$(NAME)`` in a value as a reference, and ``$$`` as one dollar."""
    return text.replace("$", "$$")
