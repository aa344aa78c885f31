"""What the operator tells a Job or an init container: a JSON object in ``$SLIPWAY_REQUEST``."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Digest
from slipway.api.golden import Regression
from slipway.settings import RegistryAccess

ENVIRONMENT_VARIABLE = "SLIPWAY_REQUEST"

SOURCE_MOUNT = "/source"
"""Where the claim of a ``pvc://`` model source is mounted, read-only."""
GOLDEN_MOUNT = "/golden"
"""Where the claim of a ``pvc://`` golden set is mounted, read-only."""
SCRATCH_MOUNT = "/scratch"
"""Writable, as large as the model needs."""
PUSH_SECRET_MOUNT = "/secrets/push"
PULL_SECRET_MOUNT = "/secrets/pull"
"""Each pull secret lies in a directory of its number below it: ``/secrets/pull/0``."""
CA_MOUNT = "/ca"
"""The CA of ``registries[n]`` is ``/ca/<n>/ca.crt``, where it names a ConfigMap."""

MAX_SOURCE_BYTES = 256 * 2**30
"""256 GiB: what a download may hold, and what an archive may unpack to."""


class ModelFormat(StrEnum):
    """How a model is stored; decides Triton's backend."""

    ONNX = "ONNX"
    TENSORRT = "TensorRT"
    TORCHSCRIPT = "TorchScript"
    TENSORFLOW = "TensorFlow"
    OPENVINO = "OpenVINO"
    PYTHON = "Python"
    REPOSITORY = "Repository"
    """A repository of several models, or one with its own config.pbtxt that is served as it is."""


class PackageMode(StrEnum):
    """Resolved packaging mode."""

    IMAGE = "Image"
    FETCH = "Fetch"


class SourceRequest(ApiModel):
    """Where bytes come from."""

    uri: str
    digest: Digest | None = None
    """Expected model digest; None: take what is there and report it."""
    allow_plain_http: Annotated[bool, Field(alias="allowPlainHTTP")] = False
    max_bytes: int = MAX_SOURCE_BYTES


class QueueRequest(ApiModel):
    """dynamicBatching, as the user gave it."""

    preferred_batch_sizes: list[int] | None = None
    max_queue_delay_microseconds: int | None = None
    max_queue_size: int | None = None


class ConfigRequest(ApiModel):
    """What config.pbtxt is rendered from; None where the user gave nothing."""

    model_name: str
    format: ModelFormat | None = None
    max_batch_size: int | None = None
    dynamic_batching: QueueRequest | None = None
    instance_count: int | None = None
    instance_kind: str | None = None
    """Auto, CPU or GPU."""
    raw: str | None = None
    warmup_requests: int | None = None
    revision_tag: str | None = None
    """Goes into metric_tags."""


class PackageRequest(ApiModel):
    """The whole order of a package Job or a fetch init container."""

    mode: PackageMode
    """What the revision will be; a Job in Fetch mode only resolves the digest."""
    deliver_to: str | None = None
    """Directory to lay the model repository in: set for the init container only."""
    source: SourceRequest
    config: ConfigRequest
    base_image: str | None = None
    """server.image; Image mode only."""
    repository: str | None = None
    """Where the image goes, without tag; Image mode only."""
    registries: list[RegistryAccess] = []
    version: str = ""
    """model.version, for annotations and labels of the image."""
    pull_secrets: int = 0
    """How many directories lie below the pull secrets' mount."""


class GoldenRequest(ApiModel):
    """Where the golden set is and what it takes to pass."""

    source: SourceRequest
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Least share of cases that must agree; ratio in [0, 1]."""
    regression: Regression = Regression.FAIL


class CheckRequest(ApiModel):
    """The whole order of a check Job."""

    http: str
    """host:port of the candidate's HTTP endpoint."""
    grpc: str | None = None
    """host:port of the gRPC endpoint; compared with HTTP's metadata where given."""
    model_name: str
    golden: GoldenRequest | None = None
    stable_http: str | None = None
    """host:port of stable's HTTP endpoint, which is asked for its signature; None on the first
    revision. What a package knows does not compare: it has no batch dimension."""
    timeout_seconds: int = 300
