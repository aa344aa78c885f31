"""Settings of the clients of object stores, from a Secret's keys and the connection of the spec."""

import json
import os
from typing import Any
from urllib.parse import urlsplit

from slipway.api.reasons import Reason
from slipway.jobs.sources.access import SourceAccess

Settings = dict[str, Any]

ACCESS_KEY = ("AWS_ACCESS_KEY_ID", "accessKeyId", "accessKey", "rootUser")
SECRET_KEY = ("AWS_SECRET_ACCESS_KEY", "secretAccessKey", "secretKey", "rootPassword")
SESSION_TOKEN = ("AWS_SESSION_TOKEN", "sessionToken")
REGION = ("AWS_REGION", "AWS_DEFAULT_REGION", "region")
ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT", "S3_ENDPOINT", "endpoint")
DEFAULT_REGION = "us-east-1"

GOOGLE_KEYS = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "gcloud-application-credentials.json",
    "key.json",
    "credentials.json",
    "service-account.json",
)
GOOGLE_KINDS = ("service_account", "authorized_user")

AZURE_ACCOUNT = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", "azurestorageaccountname")
AZURE_KEY = (
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "azurestorageaccountkey",
)
AZURE_SAS = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS", "sasToken")
AZURE_CONNECTION = ("AZURE_STORAGE_CONNECTION_STRING", "connectionString")
AZURE_CLIENT = ("AZURE_CLIENT_ID", "AZ_CLIENT_ID")
AZURE_CLIENT_SECRET = ("AZURE_CLIENT_SECRET", "AZ_CLIENT_SECRET")
AZURE_TENANT = ("AZURE_TENANT_ID", "AZ_TENANT_ID")
METADATA_HOSTS = ("metadata.google.internal", "169.254.0.0/16", "fd00:ec2::/32")
"""Where the clouds give a node or pod its identity: names and link-local addresses."""
GOOGLE_METADATA = ("GCE_METADATA_HOST", "GCE_METADATA_IP")
"""Variables that name another metadata server, as Google's clients read them."""
AZURE_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - the name of a variable
"""Azure's webhook gives it to pods with an identity."""
AZURE_KEYS = (*AZURE_KEY, *AZURE_SAS, *AZURE_CONNECTION, *AZURE_CLIENT_SECRET)
"""Any of these is a credential."""


def s3_settings(access: SourceAccess, bucket: str) -> Settings:
    """Return the settings for a bucket of S3 or of a store that speaks its protocol.

    Raises:
        JobFailure: SourceRefused, for a key that the Secret lacks or an endpoint without TLS.

    """
    asked = access.asked
    endpoint = asked.endpoint or access.find(ENDPOINT)
    by_path = asked.path_style if asked.path_style is not None else endpoint is not None
    settings: Settings = {"virtual_hosted_style_request": not by_path}

    region = asked.region or access.find(REGION)
    if region is None:
        settings["default_region"] = DEFAULT_REGION  # AWS_REGION of a workload identity counts
    else:
        settings["region"] = region
    if endpoint is not None:
        endpoint = require_trusted(access, endpoint)
        parts = urlsplit(endpoint)
        host = parts._replace(netloc=f"{bucket}.{parts.netloc}").geturl()
        settings["endpoint"] = endpoint if by_path else host

    if asked.anonymous:
        settings["skip_signature"] = True
    elif asked.secret is not None:
        settings["access_key_id"] = access.require(ACCESS_KEY)
        settings["secret_access_key"] = access.require(SECRET_KEY)
        token = access.find(SESSION_TOKEN)
        settings |= {"session_token": token} if token is not None else {}
    return settings


def google_settings(access: SourceAccess) -> Settings:
    """Return the settings for a bucket of Google Cloud Storage.

    Raises:
        JobFailure: SourceRefused, for a Secret without a key file that can be used.

    """
    asked = access.asked
    settings: Settings = {}
    if asked.endpoint is not None:
        settings["base_url"] = require_trusted(access, asked.endpoint)
    if asked.anonymous:
        settings["skip_signature"] = True
    elif asked.secret is not None:
        text = access.require(GOOGLE_KEYS)
        kind = _kind_of_key(text)
        if kind not in GOOGLE_KINDS:
            raise access.failure(
                Reason.SOURCE_REFUSED,
                f"the key file in Secret {asked.secret} has type {kind!r}, expected "
                f"{' or '.join(GOOGLE_KINDS)}; for a federated identity set "
                f"{access.field}.serviceAccountName",
            )
        settings["service_account_key"] = text
    return settings


def azure_settings(access: SourceAccess) -> Settings:
    """Return the settings for a container of Azure Blob Storage.

    Raises:
        JobFailure: SourceRefused, for a Secret without credentials, or no account.

    """
    asked = access.asked
    joined = access.find(AZURE_CONNECTION) or ""
    parts = dict(item.split("=", 1) for item in joined.split(";") if "=" in item)
    account = asked.account or access.find(AZURE_ACCOUNT) or parts.get("AccountName")
    endpoint = asked.endpoint or parts.get("BlobEndpoint")
    if account is None:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"found no storage account, expected {access.field}.connection.account, or "
            f"{AZURE_ACCOUNT[0]} in the Secret",
        )

    settings: Settings = {"account_name": account}
    if endpoint is not None:
        settings["endpoint"] = require_trusted(access, endpoint).rstrip("/")
    if asked.anonymous:
        return {**settings, "skip_signature": True}
    return settings if asked.secret is None else {**settings, **_azure_credentials(access, parts)}


def _azure_credentials(access: SourceAccess, parts: dict[str, str]) -> Settings:
    key = access.find(AZURE_KEY) or parts.get("AccountKey")
    if key is not None:
        return {"account_key": key}
    sas = access.find(AZURE_SAS) or parts.get("SharedAccessSignature")
    if sas is not None:
        return {"sas_key": sas.removeprefix("?")}
    if access.find(AZURE_CLIENT) is not None:
        return {
            "client_id": access.require(AZURE_CLIENT),
            "client_secret": access.require(AZURE_CLIENT_SECRET),
            "tenant_id": access.require(AZURE_TENANT),
        }
    names = (AZURE_KEY[0], AZURE_SAS[0], AZURE_CONNECTION[0], AZURE_CLIENT[0])
    raise access.failure(
        Reason.SOURCE_REFUSED,
        f"Secret {access.asked.secret} has none of the keys {', '.join(names)}",
    )


def find_metadata_hosts() -> list[str]:
    """Return the hosts that must be asked without a proxy: it would answer for its own machine."""
    given = [os.environ.get(name, "").partition(":")[0] for name in GOOGLE_METADATA]
    return [*METADATA_HOSTS, *(host for host in given if host)]


def _kind_of_key(text: str) -> str | None:
    """Return the type of a Google key file; None where it is none."""
    try:
        kind = json.loads(text).get("type")
    except (ValueError, AttributeError):
        return None
    return str(kind)[:40]


def require_trusted(access: SourceAccess, endpoint: str) -> str:
    """Return the address of a store, with TLS unless plain HTTP is allowed."""
    address = endpoint if "://" in endpoint else f"https://{endpoint}"
    if address.startswith("http://") and not access.request.allow_plain_http:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            "found an endpoint with http and no digest; expected https, "
            f"{access.field}.digest, or a store with this endpoint in the operator's settings",
        )
    return address
