"""How many replicas a revision has."""

from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel


class Scaling(ApiModel):
    """How many replicas a revision has."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
