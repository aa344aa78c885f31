"""Traffic: how clients reach the model."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel
from slipway.api.modelroute import HeaderMatch


class RouterKind(StrEnum):
    """What splits the traffic."""

    AUTO = "Auto"
    """The same as Builtin."""
    BUILTIN = "Builtin"
    """The router of the namespace: Envoy, run by Slipway."""


class Traffic(ApiModel):
    """How clients reach the model."""

    router: RouterKind = RouterKind.AUTO
    """What splits the traffic; Auto and Builtin are the same."""
    candidate_header: HeaderMatch | None = None
    """Header that sends a request to the candidate once its checks have passed. Default: none."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout in seconds; 0 means none."""
