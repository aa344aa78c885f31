"""The model that is served: source, configuration, golden set, warm-up."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, Digest, cel_rule
from slipway.api.golden import Regression
from slipway.api.modeldeployment.source import REFRESH_RULES, SOURCE_RULES, Location, Refresh, Uri
from slipway.api.precision import Precision
from slipway.api.request import ModelFormat

OPTIMIZE_RULES: list[Any] = [
    cel_rule(
        "!has(self.optimize) || !has(self.format) || self.format == 'ONNX'",
        "optimize is for ONNX models: leave it out, or set format: ONNX",
        ".optimize",
    ),
    cel_rule(
        "!has(self.optimize) || has(self.goldenSet)",
        "optimize needs a goldenSet: without one nothing refuses a model that lost accuracy",
        ".optimize",
    ),
]


class Source(Location):
    """Where the model's files are."""

    model_config = {
        "json_schema_extra": {"x-kubernetes-validations": [*SOURCE_RULES, *REFRESH_RULES]}
    }

    uri: Uri
    """An archive (.tar, .tar.gz, .tgz, .zip), one model file, or a directory: `https://…`,
    `s3://<bucket>/<path>`, `gs://<bucket>/<path>`, `az://<container>/<path>`,
    `hf://<owner>/<model>[@<revision>]`, `oci://<registry>/<repository>:<tag>`,
    `mlflow://<model>@<alias>`, `pvc://<claim>/<path>`. `https` has no directories."""
    digest: Digest | None = None
    """Digest that the model must have. Default: whatever is found is resolved once per version, and
    kept."""
    refresh: Refresh | None = None
    """When the address is looked at again: Never; OnRetry, when `retry` is used for a version that
    was rejected or failed; Interval, also by the clock. Other bytes become a revision of their own,
    with a rollout. Default: OnRetry."""
    refresh_seconds: Annotated[int, Field(ge=60, le=2_592_000)] | None = None
    """Seconds between two looks of Interval. Default: 3600."""


class DynamicBatching(ApiModel):
    """Triton's dynamic batching. Default: on for ONNX, TensorRT, TensorFlow; `{}` turns it on."""

    preferred_batch_sizes: (
        Annotated[
            list[Annotated[int, Field(ge=1, le=65_536)]],
            Field(max_length=16, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    """Batch sizes that Triton tries to reach. Default: any."""
    max_queue_delay_microseconds: Annotated[int, Field(ge=0, le=60_000_000)] | None = None
    """Longest time that a request waits for others to join its batch. Default: 0."""
    max_queue_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that may wait in one server; it answers further ones with 503. Default: 256."""


class InstanceKind(StrEnum):
    """Where Triton runs a model's instances."""

    AUTO = "Auto"
    CPU = "CPU"
    GPU = "GPU"


class InstanceGroup(ApiModel):
    """Copies of the model inside one server."""

    count: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of copies. Default: 1."""
    kind: InstanceKind | None = None
    """Where they run; Auto leaves the choice to Triton. Default: Auto."""


class ModelConfig(ApiModel):
    """Fields of config.pbtxt that the source's own config.pbtxt, if any, leaves out."""

    max_batch_size: Annotated[int, Field(ge=0, le=65_536)] | None = None
    """Largest batch; 0 means that the model does not batch. Default: 4 for an ONNX graph that can
    batch, else 0."""
    dynamic_batching: DynamicBatching | None = None
    instance_group: InstanceGroup | None = None
    raw: Annotated[str, Field(max_length=16_384)] | None = None
    """Text in the format of config.pbtxt. Merged last, it overrides everything else."""


class GoldenSet(Location):
    """Recorded inputs with expected outputs, which a candidate must answer before any traffic."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": SOURCE_RULES}}

    uri: Uri
    """Directory or archive with golden.yaml and the cases; same schemes as model.source.uri."""
    digest: Digest | None = None
    """Digest that the golden set must have. Default: any."""
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Smallest share of cases that must agree; ratio in [0, 1]."""
    regression: Regression | None = None
    """What happens when enough cases agree, but significantly fewer than on stable: Fail rejects
    the revision, Report only mentions it. Default: Fail."""
    timeout_seconds: Annotated[int, Field(ge=10, le=14_400)] | None = None
    """Time for the whole check of a candidate, in seconds. Default: 300."""
    show_cases: bool | None = None
    """Whether status shows the first values of some cases that disagree: inputs, expected and given
    answers. Default: true."""


WarmupShape = Annotated[
    list[Annotated[int, Field(ge=1, le=1_000_000)]], Field(max_length=8, json_schema_extra=ATOMIC)
]


class Warmup(ApiModel):
    """Requests that every replica answers before it becomes ready."""

    requests: Annotated[int, Field(ge=1, le=10_000)]
    """Number of requests."""
    shapes: Annotated[dict[str, WarmupShape], Field(max_length=64)] | None = None
    """Sizes of inputs in these requests, by the name of the input: its dimensions as in
    config.pbtxt, without that of the batch. Required for an input with dimensions that vary;
    such as `{image: [3, 224, 224]}`."""


class Optimize(ApiModel):
    """A conversion of the model before it is checked and served."""

    precision: Precision
    """FP16: numbers of half the size, for GPUs. INT8Dynamic: weights of a quarter of the size, for
    CPUs and networks of matrix products. Inputs and outputs stay as they are."""


class Model(ApiModel):
    """The model that is served."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": OPTIMIZE_RULES}}

    version: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)
    ]
    """Name of the version, for people: letters, digits, '-', '_' and '.'. The files decide what a
    revision is, not this name."""
    name: (
        Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?$", max_length=63)]
        | None
    ) = None
    """Name of the model in requests: letters, digits, '-' and '_'. Immutable. Default:
    metadata.name."""
    format: ModelFormat | None = None
    """Format of the files. Default: detected from their names. Repository is for several models,
    or for a backend that is not listed."""
    source: Source
    config: ModelConfig | None = None
    optimize: Optimize | None = None
    """Conversion of an ONNX model. It needs a goldenSet, which refuses what lost accuracy. Default:
    none."""
    golden_set: GoldenSet | None = None
    warmup: Warmup | None = None
