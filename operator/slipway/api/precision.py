"""Precision: what a model's numbers are converted to, and what the conversion gave."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, Digest


class Precision(StrEnum):
    """What the floating-point numbers of a model become."""

    FP16 = "FP16"
    INT8_DYNAMIC = "INT8Dynamic"
    """Weights become 8-bit integers now, inputs of layers while they are computed."""


class Optimized(ApiModel):
    """A model that was converted, beside the one of the source."""

    precision: Precision
    """What its numbers were converted to."""
    digest: Digest
    """Digest of the converted files: those that are served."""
    bytes_before: int
    """Size of the source's model with its external weights, in bytes."""
    bytes: int
    """The same of the converted model."""
    cpu_milliseconds_before: float | None = None
    """Time of one core that the source's model takes for a request of batch 1, in milliseconds;
    absent where nothing says what size its inputs have."""
    cpu_milliseconds: float | None = None
    """The same of the converted model, measured in turn with it."""
    notes: Annotated[
        list[Annotated[str, Field(max_length=1024)]],
        Field(max_length=4, json_schema_extra=ATOMIC),
    ] = []
    """One sentence each: what may cost accuracy, or why there is no time."""
