"""The golden set: recorded inputs with the outputs that a good model gives.

A directory or archive holds ``golden.yaml`` (`GoldenFile`) and either ``cases/*.json``, one
`GoldenCase` each, or ``cases.npz`` with arrays ``input.<name>`` and ``output.<name>`` whose first
axis is the case. Unknown fields are refused: a misspelt tolerance would judge by the default.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from slipway.api.base import ApiModel

FILE = "golden.yaml"
ARRAYS = "cases.npz"
CASES = "cases/"
INPUT_PREFIX = "input."
OUTPUT_PREFIX = "output."


class GoldenModel(ApiModel):
    """Base of what people write by hand."""

    model_config = ConfigDict(extra="forbid")


class Regression(StrEnum):
    """What happens where enough cases agree, but fewer than stable's."""

    FAIL = "Fail"
    """The revision is rejected where chance explains it in fewer than one case of a hundred."""
    REPORT = "Report"
    """It is said, and nothing else."""


class Compare(StrEnum):
    """When an output agrees with the expected one."""

    TOLERANCE = "Tolerance"
    ARG_MAX = "ArgMax"
    EQUAL = "Equal"


class ToleranceRule(GoldenModel):
    """Every number is within ``atol + rtol · |expected|``."""

    compare: Literal[Compare.TOLERANCE]
    rtol: Annotated[float, Field(ge=0)] = 1e-3
    """Relative tolerance; ratio."""
    atol: Annotated[float, Field(ge=0)] = 1e-5
    """Absolute tolerance, in the output's own unit."""


class ArgMaxRule(GoldenModel):
    """The largest number along the last axis is at the same place, in every row."""

    compare: Literal[Compare.ARG_MAX]


class EqualRule(GoldenModel):
    """Every element is the same; for labels and strings."""

    compare: Literal[Compare.EQUAL]


Rule = Annotated[ToleranceRule | ArgMaxRule | EqualRule, Field(discriminator="compare")]


class GoldenFile(GoldenModel):
    """``golden.yaml``."""

    outputs: Annotated[dict[str, Rule], Field(min_length=1)]
    """Rule by output name; outputs without a rule are not compared."""


class GoldenTensor(GoldenModel):
    """A tensor as the V2 inference protocol writes it."""

    name: Annotated[str, Field(min_length=1)]
    datatype: str
    """Triton's name, as FP32."""
    shape: list[Annotated[int, Field(ge=0)]]
    """As clients send it, with the batch dimension where the model batches."""
    data: list[Any]
    """Numbers, booleans or strings, row by row; nested or flat."""


class GoldenCase(GoldenModel):
    """One file below ``cases/``."""

    id: str | None = None
    """For messages; default: the file's name."""
    inputs: Annotated[list[GoldenTensor], Field(min_length=1)]
    outputs: Annotated[list[GoldenTensor], Field(min_length=1)]
