"""How the model gets into the pods."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, ObjectName, list_map


class LocalSecret(ApiModel):
    """A Secret in the ModelDeployment's own namespace."""

    name: ObjectName


class PackagingMode(StrEnum):
    """How the model gets into the pods."""

    AUTO = "Auto"
    """Image if the registry needs no secret or pushSecretRef is set; else Fetch."""
    IMAGE = "Image"
    """A container image per version: weights and configuration appended to server.image."""
    FETCH = "Fetch"
    """An init container fetches the model on every start."""


class Packaging(ApiModel):
    """How a container is built for a version."""

    mode: PackagingMode | None = None
    repository: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
                max_length=255,
            ),
        ]
        | None
    ) = None
    """Where images go, without a tag; default <registry.prefix>/<namespace>/<name>."""
    push_secret_ref: LocalSecret | None = None
    """Secret of type kubernetes.io/dockerconfigjson."""
    pull_secret_refs: (
        Annotated[list[LocalSecret], Field(max_length=8, json_schema_extra=list_map("name"))] | None
    ) = None
    """For pods and for reading the base image; default: the push secret."""
