"""Where the files of a model or golden set are, and how Jobs get in.

The operator reads no Secret. It names them, and the kubelet mounts them into Jobs.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ApiModel, Digest, ObjectName, cel_rule
from slipway.api.modeldeployment.packaging import LocalSecret

Uri = Annotated[str, Field(min_length=1, max_length=2048)]
HOST = r"[-A-Za-z0-9.]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?"

REFRESH_RULES: list[Any] = [
    cel_rule(
        "!has(self.refreshSeconds) || has(self.refresh) && self.refresh == 'Interval'",
        "refreshSeconds is for refresh: Interval",
        ".refreshSeconds",
    ),
    cel_rule(
        "!has(self.digest) || !has(self.refresh) || self.refresh == 'Never'",
        "a source with a pinned digest has no other bytes: leave out refresh, or the digest",
        ".refresh",
    ),
]

WebAddress = Annotated[str, Field(pattern=rf"^https?://({HOST})(/[!-~]*)?$", max_length=512)]

SOURCE_RULES: list[Any] = [
    cel_rule(
        r"self.uri.matches('^(https?|pvc|s3|gs|az|hf|oci|mlflow)://[!-~]+$')",
        "uri must start with https://, http://, s3://, gs://, az://, hf://, oci://, mlflow:// or "
        "pvc://, and consist of printable ASCII: write any other character as %XX",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('http') || !self.uri.endsWith('/')",
        "uri must not end in '/': give the address of an archive or of a model file",
        ".uri",
    ),
    cel_rule(
        r"!self.uri.startsWith('pvc://') || "
        r"self.uri.matches('^pvc://[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/')",
        "uri of a PersistentVolumeClaim must have the form pvc://<claim>/<path>",
        ".uri",
    ),
    cel_rule(
        "!self.uri.matches('^(s3|gs|az)://') || "
        "self.uri.matches('^(s3|gs|az)://[A-Za-z0-9$][-A-Za-z0-9._]*/[^?#]*$')",
        "uri of an object store must have the form s3://<bucket>/<path>, gs://<bucket>/<path> or "
        "az://<container>/<path>; write '?' as %3F and '#' as %23",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('hf://') || self.uri.matches("
        "'^hf://[-A-Za-z0-9._]+/[-A-Za-z0-9._]+([@:][-A-Za-z0-9._%]+)?(/[^?#]*)?$')",
        "uri of a Hugging Face model must have the form hf://<owner>/<model>[@<revision>][/<path>]",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('oci://') || self.uri.matches("
        "'^oci://[-A-Za-z0-9.]+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][-A-Za-z0-9._]*)?"
        "(@sha256:[0-9a-f]{64})?$')",
        "uri of an image or artifact must have the form "
        "oci://<registry>/<repository>[:<tag>][@sha256:<digest>]",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('mlflow://') || self.uri.matches("
        "'^mlflow://[-A-Za-z0-9._%]+(@[-A-Za-z0-9._%]+|/[1-9][0-9]*)$')",
        "uri of a model in MLflow's registry must have the form mlflow://<model>@<alias> or "
        "mlflow://<model>/<version>",
        ".uri",
    ),
    cel_rule(
        "!self.uri.matches('^(https?|s3|gs|az)://[^/?#]*@')",
        "uri must not contain a user or a password: everyone who can read the object would see it",
        ".uri",
    ),
    cel_rule(
        "self.uri.startsWith('http') || !self.uri.split('/').exists(p, p == '..')",
        "the path in uri must not contain '..'",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('pvc://') || !has(self.store) && !has(self.credentialsSecretRef)"
        " && !has(self.serviceAccountName) && !has(self.connection)",
        "a PersistentVolumeClaim is mounted: it takes no store, credentialsSecretRef, "
        "serviceAccountName or connection",
        ".uri",
    ),
    cel_rule(
        "!self.uri.startsWith('http://') || !has(self.credentialsSecretRef)",
        "credentials must not be sent over plain HTTP: use https://, or leave out "
        "credentialsSecretRef",
        ".credentialsSecretRef",
    ),
    cel_rule(
        "!has(self.connection) || !has(self.connection.anonymous) || !self.connection.anonymous"
        " || !has(self.credentialsSecretRef) && !has(self.serviceAccountName)",
        "connection.anonymous excludes credentialsSecretRef and serviceAccountName",
        ".connection",
    ),
    cel_rule(
        "!has(self.verify) || !has(self.verify.bundle) || !self.verify.bundle.contains('://')"
        " || self.verify.bundle.split('/')[0] == self.uri.split('/')[0]"
        " && self.verify.bundle.split('/')[2] == self.uri.split('/')[2]",
        "verify.bundle must be a path in the source, or an address in the same place as uri: with "
        "its scheme, and its bucket, host, claim or owner",
        ".verify.bundle",
    ),
]
VERIFY_RULES: list[Any] = [
    cel_rule(
        "[has(self.key), has(self.secretRef), has(self.configMapRef)].filter(given, given).size()"
        " == 1",
        "verify needs one public key: key, secretRef or configMapRef",
    ),
]


class LocalConfigMap(ApiModel):
    """A ConfigMap in the ModelDeployment's own namespace."""

    name: ObjectName
    """Name of the ConfigMap."""


class Connection(ApiModel):
    """How a store is reached. What is left out comes from the operator's store, else a default."""

    endpoint: WebAddress | None = None
    """Address of the store, such as `https://minio.example.com:9000`. Default: that of AWS,
    Google, Azure or Hugging Face, by the scheme of the uri; for `oci` the uri's own host; for
    `mlflow` none, so the tracking server must be given here, by a store, or in the Secret."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)] | None = None
    """Region of an S3 bucket. Default: `AWS_REGION` of the Secret, else us-east-1."""
    path_style: bool | None = None
    """Name an S3 bucket in the path instead of the host. Default: true with an endpoint."""
    anonymous: bool | None = None
    """Send no credentials. Default: false."""
    account: Annotated[str, Field(pattern=r"^[a-z0-9]{3,24}$", max_length=24)] | None = None
    """Storage account of Azure. Default: `AZURE_STORAGE_ACCOUNT` of the Secret."""
    ca_config_map_ref: LocalConfigMap | None = None
    """ConfigMap with the certificates of a private authority under the key `ca.crt`, in addition to
    the system's."""
    proxy: Annotated[str, Field(pattern=rf"^https?://({HOST})/?$", max_length=512)] | None = None
    """HTTP proxy on the way to the store. Default: `jobs.proxy` of the operator's settings."""


class PublicKeyReference(ApiModel):
    """A public key in a Secret or ConfigMap of the ModelDeployment's own namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap."""
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] | None = None
    """Its key with the PEM text. Default: cosign.pub."""


class Verify(ApiModel):
    """Whose signature the files must have: one public key, and a bundle of model-signing."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": VERIFY_RULES}}

    key: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] | None = (
        None
    )
    """Name of a public key in the operator's settings."""
    secret_ref: PublicKeyReference | None = None
    """Secret with the public key. Mounted into Jobs and pods that fetch."""
    config_map_ref: PublicKeyReference | None = None
    """ConfigMap with the public key. Mounted into Jobs and pods that fetch."""
    bundle: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=2048)] | None = None
    """Signature: a path in the source, or an address that is reached as uri is. Default:
    model.sig."""


class Refresh(StrEnum):
    """When the bytes of a source without a pinned digest are looked at again."""

    NEVER = "Never"
    """They are resolved once per version, and kept."""
    ON_RETRY = "OnRetry"
    """By the action `retry` of a version that was rejected or failed."""
    INTERVAL = "Interval"
    """By `retry`, and by the clock while nothing is rolled out."""


class Location(ApiModel):
    """Where files are, and how Jobs get in."""

    uri: Uri
    digest: Digest | None = None
    store: (
        Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] | None
    ) = None
    """Name of a store in the operator's settings, which says how it is reached. Default: the store
    with the longest prefix of uri, if any."""
    credentials_secret_ref: LocalSecret | None = None
    """Secret with the credentials, under the names that KServe, AWS, Google, Azure, Hugging Face
    and MLflow use; docs/sources.md lists them. Mounted into Jobs only. Default: that of the store,
    else none."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods that fetch, for workload identity (IRSA, GKE, Azure). Default:
    that of the store, else `default`."""
    connection: Connection | None = None
    verify: Verify | None = None
    """Signature that the files must have, before anything is looked into. Default: none, unless the
    operator's settings demand one."""
