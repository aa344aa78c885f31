"""How a pod reads a model source: the init container of Fetch mode, and claims as volumes."""

from slipway.api import names
from slipway.api.base import ApiModel, Manifest
from slipway.api.request import (
    CACHE_MOUNT,
    ENVIRONMENT_VARIABLE,
    KEY_FILE,
    SOURCE_CA_MOUNT,
    SOURCE_KEY_MOUNT,
    SOURCE_MOUNT,
    SOURCE_SECRET_MOUNT,
    AccessRequest,
    PackageRequest,
    SourceRequest,
    VerifyRequest,
)
from slipway.render.placement import render_resources
from slipway.render.triton import SECURITY_CONTEXT
from slipway.settings import ContainerResources

SOURCE_VOLUME = "source"
SECRET_VOLUME = "source-secret"  # noqa: S105 - the name of a volume
AUTHORITY_VOLUME = "source-ca"
KEY_VOLUME = "source-key"
CACHE_VOLUME = "fetch-cache"
CLAIM_SCHEME = "pvc"
REGISTRY = "mlflow://"
"""Its files may be in any store, which only the Job learns."""
AZURE_IDENTITY = "azure.workload.identity"
"""Prefix of the label by which Azure's webhook finds pods, and of an annotation."""
RESOURCES: Manifest = {
    "requests": {"cpu": "10m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}
"""Files are streamed, so memory does not depend on the model's size. A pod requests what its
largest container requests, so these few seconds must not raise what a small server takes.
"""
HOLD_RESOURCES: Manifest = {
    "requests": {"cpu": "10m", "memory": "16Mi"},
    "limits": {"memory": "64Mi"},
}
CONVERTER_RESOURCES: Manifest = {
    "requests": {"cpu": "10m", "memory": "512Mi"},
    "limits": {"memory": "8Gi"},
}
"""A conversion has the whole model in memory, several times."""


def render_fetch_container(
    image: str,
    request: PackageRequest,
    model_volume: str,
    *,
    converter: ContainerResources | None = None,
    has_cache: bool = False,
) -> Manifest:
    """Return the init container; it writes the model repository to `model_volume`.

    It needs write access to that volume only, and to the cache where there is one: the server's
    container, in which a model's code runs, never sees the cache. `render_fetch_volumes` returns
    what it also mounts. `converter`: what a container that converts the model is given; None: it
    does not.
    """
    cache: list[Manifest] = [{"name": CACHE_VOLUME, "mountPath": CACHE_MOUNT}]
    mounts = [
        {"name": model_volume, "mountPath": request.deliver_to or names.MODEL_ROOT},
        *(cache if has_cache else []),
        *render_source_mounts(request.source, SOURCE_VOLUME, SOURCE_MOUNT),
    ]

    return {
        "name": "fetch",
        "image": image,
        "args": ["package"],
        "env": [render_request(request)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": SECURITY_CONTEXT,
        "resources": render_fetch_resources(ContainerResources(), converter),
        "volumeMounts": mounts,
    }


def render_hold_container(image: str, request: PackageRequest) -> Manifest:
    """Return the sidecar that keeps the model in the cache while the pod runs.

    It comes before the container that fetches, so that no other pod removes the model between the
    two.
    """
    digest = request.source.digest or ""
    return {
        "name": names.HOLD_CONTAINER,
        "image": image,
        "args": ["hold", f"{CACHE_MOUNT}/{names.CACHE_FOLDER}/{names.used_file(digest)}"],
        "restartPolicy": "Always",
        "securityContext": SECURITY_CONTEXT,
        "resources": HOLD_RESOURCES,
        "volumeMounts": [{"name": CACHE_VOLUME, "mountPath": CACHE_MOUNT}],
    }


def render_fetch_resources(
    given: ContainerResources, converter: ContainerResources | None = None
) -> Manifest:
    """Return the resources of a container that reads a source, or also converts a model."""
    if converter is not None:
        return render_resources(CONVERTER_RESOURCES, converter)
    return render_resources(RESOURCES, given)


def render_fetch_volumes(request: PackageRequest) -> list[Manifest]:
    """Return the pod's volumes that the init container needs besides the model volume."""
    return render_source_volumes(request.source, SOURCE_VOLUME)


def render_request(request: ApiModel) -> Manifest:
    """Return the environment variable that carries a request to its program."""
    text = request.model_dump_json(by_alias=True, exclude_none=True)
    return {"name": ENVIRONMENT_VARIABLE, "value": _escape_references(text)}


def render_source_volumes(source: SourceRequest | None, claim: str) -> list[Manifest]:
    """Return the volumes that a source needs: its claim, Secret, authority and public key.

    A Secret or ConfigMap that is missing does not hold the pod up, where nobody would see why: the
    Job finds the volume empty, and names it.
    """
    if source is None:
        return []
    access = source.access or AccessRequest()
    volumes = render_claim_volumes(source.uri, claim)
    if access.secret is not None:
        secret = {"secretName": access.secret, "optional": True}
        volumes.append({"name": SECRET_VOLUME, "secret": secret})
    if access.ca_config_map is not None:
        authority = {"name": access.ca_config_map, "optional": True}
        volumes.append({"name": AUTHORITY_VOLUME, "configMap": authority})
    return [*volumes, *_render_key_volumes(source.verify)]


def _render_key_volumes(verify: VerifyRequest | None) -> list[Manifest]:
    """Only the public key is mounted: the Secret may hold the private one beside it."""
    if verify is None or verify.public_key is not None:
        return []
    content = {"items": [{"key": verify.key, "path": KEY_FILE}], "optional": True}
    if verify.secret is not None:
        return [{"name": KEY_VOLUME, "secret": {"secretName": verify.secret, **content}}]
    return [{"name": KEY_VOLUME, "configMap": {"name": verify.config_map, **content}}]


def render_source_mounts(
    source: SourceRequest | None, claim: str, claim_path: str
) -> list[Manifest]:
    """Return the mounts of what `render_source_volumes` returns."""
    paths = {
        claim: claim_path,
        SECRET_VOLUME: SOURCE_SECRET_MOUNT,
        AUTHORITY_VOLUME: SOURCE_CA_MOUNT,
        KEY_VOLUME: SOURCE_KEY_MOUNT,
    }
    return [
        {"name": item["name"], "mountPath": paths[item["name"]], "readOnly": True}
        for item in render_source_volumes(source, claim)
    ]


def render_identity(source: SourceRequest | None) -> Manifest:
    """Return the field of a pod's spec by which it fetches with an identity of its own."""
    account = source.access.service_account if source is not None and source.access else None
    return {} if account is None else {"serviceAccountName": account}


def render_identity_labels(source: SourceRequest | None) -> dict[str, str]:
    """Return the labels of a pod that fetches with an identity of its own.

    Azure's webhook acts on labelled pods only; those of AWS and Google need none.
    """
    is_azure = source is not None and source.uri.startswith(("az://", REGISTRY))
    return {f"{AZURE_IDENTITY}/use": "true"} if is_azure and render_identity(source) else {}


def render_identity_annotations(source: SourceRequest, server: str) -> dict[str, str]:
    """Return annotations that keep the identity from the server's container: a model brings code.

    They are those of the webhooks of AWS and Azure, which give tokens to each container.
    """
    if not render_identity(source):
        return {}
    prefixes = {
        f"{AZURE_IDENTITY}/skip-containers": ("az://", REGISTRY),
        "eks.amazonaws.com/skip-containers": ("s3://", REGISTRY),
    }
    return {name: server for name, fits in prefixes.items() if source.uri.startswith(fits)}


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


def _escape_references(text: str) -> str:
    """The kubelet reads ``$(NAME)`` in a value as a reference, and ``$$`` as one dollar."""
    return text.replace("$", "$$")
