"""Requests to package and check Jobs and the fetch init container: JSON in ``$SLIPWAY_REQUEST``."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Digest
from slipway.api.golden import Regression
from slipway.api.precision import Precision
from slipway.settings import ProxySettings, RegistryAccess

ENVIRONMENT_VARIABLE = "SLIPWAY_REQUEST"

SOURCE_MOUNT = "/source"
"""Where the claim of a ``pvc://`` model source is mounted, read-only."""
GOLDEN_MOUNT = "/golden"
"""Where the claim of a ``pvc://`` golden set is mounted, read-only."""
SOURCE_SECRET_MOUNT = "/secrets/source"
"""Where the Secret of a source is mounted; empty where there is no such Secret."""
SOURCE_CA_MOUNT = "/ca/source"
"""The private authority of a source is ``/ca/source/ca.crt``."""
SOURCE_KEY_MOUNT = "/keys/source"
KEY_FILE = "key.pem"
"""The public key of a source is ``/keys/source/key.pem``, where a Secret or ConfigMap has it."""
SCRATCH_MOUNT = "/scratch"
"""Writable; has to hold the download and the unpacked model."""
PUSH_SECRET_MOUNT = "/secrets/push"
PULL_SECRET_MOUNT = "/secrets/pull"
"""Pull secret n is mounted at ``/secrets/pull/<n>``, counted from 0."""
CACHE_MOUNT = "/cache"
"""Where the cache of fetched models is mounted, writable."""
CA_MOUNT = "/ca"
"""The CA of ``registries[n]`` is ``/ca/<n>/ca.crt``, where it names a ConfigMap."""

MAX_SOURCE_BYTES = 256 * 2**30
"""256 GiB: the limit of a download, and of what an archive unpacks to."""

CHECK_SECONDS = 300
"""Time that a check gets where the golden set names none."""


class ModelFormat(StrEnum):
    """How a model is stored; decides which of Triton's backends serves it."""

    ONNX = "ONNX"
    TENSORRT = "TensorRT"
    TORCHSCRIPT = "TorchScript"
    TENSORFLOW = "TensorFlow"
    OPENVINO = "OpenVINO"
    FIL = "FIL"
    """Trees and forests of XGBoost, LightGBM or Treelite."""
    PYTHON = "Python"
    REPOSITORY = "Repository"
    """Several models, or one whose config.pbtxt names a backend that is not listed here."""


class PackageMode(StrEnum):
    """How a revision gets its model: a packaging mode after Auto is resolved."""

    IMAGE = "Image"
    """Built into the container image."""
    FETCH = "Fetch"
    """Fetched by an init container on every start."""
    VOLUME = "Volume"
    """An image of its own, which the kubelet mounts."""


class AccessRequest(ApiModel):
    """How a source is reached: what the spec says, completed from the operator's store."""

    store: str | None = None
    """Name of the operator's store; for messages."""
    secret: str | None = None
    """Name of the Secret with the credentials, which is mounted."""
    service_account: str | None = None
    """Name of the pod's ServiceAccount."""
    endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    anonymous: bool | None = None
    account: str | None = None
    """Storage account of Azure."""
    ca_config_map: str | None = None
    """Name of the ConfigMap with a private authority, which is mounted."""
    proxy: str | None = None
    no_proxy: list[str] | None = None


class VerifyRequest(ApiModel):
    """Whose signature the files must have; exactly one of the first three says where the key is."""

    public_key: str | None = None
    """The key itself, PEM: one of the operator's settings."""
    secret: str | None = None
    """Name of the Secret with the key, which is mounted."""
    config_map: str | None = None
    """Name of the ConfigMap with the key, which is mounted."""
    key: str
    """Name of the key: in the operator's settings, or in the Secret or ConfigMap."""
    bundle: str
    """Path in the source, or an address that is reached in the same way."""

    @property
    def holder(self) -> str:
        """Where the key is, for messages."""
        if self.public_key is not None:
            return f"key {self.key} of the operator's settings"
        kind = "ConfigMap" if self.secret is None else "Secret"
        return f"key {self.key} of {kind} {self.secret or self.config_map}"


class SourceRequest(ApiModel):
    """Where to fetch files from."""

    uri: str
    digest: Digest | None = None
    """Expected model digest; None accepts and reports any."""
    allow_plain_http: Annotated[bool, Field(alias="allowPlainHTTP")] = False
    """Accept ``http://`` without a digest."""
    access: AccessRequest | None = None
    """How to get in; None where the address says it all."""
    verify: VerifyRequest | None = None
    """Whose signature the files must have; None: anybody's, or none."""
    max_bytes: int = MAX_SOURCE_BYTES
    """Limit of the download, and of what it unpacks to."""


class QueueRequest(ApiModel):
    """`spec.model.config.dynamicBatching`; None where the spec leaves a field out."""

    preferred_batch_sizes: list[int] | None = None
    max_queue_delay_microseconds: int | None = None
    max_queue_size: int | None = None


class ConfigRequest(ApiModel):
    """What config.pbtxt is completed from; None where the spec leaves a field out."""

    model_name: str
    format: ModelFormat | None = None
    max_batch_size: int | None = None
    dynamic_batching: QueueRequest | None = None
    instance_count: int | None = None
    instance_kind: str | None = None
    """Auto, CPU or GPU."""
    raw: str | None = None
    """Protobuf text that is merged last."""
    warmup_requests: int | None = None
    warmup_shapes: dict[str, list[int]] | None = None
    """Sizes of inputs in these requests by name, without the batch dimension."""
    has_gpu: bool | None = None
    """Whether servers request a GPU; None: not known."""
    revision_tag: str | None = None
    """Value of the tag `revision` in metric_tags."""


class OptimizeRequest(ApiModel):
    """`spec.model.optimize`: a conversion after the files are verified, before all else."""

    precision: Precision
    digest: Digest | None = None
    """Digest that the converted files must have, where it is known; None accepts any."""


class PackageRequest(ApiModel):
    """The request to a package Job or a fetch init container."""

    mode: PackageMode
    """How the revision will get its model; a Job in Fetch mode only resolves the digest."""
    deliver_to: str | None = None
    """Directory for the model repository; set for the init container only."""
    source: SourceRequest
    config: ConfigRequest
    optimize: OptimizeRequest | None = None
    """None: the model is taken as it is."""
    base_image: str | None = None
    """`server.image`; Image and Volume mode only."""
    repository: str | None = None
    """Repository for the image, without a tag; Image and Volume mode only."""
    architectures: list[str] = []
    """Architectures of the nodes, such as amd64, that the image is for; empty: the Job's own."""
    cache_bytes: Annotated[int, Field(ge=0)] | None = None
    """Size of the cache at `CACHE_MOUNT`; None: there is none."""
    registries: list[RegistryAccess] = []
    version: str = ""
    """`spec.model.version`, for annotations and labels of the image."""
    pull_secrets: int = 0
    """Number of pull secrets that are mounted."""
    proxy: ProxySettings | None = None
    """On the way to registries."""


class GoldenRequest(ApiModel):
    """Where the golden set is, and when a candidate passes it."""

    source: SourceRequest
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Smallest share of cases that must agree; ratio in [0, 1]."""
    regression: Regression = Regression.FAIL
    show_cases: bool = True
    """Report first values of cases that disagree."""


class CheckRequest(ApiModel):
    """The request to a check Job."""

    http: str
    """host:port of the candidate's HTTP endpoint."""
    grpc: str | None = None
    """host:port of its gRPC endpoint; its answers are compared with those of HTTP."""
    model_name: str
    golden: GoldenRequest | None = None
    stable_http: str | None = None
    """host:port of stable's HTTP endpoint, for its signature and answers; None without a stable.

    The signature that the package Job reported cannot be used: it has no batch dimension.
    """
    stable_grpc: str | None = None
    """host:port of stable's gRPC endpoint, which only models that stream are asked at."""
    start_seconds: int = 0
    """Time that the candidate may take to load its model, before the check's own time begins."""
    timeout_seconds: int = CHECK_SECONDS
    """Time for the whole check, once the candidate answers."""
