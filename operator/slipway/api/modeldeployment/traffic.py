"""How clients reach the model."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel
from slipway.api.modelroute import HeaderMatch


class RouterKind(StrEnum):
    """What splits the traffic."""

    AUTO = "Auto"
    BUILTIN = "Builtin"


class Traffic(ApiModel):
    """How clients reach the model."""

    router: RouterKind = RouterKind.AUTO
    candidate_header: HeaderMatch | None = None
    """Requests with this header reach the candidate after its checks; off unless set."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout; 0 is none."""
