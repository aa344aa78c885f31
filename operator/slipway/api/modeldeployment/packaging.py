"""Packaging: how the model gets into the pods."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ApiModel, ObjectName, cel_rule, list_map
from slipway.api.modeldeployment.quantity import Quantity

CACHE_RULES: list[Any] = [
    cel_rule(
        "has(self.claimName) != has(self.hostPath)",
        "a cache needs exactly one of claimName and hostPath",
    ),
    cel_rule(
        "!has(self.maxSize) || isQuantity(string(self.maxSize))",
        "expected a quantity, such as 100Gi",
        ".maxSize",
    ),
]
PACKAGING_RULES: list[Any] = [
    cel_rule(
        "!has(self.cache) || !has(self.mode) || self.mode in ['Auto', 'Fetch']",
        "only mode Fetch fetches on the nodes; remove the cache, or set mode: Fetch",
        ".cache",
    ),
]


class LocalSecret(ApiModel):
    """A Secret in the ModelDeployment's own namespace."""

    name: ObjectName
    """Name of the Secret."""


class PackagingMode(StrEnum):
    """How the model gets into the pods."""

    AUTO = "Auto"
    """Image where the operator may push to the registry, else Fetch."""
    IMAGE = "Image"
    """A container image per version: the model's files on top of server.image."""
    FETCH = "Fetch"
    """An init container fetches the model on every start of a pod."""
    VOLUME = "Volume"
    """An image of the model alone, which the kubelet mounts beside server.image."""


class FetchCache(ApiModel):
    """Where pods keep fetched models, so that the next pod on the node does not fetch again."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": CACHE_RULES}}

    claim_name: ObjectName | None = None
    """PersistentVolumeClaim of the namespace, which every pod mounts writable."""
    host_path: Annotated[str, Field(pattern=r"^/[^:]*$", max_length=255)] | None = None
    """Directory of the nodes, writable for the pods' user; one that the operator's settings allow
    (modelPods.cacheHostPaths)."""
    max_size: Quantity | None = None
    """Size of all models in the cache, above which those go that were used longest ago, and that no
    pod runs with. Default: 100Gi."""


class Packaging(ApiModel):
    """How the model gets into the pods."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": PACKAGING_RULES}}

    mode: PackagingMode | None = None
    """Image: a container image per version, with the model on top of server.image. Fetch: an init
    container fetches the model on every start. Volume: an image of the model alone, which the
    kubelet mounts; Kubernetes 1.35 and containerd 2.1 or CRI-O 1.33. Auto: Image where the registry
    accepts pushes without a secret or pushSecretRef is set, else Fetch. Default: Auto."""
    repository: (
        Annotated[
            str,
            Field(
                pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
                max_length=255,
            ),
        ]
        | None
    ) = None
    """Repository for the images, `host[:port]/path` without a tag. Default:
    `<registry.prefix of the operator's settings>/<namespace>/<name>`."""
    push_secret_ref: LocalSecret | None = None
    """Secret of type kubernetes.io/dockerconfigjson, for pushing images. Default: none."""
    pull_secret_refs: (
        Annotated[list[LocalSecret], Field(max_length=8, json_schema_extra=list_map("name"))] | None
    ) = None
    """Secrets for pulling images, for pods and for the package Job. Default: the push secret."""
    cache: FetchCache | None = None
    """Where pods of mode Fetch keep what they fetched. Default: each pod fetches."""
