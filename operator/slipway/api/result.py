"""Results of package and check Jobs: one JSON object in the container's termination message."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, Digest
from slipway.api.modelroute import ShadowOutput
from slipway.api.precision import Optimized
from slipway.api.reasons import Reason

MAX_BYTES = 3_500
"""Largest termination message; the kubelet keeps 4 KiB. Longer texts are cut until it fits."""

MOST_DISAGREEMENTS = 5
"""Cases that disagree, of one check."""
LONGEST_CASE_NAME = 48
LONGEST_CASE_TEXT = 160
LONGEST_CASE_INPUT = 160
LONGEST_CASE_OUTPUT = 80

EXIT_OK = 0
EXIT_PERMANENT = 1
EXIT_TRANSIENT = 75


class TensorSpec(ApiModel):
    """One input or output of a model."""

    name: str
    datatype: str
    """Triton's name of the type, for example FP32."""
    dims: list[int]
    """Dimensions; -1 is any size.

    A check reports what clients send, with the batch dimension where the model batches. A package
    Job reports those of config.pbtxt, without it. The two cannot be compared with each other.
    """
    optional: bool = False


class Signature(ApiModel):
    """Inputs and outputs of a model, in the model's order."""

    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    max_batch_size: int | None = None
    """Largest batch of one request, as a running server has it; 0 where it does not batch."""


class JobError(ApiModel):
    """Why a Job failed."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)]
    """A `Reason`, or one of a newer Job that this version does not know."""
    message: str
    """One sentence for people: the object, the field, what was found, what was expected."""
    transient: bool = False
    """True when the same Job may succeed later."""


class SignedFile(ApiModel):
    """A file that a signature covers."""

    name: Annotated[str, Field(max_length=1024)]
    """Path in the source."""
    digest: Digest
    """Digest of its content."""


class SignedFiles(ApiModel):
    """What a signature said, after it was verified."""

    signer: Digest
    """Fingerprint of the public key, sha256 of its PEM text: the hint in the bundle."""
    key: Annotated[str, Field(max_length=1024)]
    """Where the public key was found."""
    count: int
    """Number of files that the signature covers."""
    files: Annotated[list[SignedFile], Field(max_length=16, json_schema_extra=ATOMIC)]
    """The first of them, as far as there is room; the image's annotations have more."""


MAX_WARNINGS = 8
"""Of one package Job, as far as they are kept."""
MAX_WARNING_LENGTH = 512
Warnings = Annotated[
    list[Annotated[str, Field(max_length=MAX_WARNING_LENGTH)]],
    Field(max_length=MAX_WARNINGS, json_schema_extra=ATOMIC),
]


class PackageResult(ApiModel):
    """Result of a package Job."""

    error: JobError | None = None
    model_digest: Digest | None = None
    download_digest: Digest | None = None
    """Digest of the downloaded file; absent where the source is not one file."""
    origin: str | None = None
    """Address at which the same bytes are found for ever: a branch or tag as its commit or digest;
    absent where the source's address may get others."""
    image: str | None = None
    """``repository@sha256:…`` of the servers' image; absent in Fetch mode."""
    model_image: str | None = None
    """``repository@sha256:…`` of the image that has the model alone; Volume mode only."""
    base_digest: Digest | None = None
    """Digest that server.image resolved to; absent in Fetch mode unless the image names it."""
    signed: SignedFiles | None = None
    """Who signed the files; absent where no signature is asked for."""
    optimized: Optimized | None = None
    """What the model was converted to; absent where no conversion is asked for."""
    server_version: str | None = None
    """Triton's version, from the base image's label; absent where it has none."""
    signature: Signature | None = None
    """From config.pbtxt, else from the ONNX graph; absent where neither declares it."""
    format: str | None = None
    """The `ModelFormat` that was detected."""
    bytes: int = 0
    """Size of all files of the source."""
    reused: bool = False
    """True when the registry already had the image."""
    seconds: dict[str, float] = {}
    """Wall time by phase: fetch, hash, verify, optimize, base, stream, pack, push,
    deliver."""
    warnings: list[str] = []
    """One sentence each, about what was changed or could not be determined; told in an event."""


class CheckVerdict(StrEnum):
    """Outcome of the golden set and the signature."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class CaseDisagreement(ApiModel):
    """A case that the candidate answered otherwise than expected: first values, for people."""

    name: Annotated[str, Field(max_length=LONGEST_CASE_NAME)]
    """Name of the case."""
    text: Annotated[str, Field(max_length=LONGEST_CASE_TEXT)]
    """What disagrees."""
    input: Annotated[str, Field(max_length=LONGEST_CASE_INPUT)] = ""
    """Name, shape and first values of each input; an ellipsis stands for the rest."""
    expected: Annotated[str, Field(max_length=LONGEST_CASE_OUTPUT)] = ""
    """The output that disagrees, as it was recorded; from the value that disagrees on."""
    got: Annotated[str, Field(max_length=LONGEST_CASE_OUTPUT)] = ""
    """The same output as the candidate answered it; empty if there was none."""


Disagreements = Annotated[
    list[CaseDisagreement], Field(max_length=MOST_DISAGREEMENTS, json_schema_extra=ATOMIC)
]


class StableComparison(ApiModel):
    """How stable answered the same golden set, case by case."""

    agreed: int
    """Cases in which stable agrees."""
    worse: int
    """Cases in which stable agrees and the candidate does not."""
    better: int
    """Cases in which the candidate agrees and stable does not."""
    p: float
    """p-value of McNemar's exact two-sided test; ratio in [0, 1]."""


class CheckResult(ApiModel):
    """Result of a check Job."""

    error: JobError | None = None
    """Why the check could not be completed; the verdict is then Inconclusive."""
    verdict: CheckVerdict = CheckVerdict.INCONCLUSIVE
    reason: Reason = Reason.NOT_CHECKED
    message: str = ""
    """One sentence with the numbers."""
    cases: int = 0
    """Cases in the golden set; 0 without one."""
    agreed: int = 0
    """Cases in which the candidate agrees."""
    disagreements: Disagreements = []
    """Some of the cases that disagree; empty where goldenSet.showCases is false."""
    at_least: float | None = None
    """Lower bound of the true share of agreement, with 95% confidence; ratio in [0, 1]."""
    stable: StableComparison | None = None
    """Absent where there is no stable, or it did not answer every case."""
    golden_digest: Digest | None = None
    """Digest of the golden set's files; absent without one."""
    golden_signed: SignedFiles | None = None
    """Who signed the golden set; absent where no signature is asked for."""
    signature: Signature | None = None
    """As the candidate's server reports it."""
    keeps_state: bool | None = None
    """Whether the model knows sequences of requests; absent where an older Job did not say."""
    streams_answers: bool | None = None
    """Whether it sends any number of answers to a request (decoupled); absent likewise."""
    outputs: list[ShadowOutput] = []
    """The golden set's rules, by which answers to users' requests are compared too."""
