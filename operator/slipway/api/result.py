"""What a package or check Job leaves in its termination message: one JSON object."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Digest

MAX_BYTES = 3_500
"""Room that the kubelet's 4 KiB leave; the writer cuts texts until the object fits."""

EXIT_OK = 0
EXIT_PERMANENT = 1
EXIT_TRANSIENT = 75


class TensorSpec(ApiModel):
    """One input or output of a model."""

    name: str
    datatype: str
    """Triton's name, as FP32."""
    dims: list[int]
    """-1 is any. A check reports what clients must send, so that where the model batches the first
    is the batch; a package reports config.pbtxt's, without it. Compare like with like."""
    optional: bool = False


class Signature(ApiModel):
    """Inputs and outputs of a model, in the model's order."""

    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []


class JobError(ApiModel):
    """Why a Job failed."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)]
    """CamelCase, stable: DigestMismatch, SourceNotFound, UnsafeArchive, RegistryRefused …"""
    message: str
    """One sentence for people: the object, what was expected, what was found."""
    transient: bool = False
    """True when the same Job may succeed later."""


class PackageResult(ApiModel):
    """Result of a package Job."""

    error: JobError | None = None
    model_digest: Digest | None = None
    download_digest: Digest | None = None
    """sha256 of the downloaded file, where the source is one file."""
    image: str | None = None
    """``repository@sha256:…``; absent in Fetch mode."""
    base_digest: Digest | None = None
    """Digest of server.image as resolved; absent in Fetch mode unless it is part of the name."""
    server_version: str | None = None
    """Triton's version as far as it is known: the base image's label, else absent."""
    signature: Signature | None = None
    """From config.pbtxt or the ONNX graph, where either says."""
    format: str | None = None
    """The format as detected, a ModelFormat."""
    bytes: int = 0
    """Size of the model on disk."""
    reused: bool = False
    """True when the image was in the registry already."""
    seconds: dict[str, float] = {}
    """Wall time by phase: fetch, hash, pack, push."""
    warnings: list[str] = []


class CheckVerdict(StrEnum):
    """Outcome of the golden set and the signature."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class CheckReason(StrEnum):
    """Why a check came out as it did."""

    GOLDEN_SET_PASSED = "GoldenSetPassed"
    NO_GOLDEN_SET = "NoGoldenSet"
    """Passed on the signature alone."""
    GOLDEN_SET_FAILED = "GoldenSetFailed"
    GOLDEN_SET_REGRESSED = "GoldenSetRegressed"
    """Enough cases agree, and yet it is worse than stable on the same ones."""
    SIGNATURE_CHANGED = "SignatureChanged"
    NOT_CHECKED = "NotChecked"
    """See the error."""


class StableComparison(ApiModel):
    """The same golden set, asked of stable."""

    agreed: int
    worse: int
    """Cases in which stable agrees and the candidate does not."""
    better: int
    """Cases in which the candidate agrees and stable does not."""
    p: float
    """McNemar's exact test, two-sided."""


class CheckResult(ApiModel):
    """Result of a check Job."""

    error: JobError | None = None
    """The check itself could not run; then the verdict is Inconclusive."""
    verdict: CheckVerdict = CheckVerdict.INCONCLUSIVE
    reason: CheckReason = CheckReason.NOT_CHECKED
    message: str = ""
    """One sentence with the numbers."""
    cases: int = 0
    agreed: int = 0
    at_least: float | None = None
    """Lower bound of the true share of agreement, with 95 % confidence."""
    stable: StableComparison | None = None
    """None where stable was not asked: there is none, or it does not answer."""
    golden_digest: Digest | None = None
    signature: Signature | None = None
    """As the running server reports it."""
