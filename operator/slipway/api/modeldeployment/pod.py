"""The pod of a Triton server: where it runs, under which account, with which volumes.

Every field is listed and bounded. What could break the rules that all pods keep (root, privileges,
host paths, host network) has no field.
"""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from slipway.api.base import ATOMIC, ApiModel, Manifest, ObjectName, cel_rule, list_map
from slipway.api.modeldeployment.placement import AFFINITY, SPREAD
from slipway.api.modeldeployment.quantity import Quantity

LABEL_KEY = (
    "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
NODE_SELECTOR_RULES: list[Any] = [
    cel_rule(
        f"self.all(key, key.matches('{LABEL_KEY}'))",
        "a key of nodeSelector must be the name of a label: [<domain>/]<name>",
    )
]
METADATA_RULES: list[Any] = [
    cel_rule(
        f"self.all(key, key.matches('{LABEL_KEY}'))",
        "a key of labels or annotations must be [<domain>/]<name>",
    ),
    cel_rule(
        "self.all(key, !key.startsWith('slipway.dev/') && "
        "!key.startsWith('app.kubernetes.io/managed-by'))",
        "keys of slipway.dev and app.kubernetes.io/managed-by are Slipway's own",
    ),
]

RESERVED_VOLUMES = ("tmp", "shm", "models", "source")
"""Names of Slipway's own volumes, besides those that begin with ``slipway-``."""
MOUNT_RULE = (
    "self.mountPath != '/' && !self.mountPath.matches('^/(models|dev|proc|sys)(/.*)?$') && "
    "!self.mountPath.matches('^/tmp/*$')"
)
VOLUME_KINDS = ("secret", "configMap", "persistentVolumeClaim", "emptyDir", "csi")
VOLUME_RULES: list[Any] = [
    cel_rule(
        " + ".join(f"(has(self.{kind}) ? 1 : 0)" for kind in VOLUME_KINDS) + " == 1",
        f"a volume is exactly one of {', '.join(VOLUME_KINDS)}",
    ),
    cel_rule(
        f"!(self.name in [{', '.join(repr(name) for name in RESERVED_VOLUMES)}]) && "
        "!self.name.startsWith('slipway-')",
        f"{', '.join(RESERVED_VOLUMES)} and names that begin with slipway- are Slipway's own",
        ".name",
    ),
    cel_rule(
        MOUNT_RULE,
        "must not be /, /tmp, or in /models, /dev, /proc or /sys; use shmSize and tmpSize for the "
        "sizes of /dev/shm and /tmp",
        ".mountPath",
    ),
]
ENVIRONMENT_RULES: list[Any] = [
    cel_rule(
        "!self.name.startsWith('SLIPWAY_')",
        "names that begin with SLIPWAY_ are reserved",
        ".name",
    ),
    cel_rule(
        "!has(self.valueFrom) || !has(self.value) || self.value == ''",
        "a variable has either a value or valueFrom",
        ".valueFrom",
    ),
]

LabelValue = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]
Labels = Annotated[
    dict[str, LabelValue],
    Field(max_length=16, json_schema_extra={"x-kubernetes-validations": METADATA_RULES}),
]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]],
    Field(max_length=16, json_schema_extra={"x-kubernetes-validations": METADATA_RULES}),
]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DataKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class KeyReference(ApiModel):
    """One key of a Secret or ConfigMap in the ModelDeployment's own namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap."""
    key: DataKey
    """Key in it."""
    optional: bool | None = None
    """Whether pods start without it. Default: false."""


class ValueSource(ApiModel):
    """Where the value of an environment variable comes from."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                    "valueFrom is exactly one of secretKeyRef, configMapKeyRef",
                )
            ]
        }
    }

    secret_key_ref: KeyReference | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap."""


class EnvVar(ApiModel):
    """An environment variable."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": ENVIRONMENT_RULES}}

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
    """Name; must not begin with SLIPWAY_."""
    value: Annotated[str, Field(max_length=4096)] = ""
    """Value; empty if not given."""
    value_from: ValueSource | None = None
    """Secret or ConfigMap that holds the value. A change in it reaches pods when they restart."""


class Toleration(ApiModel):
    """A toleration, as in a pod."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Key of the taint. Default: all."""
    operator: Annotated[str, Field(pattern="^(Exists|Equal)$", max_length=6)] | None = None
    """Exists or Equal. Default: Equal."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint, for Equal."""
    effect: (
        Annotated[str, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16)]
        | None
    ) = None
    """NoSchedule, PreferNoSchedule or NoExecute. Default: all."""
    toleration_seconds: Annotated[int, Field(ge=-1, le=2_592_000)] | None = None
    """Seconds until a pod is evicted, for NoExecute. Default: never."""


class SecretVolume(ApiModel):
    """A Secret of the namespace as files."""

    secret_name: ObjectName
    """Name of the Secret."""
    optional: bool | None = None
    """Whether pods start without it. Default: false."""


class ConfigMapVolume(ApiModel):
    """A ConfigMap of the namespace as files."""

    name: ObjectName
    """Name of the ConfigMap."""
    optional: bool | None = None
    """Whether pods start without it. Default: false."""


class ClaimVolume(ApiModel):
    """A PersistentVolumeClaim of the namespace."""

    claim_name: ObjectName
    """Name of the claim; candidate and stable mount it at the same time."""


class EmptyDirVolume(ApiModel):
    """A directory that lives as long as the pod."""

    medium: Annotated[str, Field(pattern="^(Memory)?$", max_length=6)] | None = None
    """Memory: in memory, which counts against the container's limit. Default: the node's disk."""
    size_limit: Quantity | None = None
    """Size at which the pod is evicted. Default: none."""


class CsiVolume(ApiModel):
    """A volume that a CSI driver makes with the pod, for example secrets of a vault."""

    driver: ObjectName
    """Name of the driver."""
    read_only: bool | None = None
    """Whether the volume is read-only. Default: the driver's."""
    volume_attributes: (
        Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=16)] | None
    ) = None
    """What the driver is told."""


class Volume(ApiModel):
    """A volume of the pod, and where the server container sees it."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": VOLUME_RULES}}

    name: DnsLabel
    """Name of the volume."""
    mount_path: Annotated[str, Field(pattern=r"^/[^:]*$", max_length=255)]
    """Directory in the server container."""
    sub_path: Annotated[str, Field(pattern=r"^[^/].*$", max_length=255)] | None = None
    """Directory or file in the volume. Default: all of it."""
    read_only: bool | None = None
    """Whether the container may only read. Default: false."""
    secret: SecretVolume | None = None
    config_map: ConfigMapVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    empty_dir: EmptyDirVolume | None = None
    csi: CsiVolume | None = None


class ResourceClaim(ApiModel):
    """Devices by dynamic resource allocation; the server container uses every claim."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
                    "a claim is exactly one of resourceClaimName, resourceClaimTemplateName",
                )
            ]
        }
    }

    name: DnsLabel
    """Name of the claim within the pod."""
    resource_claim_name: ObjectName | None = None
    """A ResourceClaim that all pods share."""
    resource_claim_template_name: ObjectName | None = None
    """A ResourceClaimTemplate, from which each pod gets a claim of its own."""


class PodOptions(ApiModel):
    """Fields of the pod that users may set, as in a pod."""

    labels: Labels | None = None
    """Labels of the pods, besides Slipway's own. A change replaces pods, so it is a rollout."""
    annotations: Annotations | None = None
    """Annotations of the pods. A change replaces pods, so it is a rollout."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods, for workload identity. No API token is mounted. Default: the
    namespace's own."""
    scheduler_name: ObjectName | None = None
    """Scheduler of the pods. Default: the cluster's."""
    node_selector: (
        Annotated[
            dict[str, LabelValue],
            Field(
                max_length=16, json_schema_extra={"x-kubernetes-validations": NODE_SELECTOR_RULES}
            ),
        ]
        | None
    ) = None
    """Labels that a node must have."""
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra=ATOMIC)] | None
    ) = None
    """Taints that the pods tolerate."""
    affinity: Annotated[Manifest, WithJsonSchema(AFFINITY)] | None = None
    """Affinity; checked by a dry run before a revision is made."""
    topology_spread_constraints: (
        Annotated[
            list[Annotated[Manifest, WithJsonSchema(SPREAD)]],
            Field(max_length=4, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    """Topology spread; checked by a dry run before a revision is made."""
    priority_class_name: ObjectName | None = None
    """Name of a PriorityClass."""
    runtime_class_name: ObjectName | None = None
    """Name of a RuntimeClass."""
    env: (
        Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=list_map("name"))] | None
    ) = None
    """Environment variables of the server container."""
    volumes: (
        Annotated[list[Volume], Field(max_length=16, json_schema_extra=list_map("name"))] | None
    ) = None
    """Volumes of the pod, mounted in the server container."""
    shm_size: Quantity | None = None
    """Size of /dev/shm, which is memory. Default: 256Mi and 64Mi for each instance of the model."""
    tmp_size: Quantity | None = None
    """Size of /tmp, at which the pod is evicted. Default: 8Gi."""
    resource_claims: (
        Annotated[list[ResourceClaim], Field(max_length=8, json_schema_extra=list_map("name"))]
        | None
    ) = None
    """Devices by dynamic resource allocation."""
