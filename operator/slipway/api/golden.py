"""Files of a golden set: recorded inputs with the outputs that are expected of a good model.

A directory or archive holds ``golden.yaml`` (`GoldenFile`) and either ``cases/*.json``, one
`GoldenCase` each, or ``cases.npz`` with arrays ``input.<name>`` and ``output.<name>`` whose first
axis is the case. Unknown fields are errors: a misspelt tolerance would silently be the default.
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
    """Base of the files that people write by hand."""

    model_config = ConfigDict(extra="forbid")


class Regression(StrEnum):
    """What happens when enough cases agree, but significantly fewer than on stable."""

    FAIL = "Fail"
    """The revision is rejected: chance alone would explain it less than once in 100 times."""
    REPORT = "Report"
    """The message reports it; the revision is not rejected."""


class Compare(StrEnum):
    """Kind of rule by which an output agrees with the expected one."""

    TOLERANCE = "Tolerance"
    ARG_MAX = "ArgMax"
    EQUAL = "Equal"


class ToleranceRule(GoldenModel):
    """Every number is within ``atol + rtol · |expected|`` of the expected one."""

    compare: Literal[Compare.TOLERANCE]
    rtol: Annotated[float, Field(ge=0)] = 1e-3
    """Relative tolerance, as a ratio."""
    atol: Annotated[float, Field(ge=0)] = 1e-5
    """Absolute tolerance, in the output's own unit."""


class ArgMaxRule(GoldenModel):
    """The largest number along the last axis has the same index, in every row."""

    compare: Literal[Compare.ARG_MAX]


class EqualRule(GoldenModel):
    """Every element is equal; for labels and strings."""

    compare: Literal[Compare.EQUAL]


Rule = Annotated[ToleranceRule | ArgMaxRule | EqualRule, Field(discriminator="compare")]


class GoldenFile(GoldenModel):
    """``golden.yaml``."""

    outputs: Annotated[dict[str, Rule], Field(min_length=1)]
    """Rules by output name; outputs without a rule are not compared."""


class GoldenTensor(GoldenModel):
    """A tensor as the V2 inference protocol writes it."""

    name: Annotated[str, Field(min_length=1)]
    datatype: str
    """Triton's name of the type, for example FP32."""
    shape: list[Annotated[int, Field(ge=0)]]
    """As clients send it, with the batch dimension where the model batches."""
    data: list[Any]
    """Numbers, booleans or strings in row-major order; nested or flat."""
    parameters: dict[str, Any] = {}
    """Stands in a pasted request or answer; ignored."""


class GoldenCase(GoldenModel):
    """A file below ``cases/``."""

    id: str | None = None
    """Name of the case in messages; default: the file's name."""
    model_name: Annotated[str, Field(alias="model_name")] = ""
    """Stands in a pasted answer; ignored, like the next two."""
    model_version: Annotated[str, Field(alias="model_version")] = ""
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[GoldenTensor], Field(min_length=1)]
    outputs: Annotated[list[GoldenTensor], Field(min_length=1)]
