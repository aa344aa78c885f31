"""Settings of the operator: one YAML file, read once at start.

The chart renders it into a ConfigMap. What is wrong is said at start, with the setting's name.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from slipway.errors import SettingsError

PATH_VARIABLE = "SLIPWAY_SETTINGS"
NAMESPACE_VARIABLE = "POD_NAMESPACE"
"""Where the pod really is: kustomize moves objects, but not what a settings file says."""
REQUEST_SECONDS = 3.0
"""The longest that a request to the API server takes, from start to last byte."""

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class SettingsModel(BaseModel):
    """Base of the settings: camelCase in the file, unknown names refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        frozen=True,
        extra="forbid",
    )


class RegistryAccess(SettingsModel):
    """How Jobs reach a registry host; image names stay what the container runtime sees."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """As in image names, with the port where one is given."""
    endpoint: Annotated[str, Field(max_length=253)] | None = None
    """host[:port] to connect to; default: the host."""
    plain_http: Annotated[bool, Field(alias="plainHTTP")] = False
    ca_config_map: Annotated[str, Field(max_length=253)] | None = None
    """ConfigMap in the ModelDeployment's namespace that holds ``ca.crt``."""
    anonymous: bool = False
    """True when pushing needs no secret."""


class ImageTarget(SettingsModel):
    """Where images of models go unless a ModelDeployment says otherwise."""

    prefix: Annotated[str, Field(max_length=200)] = ""
    """Images are ``<prefix>/<namespace>/<name>``; empty: models are fetched by init containers."""


class SourceSettings(SettingsModel):
    """What models may come from."""

    allow_plain_http: Annotated[bool, Field(alias="allowPlainHTTP")] = False
    """Allow ``http://`` sources without a pinned digest."""


class SecretName(SettingsModel):
    """A Secret in the namespace of the pods that use it."""

    name: Annotated[str, Field(min_length=1, max_length=253)]


class ContainerResources(SettingsModel):
    """Of a container, as Kubernetes has them."""

    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}


class PodSettings(SettingsModel):
    """What the cluster's owner says of pods that the operator starts in others' namespaces."""

    image_pull_secrets: list[SecretName] = []
    """Must exist in each of these namespaces."""
    node_selector: dict[str, str] = {}
    tolerations: list[dict[str, Any]] = []
    priority_class_name: Annotated[str, Field(max_length=253)] = ""
    resources: ContainerResources = ContainerResources()
    """Of each container; what is not said stays as it is."""


class JobSettings(PodSettings):
    """Package and check Jobs; the secrets are for the fetch init container of models too."""


class RouterSettings(PodSettings):
    """The built-in router of each namespace."""

    agent_image: str = ""
    """Default: what a router runs stays until the agent's version changes; new ones get the
    operator's image."""
    envoy_image: str = ""
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Envoy's worker threads."""


class PrometheusServer(SettingsModel):
    """A server that ModelDeployments may ask by name; they never see its address or token."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    url: Annotated[str, Field(pattern=r"^https?://[^@\s?#]+$", max_length=512)]
    """Up to and without ``/api/v1/query``."""
    ca_file: Annotated[str, Field(max_length=512)] = ""
    """Trusted beside the system's certificates."""
    bearer_token_file: Annotated[str, Field(max_length=512)] = ""
    """Read for every question, so that it may change; sent to `url` and nowhere else."""
    timeout_seconds: Annotated[float, Field(ge=0.1, le=30)] = 5
    max_bytes: Annotated[int, Field(ge=1024, le=16 * 2**20)] = 2**20
    """A longer answer is not read to its end."""
    max_series: Annotated[int, Field(ge=1, le=1000)] = 100
    namespaces: list[Namespace] = []
    """Which may ask; empty: all. What a server knows, whoever may ask it can read from status."""

    def serves(self, namespace: str) -> bool:
        """Return whether ModelDeployments of this namespace may ask it."""
        return not self.namespaces or namespace in self.namespaces


class HookSettings(SettingsModel):
    """Where webhooks may lead."""

    allowed_hosts: list[
        Annotated[
            str, Field(pattern=r"^(\*\.)?[A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?$", max_length=253)
        ]
    ] = []
    """``host``, ``host:port`` or ``*.domain``; beside Services of the ModelDeployment's own
    namespace (``<service>.<namespace>.svc``), which are always allowed."""
    ca_file: Annotated[str, Field(max_length=512)] = ""
    """Trusted beside the system's certificates."""


class LeaseSettings(SettingsModel):
    """Leader election; all in seconds."""

    duration_seconds: Annotated[float, Field(ge=2, le=120)] = 15
    renew_seconds: Annotated[float, Field(ge=0.2, le=30)] = 2
    write_window_seconds: Annotated[float, Field(ge=0.5, le=60)] = 7
    """No write starts later than this after the last renewal."""

    @model_validator(mode="after")
    def _a_last_write_ends_in_time(self) -> Self:
        longest = self.write_window_seconds + REQUEST_SECONDS
        if self.duration_seconds <= longest:
            raise ValueError(
                f"durationSeconds is {self.duration_seconds:g}, expected more than {longest:g}: "
                f"writeWindowSeconds {self.write_window_seconds:g} and the {REQUEST_SECONDS:g} s "
                "that a request may take; else an old leader may still write under a new one"
            )
        if self.renew_seconds >= self.write_window_seconds:
            raise ValueError(
                f"renewSeconds is {self.renew_seconds:g}, expected less than writeWindowSeconds, "
                f"{self.write_window_seconds:g}; else the leader itself may not write in between"
            )
        return self


class AdmissionSettings(SettingsModel):
    """Checks of the API server."""

    verify_requested_by: bool = True
    """A policy ties the annotation requested-by to its writer; without it nobody is believed."""


class Tunables(SettingsModel):
    """The settings that are values of the chart too, under the same names.

    What is added here is in values.schema.json after ``make generate``; values.yaml and the chart's
    ``slipway.settings`` name it by hand, and a test says where one of them was forgotten.
    """

    registry: ImageTarget = ImageTarget()
    registries: list[RegistryAccess] = []
    """How Jobs reach registries that need more than HTTPS on their name."""
    sources: SourceSettings = SourceSettings()
    router: RouterSettings = RouterSettings()
    jobs: JobSettings = JobSettings()
    prometheus: list[PrometheusServer] = []
    """Prometheus servers for `rollout.analysis.metrics`, by name."""
    hooks: HookSettings = HookSettings()
    lease: LeaseSettings = LeaseSettings()
    admission: AdmissionSettings = AdmissionSettings()
    watch_namespaces: Annotated[
        list[Namespace], Field(json_schema_extra={"uniqueItems": True})
    ] = []
    """Empty: all."""
    workers: Annotated[int, Field(ge=1, le=64)] = 16
    """Reconciles that run at the same time."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Settings(Tunables):
    """All settings."""

    namespace: str = "slipway-system"
    """The operator's own; its Lease lies there. In a pod the variable POD_NAMESPACE wins."""
    operator_image: str = ""
    """Runs package and check Jobs and the fetch init container."""
    server_image: str = "nvcr.io/nvidia/tritonserver:26.07-py3"
    """Triton, where a ModelDeployment names none."""


def load_settings(path: Path) -> Settings:
    """Read the settings file.

    Raises:
        SettingsError: the file is missing, is no YAML, or a setting is wrong; the message has its
            name, what was found and what was expected.

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
    return settings.model_copy(update={"namespace": namespace})
