"""Packaging: how the model gets into the pods."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, ObjectName, list_map


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


class Packaging(ApiModel):
    """How the model gets into the pods."""

    mode: PackagingMode | None = None
    """Image: a container image per version, with the model on top of server.image. Fetch: an init
    container fetches the model on every start. Auto: Image where the registry accepts pushes
    without a secret or pushSecretRef is set, else Fetch. Default: Auto."""
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
