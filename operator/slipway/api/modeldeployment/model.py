"""What is served: source, configuration, golden set, warm-up."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, Digest, cel_rule
from slipway.api.golden import Regression
from slipway.api.request import ModelFormat

Uri = Annotated[str, Field(min_length=1, max_length=2048)]


SOURCE_RULES: list[Any] = [
    cel_rule(
        r"self.uri.matches('^(https?|pvc)://[!-~]+$')",
        "uri must start with https://, http:// or pvc://, and hold printable ASCII only: write any "
        "other character as %XX",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('http') || !self.uri.endsWith('/')",
        "a web address that ends in '/' names no file; give the archive or model file itself",
        ".uri",
    ),
    cel_rule(
        r"!self.uri.startsWith('pvc://') || "
        r"self.uri.matches('^pvc://[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/')",
        "a claim is written pvc://<claim>/<path>",
        ".uri",
    ),
    cel_rule(
        "!self.uri.matches('^https?://[^/?#]*@')",
        "a uri must not hold a user or a password: all who may read the object would know them",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('pvc://') || !self.uri.split('/').exists(p, p == '..')",
        "the path inside a claim must not contain '..'",
        ".uri",
    ),
]


class Source(ApiModel):
    """Where the model's bytes are."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": SOURCE_RULES}}

    uri: Uri
    """``https://`` or ``http://`` (an archive or one model file) or ``pvc://<claim>/<path>``."""
    digest: Digest | None = None
    """Pin of the model digest; without it the digest is resolved once and kept."""


class DynamicBatching(ApiModel):
    """Triton's dynamic batching."""

    preferred_batch_sizes: (
        Annotated[
            list[Annotated[int, Field(ge=1, le=65_536)]],
            Field(max_length=16, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    max_queue_delay_microseconds: Annotated[int, Field(ge=0, le=60_000_000)] | None = None
    max_queue_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that may wait; more are refused with 503. The operator's default bounds it."""


class InstanceKind(StrEnum):
    """Where Triton runs a model's instances."""

    AUTO = "Auto"
    CPU = "CPU"
    GPU = "GPU"


class InstanceGroup(ApiModel):
    """Copies of the model inside one server."""

    count: Annotated[int, Field(ge=1, le=64)] | None = None
    kind: InstanceKind | None = None


class ModelConfig(ApiModel):
    """Typed part of config.pbtxt. The source's own file wins; these fill what it leaves out."""

    max_batch_size: Annotated[int, Field(ge=0, le=65_536)] | None = None
    """Largest batch; 0: the model does not batch."""
    dynamic_batching: DynamicBatching | None = None
    instance_group: InstanceGroup | None = None
    raw: Annotated[str, Field(max_length=16_384)] | None = None
    """Protobuf text merged last; may override everything else."""


class GoldenSet(ApiModel):
    """Recorded inputs with expected outputs; the candidate answers them before users see it."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": SOURCE_RULES}}

    uri: Uri
    """Directory or archive with golden.yaml and the cases; the schemes of the model source."""
    digest: Digest | None = None
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Least share of cases that must agree; ratio in [0, 1]."""
    regression: Regression | None = None
    """Where enough agree, but significantly fewer than stable's on the same cases; default Fail."""


class Warmup(ApiModel):
    """Requests that Triton answers on every replica before it turns ready."""

    requests: Annotated[int, Field(ge=1, le=10_000)]


class Model(ApiModel):
    """What is served."""

    version: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)
    ]
    """For people; identity is the revision."""
    name: (
        Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?$", max_length=63)]
        | None
    ) = None
    """Triton model name; default metadata.name; immutable."""
    format: ModelFormat | None = None
    """Default: detected."""
    source: Source
    config: ModelConfig | None = None
    golden_set: GoldenSet | None = None
    warmup: Warmup | None = None
