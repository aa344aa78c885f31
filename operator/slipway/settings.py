"""Settings of the operator: one YAML file, read once at start.

The chart renders it into a ConfigMap. A wrong setting stops the start, with its name in the error.
Docstrings of fields are the descriptions in the chart's values.schema.json.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from slipway import field_docs
from slipway.errors import SettingsError

PATH_VARIABLE = "SLIPWAY_SETTINGS"
NAMESPACE_VARIABLE = "POD_NAMESPACE"
"""Variable with the pod's real namespace: kustomize moves objects, but does not edit the file."""
ADDRESS_VARIABLE = "POD_IP"
"""Variable with the pod's first address: other pods have one of the same family."""
REQUEST_SECONDS = 3.0
"""Longest time of a request to the API server, from its start to the last byte."""

PEM_PUBLIC_KEY = r"^\s*-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$"
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class IPFamily(StrEnum):
    """The families of addresses, as Services name them."""

    V4 = "IPv4"
    V6 = "IPv6"

    @classmethod
    def of(cls, address: str) -> "IPFamily":
        """Return the family of an address."""
        return cls.V6 if ":" in address else cls.V4


class SettingsModel(BaseModel):
    """Base of the settings: camelCase in the file, and no unknown names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=field_docs.KEPT,
        frozen=True,
        extra="forbid",
    )


class RegistryAccess(SettingsModel):
    """How Jobs reach a registry; the names of images do not change."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Host as in image names, with the port if they have one."""
    endpoint: Annotated[str, Field(max_length=253)] | None = None
    """host[:port] to connect to. Default: the host."""
    plain_http: Annotated[bool, Field(alias="plainHTTP")] = False
    """Connect without TLS."""
    ca_config_map: Annotated[str, Field(max_length=253)] | None = None
    """ConfigMap with the registry's CA under the key ``ca.crt``, in the namespace of each
    ModelDeployment."""
    anonymous: bool = False
    """Pushing needs no secret."""


class ImageTarget(SettingsModel):
    """Where the images of models go, unless a ModelDeployment names a repository."""

    prefix: Annotated[str, Field(max_length=200)] = ""
    """Images are named ``<prefix>/<namespace>/<name>``. Empty: no images are made, and init
    containers fetch the models."""


class ForNamespaces(SettingsModel):
    """What the administrator lends to some namespaces, or to all."""

    namespaces: list[Namespace] = []

    def serves(self, namespace: str) -> bool:
        """Return whether ModelDeployments of this namespace may use it."""
        return not self.namespaces or namespace in self.namespaces


class StoreSettings(ForNamespaces):
    """A store that ModelDeployments use by its name, or by the prefix of their address.

    A ModelDeployment overrides each field. Secrets and ConfigMaps are those of its namespace.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    """Name for `source.store`."""
    prefixes: list[
        Annotated[
            str,
            Field(pattern=r"^(https?|s3|gs|az|hf|oci|mlflow)://([!-~]*/)?$", max_length=1024),
        ]
    ] = []
    """Addresses that are in this store: such as ``s3://models/``, or ``s3://`` for all buckets. The
    longest prefix counts. Empty: only who names the store uses it."""
    namespaces: list[Namespace] = []
    """Namespaces whose ModelDeployments use the store; empty: all."""
    credentials_secret: Annotated[str, Field(max_length=253)] = ""
    """Secret with the credentials, in the namespace of each ModelDeployment."""
    service_account_name: Annotated[str, Field(max_length=253)] = ""
    """ServiceAccount of the pods that fetch, in the namespace of each ModelDeployment."""
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^@\s?#]+)?$", max_length=512)] = ""
    """Address of the store. With ``http://`` it needs no pinned digest."""
    region: Annotated[str, Field(max_length=64)] = ""
    """Region of its S3 buckets."""
    path_style: bool | None = None
    """Name an S3 bucket in the path instead of the host. Default: true with an endpoint."""
    anonymous: bool = False
    """Send no credentials."""
    account: Annotated[str, Field(max_length=24)] = ""
    """Storage account of Azure."""
    ca_config_map: Annotated[str, Field(max_length=253)] = ""
    """ConfigMap with its certificates under the key ``ca.crt``, in the namespace of each
    ModelDeployment."""
    proxy: Annotated[str, Field(pattern=r"^(https?://[^@\s?#]+)?$", max_length=512)] = ""
    """HTTP proxy on the way to the store. Default: `jobs.proxy`."""


class SigningKey(ForNamespaces):
    """A public key that ModelDeployments refer to by its name in `verify.key`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    """Name for `verify.key`."""
    public_key: Annotated[str, Field(pattern=PEM_PUBLIC_KEY, max_length=4096)]
    """The key, PEM: P-256, P-384 or P-521."""
    namespaces: list[Namespace] = []
    """Namespaces whose ModelDeployments may use the key; empty: all."""


def _require_unique(field: str, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{field} has {twice!r} twice, expected each name once")


class SourceSettings(SettingsModel):
    """Which sources of models are allowed, and how they are reached."""

    allow_plain_http: Annotated[bool, Field(alias="allowPlainHTTP")] = False
    """Allow ``http://`` sources without a pinned digest."""
    stores: list[StoreSettings] = []
    """Stores that ModelDeployments use without knowing how they are reached."""
    keys: list[SigningKey] = []
    """Public keys by which signatures of models and golden sets are verified."""
    require_signature: list[
        Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?|\*)$", max_length=63)]
    ] = []
    """Namespaces in which models and golden sets must be signed with one of `keys`; ``*``: all."""

    def demands_signature(self, namespace: str) -> bool:
        """Return whether ModelDeployments of this namespace must have signed files."""
        return bool({namespace, "*"} & set(self.require_signature))

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _require_unique("stores", [store.name for store in self.stores])
        _require_unique("keys", [key.name for key in self.keys])
        return self


class SecretName(SettingsModel):
    """A Secret in the namespace of the pods that use it."""

    name: Annotated[str, Field(min_length=1, max_length=253)]


class ContainerResources(SettingsModel):
    """Resources of a container, as in a pod."""

    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}


class PodUsers(StrEnum):
    """Who chooses the users that containers run as."""

    SLIPWAY = "Slipway"
    """The numbers that the images are made for."""
    PLATFORM = "Platform"
    """The platform: pods name no user, as OpenShift's restricted-v2 wants it."""


PodField = Literal[
    "labels",
    "annotations",
    "serviceAccountName",
    "schedulerName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "env",
    "volumes",
    "shmSize",
    "tmpSize",
    "resourceClaims",
    "args",
]
"""Fields of `server.pod`, and `server.args`."""


class ModelPodSettings(SettingsModel):
    """Pods that serve models. A change affects new revisions only."""

    labels: dict[str, str] = {}
    """Labels of the pods; those of a ModelDeployment's `server.pod.labels` win."""
    annotations: dict[str, str] = {}
    """Annotations of the pods; those of a ModelDeployment's `server.pod.annotations` win."""
    forbid: Annotated[list[PodField], Field(json_schema_extra={"uniqueItems": True})] = []
    """Fields of `server.pod`, and `args` of `server`, that ModelDeployments may not set."""
    cache_host_paths: list[Annotated[str, Field(pattern=r"^/[^:]*$", max_length=255)]] = []
    """Directories of the nodes that `packaging.cache.hostPath` may name, or one below them."""
    architectures: list[Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=32)]] = []
    """Architectures of the nodes that models run on, such as amd64: images are made for each that
    `server.image` has. Default: that of the node where an image is made."""


class PodSettings(SettingsModel):
    """Pods that the operator starts in the namespaces of ModelDeployments."""

    labels: dict[str, str] = {}
    """Labels of the pods, besides Slipway's own."""
    annotations: dict[str, str] = {}
    """Annotations of the pods."""

    image_pull_secrets: list[SecretName] = []
    """Secrets for pulling Slipway's own images; must exist in each of these namespaces."""
    node_selector: dict[str, str] = {}
    """Labels that a node must have."""
    tolerations: list[dict[str, Any]] = []
    """Taints that the pods tolerate."""
    priority_class_name: Annotated[str, Field(max_length=253)] = ""
    """PriorityClass of the pods."""
    resources: ContainerResources = ContainerResources()
    """Resources of each container; what is not given keeps its default."""


class ProxySettings(SettingsModel):
    """An HTTP proxy."""

    url: Annotated[str, Field(pattern=r"^(https?://[^@\s?#]+)?$", max_length=512)] = ""
    """``http://host:port``; empty: none."""
    no_proxy: list[Annotated[str, Field(pattern=r"^[^\s,]+$", max_length=253)]] = [
        "localhost",
        "127.0.0.1",
        ".svc",
        ".cluster.local",
    ]
    """Hosts and domains that are reached without it."""


NO_SIDECAR_LABELS = {"sidecar.istio.io/inject": "false", "kuma.io/sidecar-injection": "disabled"}
NO_SIDECAR_ANNOTATIONS = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "kuma.io/sidecar-injection": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
}
"""What meshes read as a wish for no sidecar: beside one that never ends, no Job ends."""


class JobSettings(PodSettings):
    """Package and check Jobs; the pull secrets are also for init containers that fetch models."""

    proxy: ProxySettings = ProxySettings()
    """Proxy through which they reach sources and registries."""
    labels: dict[str, str] = NO_SIDECAR_LABELS
    """Labels of the pods, besides Slipway's own. Default: those by which meshes inject no
    sidecar."""
    annotations: dict[str, str] = NO_SIDECAR_ANNOTATIONS
    """Annotations of the pods. Default: those by which meshes inject no sidecar."""


class OptimizerSettings(SettingsModel):
    """Package Jobs and fetching init containers of models that are converted (`model.optimize`)."""

    image: str = ""
    """Their image, with tag or digest. Empty: no ModelDeployment may ask for a conversion."""
    resources: ContainerResources = ContainerResources()
    """Resources of the container. Default: requests of cpu 10m and memory 512Mi, and a limit of
    memory 8Gi. A conversion takes six times the size of the model."""


class RouterSettings(PodSettings):
    """The built-in router of each namespace."""

    agent_image: str = ""
    """Image of the agent. Default: a new router gets the operator's image, and keeps it until a
    release requires another agent."""
    envoy_image: str = ""
    """Image of Envoy."""
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    """Router pods of each namespace."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Worker threads of each Envoy."""
    ip_family_policy: Literal["", "SingleStack", "PreferDualStack", "RequireDualStack"] = ""
    """Of the Services that clients call. Default: the cluster's, one family."""


class WalledServers(StrEnum):
    """Which model servers only routers, checks and the operator may reach."""

    WITH_ACCESS = "WithAccess"
    """Those of models that say who may call, by keys, tokens or client certificates."""
    ALL = "All"
    """All of them."""
    NONE = "None"
    """None: whoever reaches a pod may call it."""


class ModelNetworkPolicies(SettingsModel):
    """NetworkPolicies in the namespaces of ModelDeployments."""

    servers: WalledServers = WalledServers.WITH_ACCESS
    """Which model servers only routers, checks and the operator may reach: WithAccess: those of
    models that say who may call; All; or None."""
    servers_from: list[dict[str, Any]] = []
    """Further peers of a NetworkPolicy that may send requests to these servers."""
    metrics_from: list[dict[str, Any]] = []
    """Peers of a NetworkPolicy that may read the metrics of these servers, and of all routers;
    empty: all."""


class PrometheusServer(ForNamespaces):
    """A server that ModelDeployments query by its name; they never see its address or token."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    """Name for `provider` in ModelDeployments."""
    url: Annotated[str, Field(pattern=r"^https?://[^@\s?#]+$", max_length=512)]
    """Address, without ``/api/v1/query``."""
    ca_file: Annotated[str, Field(max_length=512)] = ""
    """File with further certificates to trust, in addition to the system's."""
    bearer_token_file: Annotated[str, Field(max_length=512)] = ""
    """File with the token, read for every query, so that it may change. Sent to `url` only."""
    timeout_seconds: Annotated[float, Field(ge=0.1, le=30)] = 5
    """Time for a query."""
    max_bytes: Annotated[int, Field(ge=1024, le=16 * 2**20)] = 2**20
    """Largest answer that is read."""
    max_series: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of series in an answer."""
    namespaces: list[Namespace] = []
    """Namespaces whose ModelDeployments may query the server; empty: all. They can read whatever
    the server knows."""


class HookSettings(SettingsModel):
    """Where hooks may send requests."""

    allowed_hosts: list[
        Annotated[
            str, Field(pattern=r"^(\*\.)?[A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?$", max_length=253)
        ]
    ] = []
    """Hosts that hooks may use: ``host``, ``host:port`` or ``*.domain``. Services of the
    ModelDeployment's own namespace (``<service>.<namespace>.svc``) are always allowed."""
    ca_file: Annotated[str, Field(max_length=512)] = ""
    """File with further certificates to trust, in addition to the system's."""


class AuditFormat(StrEnum):
    """What a sink is sent."""

    CLOUD_EVENTS = "CloudEvents"
    """An event of CloudEvents 1.0 as JSON, with all that is known."""
    SLACK = "Slack"
    """A message for an incoming webhook of Slack."""
    TEAMS = "Teams"
    """A card for a webhook of Microsoft Teams."""


class AuditSink(ForNamespaces):
    """A receiver of the audit trail."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    """Name in metrics and logs, which never show the address."""
    url: Annotated[str, Field(pattern=r"^(https?://[^@\s?#]+)?$", max_length=512)] = ""
    """Address that each event is posted to. Exactly one of url and urlFile is needed."""
    url_file: Annotated[str, Field(max_length=512)] = ""
    """File with the address, where the address itself is a secret; read for every request."""
    format: AuditFormat = AuditFormat.CLOUD_EVENTS
    """What is sent. CloudEvents: all that is known, as JSON. Slack, Teams: a message for people."""
    types: Annotated[
        list[Annotated[str, Field(pattern=r"^dev\.slipway\.[a-z_.]*\*?$", max_length=128)]],
        Field(max_length=50),
    ] = []
    """Types of events that are sent, such as ``dev.slipway.rollout.promoted`` or
    ``dev.slipway.action.*``; empty: all."""
    namespaces: list[Namespace] = []
    """Namespaces whose events are sent; empty: all."""
    authorization_file: Annotated[str, Field(max_length=512)] = ""
    """File with the value of the header Authorization, such as ``Bearer …``; read for every
    request."""
    ca_file: Annotated[str, Field(max_length=512)] = ""
    """File with further certificates to trust, in addition to the system's."""
    timeout_seconds: Annotated[float, Field(ge=0.1, le=60)] = 10
    """Time for a request."""

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if bool(self.url) == bool(self.url_file):
            found = "both" if self.url else "neither"
            raise ValueError(f"sink {self.name!r} has {found}, expected one of url and urlFile")
        return self

    def wants(self, event_type: str) -> bool:
        """Return whether it is sent events of this type."""
        return not self.types or any(
            event_type.startswith(it[:-1]) if it.endswith("*") else event_type == it
            for it in self.types
        )


class AuditSettings(SettingsModel):
    """Where decisions and actions are told, beside the operator's log."""

    source: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=256)] = "/slipway"
    """Source of the CloudEvents, a URI: name the cluster where several send to one receiver."""
    sinks: Annotated[list[AuditSink], Field(max_length=10)] = []
    """Receivers of events."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _require_unique("sinks", [sink.name for sink in self.sinks])
        return self


class TracingSettings(SettingsModel):
    """Traces of requests, by OpenTelemetry: a span of the router, and those of Triton below it.

    A change replaces routers, and affects new revisions.
    """

    endpoint: Annotated[str, Field(pattern=r"^(http://[^@\s?#,]+)?$", max_length=512)] = ""
    """Address of a collector that takes OTLP over HTTP, such as
    ``http://otel-collector.observability:4318``; `/v1/traces` is added. Empty: nothing is
    traced."""
    sampling_percent: Annotated[float, Field(ge=0, le=100)] = 1
    """Share of the requests that are traced though their client asked for nothing. A client that
    sends `traceparent` decides for its requests."""

    @property
    def is_on(self) -> bool:
        """Whether anything is traced."""
        return bool(self.endpoint)


class LeaseSettings(SettingsModel):
    """Leader election between the operator's replicas; all times in seconds."""

    duration_seconds: Annotated[float, Field(ge=2, le=120)] = 15
    """Time after the last renewal at which another replica takes over."""
    renew_seconds: Annotated[float, Field(ge=0.2, le=30)] = 2
    """Time between renewals."""
    write_window_seconds: Annotated[float, Field(ge=0.5, le=60)] = 7
    """Time after the last renewal in which a write may start."""
    single_replica: bool = False
    """There is one replica: the Lease is written when it changes hands, and read instead of
    renewed."""

    @model_validator(mode="after")
    def _a_last_write_ends_in_time(self) -> Self:
        longest = self.write_window_seconds + REQUEST_SECONDS
        if self.duration_seconds <= longest:
            raise ValueError(
                f"durationSeconds is {self.duration_seconds:g}, expected more than {longest:g}: "
                f"writeWindowSeconds {self.write_window_seconds:g} and the {REQUEST_SECONDS:g} s "
                "that a request may take; otherwise an old leader could write under a new one"
            )

        if self.renew_seconds >= self.write_window_seconds:
            raise ValueError(
                f"renewSeconds is {self.renew_seconds:g}, expected less than writeWindowSeconds, "
                f"{self.write_window_seconds:g}; otherwise the leader itself may not write between "
                "two renewals"
            )
        return self


class SeparateRights(StrEnum):
    """What follows where somebody lacks a right of their own for what they ask."""

    OFF = "Off"
    WARN = "Warn"
    """They get a warning, and what they ask for."""
    DENY = "Deny"


class AdmissionSettings(SettingsModel):
    """Checks that the API server makes."""

    verify_requested_by: bool = True
    """An admission policy ensures that the annotation requested-by names its writer. Without it the
    status says ``unverified``."""
    separate_rights: SeparateRights = SeparateRights.WARN
    """Actions need `create modeldeployments/<action>`, and edits of the spec `update
    modeldeployments/spec`. Off: whoever may update a ModelDeployment may do both. Warn: who lacks
    such a right is told, and may; with verifyRequestedBy alone. Deny: may not; the chart then has
    roles for people on call, approvers and owners."""
    two_persons: bool = False
    """Who changed the version may neither approve or promote it nor take approvals out of its
    steps. The annotation changed-by must name who changes the version."""


class LabelLimit(SettingsModel):
    """Limits rollouts of ModelDeployments that have the same value of a label."""

    label: Annotated[
        str, Field(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
    ]
    """Key of the label."""
    most: Annotated[int, Field(ge=1, le=10_000)]
    """How many of their rollouts run at once, in all namespaces together."""


class RolloutLimits(SettingsModel):
    """How many rollouts run at once; the others wait for their turn, first come, first served.

    The way back, first versions and what repairs an outage never wait.
    """

    most_per_namespace: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Rollouts that run at once in a namespace; 0: any number."""
    most_per_label: Annotated[list[LabelLimit], Field(max_length=20)] = []
    """Rollouts that run at once for each value of a label."""


class Tunables(SettingsModel):
    """The settings that are also values of the chart, under the same names.

    ``make generate`` adds a new one to values.schema.json; values.yaml and the chart's
    ``slipway.settings`` list it by hand, and a test fails where it is missing.
    """

    registry: ImageTarget = ImageTarget()
    registries: list[RegistryAccess] = []
    """Registries that Jobs cannot reach by HTTPS under their name alone."""
    sources: SourceSettings = SourceSettings()
    pod_users: PodUsers = PodUsers.SLIPWAY
    """Who chooses the users that containers run as, in all pods of Slipway: Slipway, or Platform
    for OpenShift's restricted-v2. A change replaces routers, and affects new revisions."""
    router: RouterSettings = RouterSettings()
    jobs: JobSettings = JobSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    model_pods: ModelPodSettings = ModelPodSettings()
    model_network_policies: ModelNetworkPolicies = ModelNetworkPolicies()
    prometheus: list[PrometheusServer] = []
    """Prometheus servers for `rollout.analysis.metrics`."""
    hooks: HookSettings = HookSettings()
    audit: AuditSettings = AuditSettings()
    tracing: TracingSettings = TracingSettings()
    lease: LeaseSettings = LeaseSettings()
    admission: AdmissionSettings = AdmissionSettings()
    rollouts: RolloutLimits = RolloutLimits()
    watch_namespaces: Annotated[
        list[Namespace], Field(json_schema_extra={"uniqueItems": True})
    ] = []
    """Namespaces to watch; empty: all."""
    workers: Annotated[int, Field(ge=1, le=64)] = 16
    """Objects that are reconciled at the same time."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe messages that are logged."""


class Settings(Tunables):
    """All settings."""

    namespace: str = "slipway-system"
    """The operator's own namespace, with its Lease. In a pod, POD_NAMESPACE overrides it."""
    pod_ip_family: IPFamily = IPFamily.V4
    """Family of the first address of pods. In a pod, that of POD_IP."""
    operator_image: str = ""
    """Image of package and check Jobs and of the fetch init container."""
    server_image: str = "nvcr.io/nvidia/tritonserver:26.07-py3"
    """Image of Triton for ModelDeployments that name none."""


def load_settings(path: Path) -> Settings:
    """Return the settings in a file.

    Raises:
        SettingsError: the file is missing or is not YAML, or a setting is wrong; the message has
            its name, what was found and what was expected.

    """
    try:
        raw = yaml.safe_load(path.read_text()) or {}
        settings = Settings.model_validate(raw)
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}, "
            f"found {issue['input']!r}"
            for issue in error.errors()
        )
        raise SettingsError(f"settings file {path}: {problems}") from error

    namespace = os.environ.get(NAMESPACE_VARIABLE, settings.namespace)
    address = os.environ.get(ADDRESS_VARIABLE, "")
    family = IPFamily.of(address) if address else settings.pod_ip_family
    return settings.model_copy(update={"namespace": namespace, "pod_ip_family": family})
