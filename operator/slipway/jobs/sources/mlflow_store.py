"""Where MLflow's registry says that a version's files are, as a source of an object store."""

import re
from dataclasses import replace
from urllib.parse import quote, unquote, urlsplit

from slipway.api.reasons import Reason
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.store_settings import ACCESS_KEY, AZURE_KEYS, GOOGLE_KEYS

STORE_ENDPOINT = ("MLFLOW_S3_ENDPOINT_URL",)
STORE_KEYS = {"s3": ACCESS_KEY, "gs": GOOGLE_KEYS, "az": AZURE_KEYS}
"""Keys of the Secret that let one into the store where the files are."""
AZURE_HOST = re.compile(r"([a-z0-9]{3,24})\.(?:blob|dfs)\.[a-z0-9.-]+")


def access_artifact_store(access: SourceAccess, place: str) -> SourceAccess:
    """Return how the object store is reached that has the files of a version.

    The connection's endpoint is the tracking server's; the store's is in the Secret, as MLflow
    names it. A Secret for the tracking server alone leaves the store to the pod's identity.

    Args:
        access: how the tracking server is reached.
        place: the address of the files, as the registry has it.

    Raises:
        JobFailure: SourceRefused, for an address that is in no object store.

    """
    uri, account = _address_in_store(access, place)
    scheme = uri.partition("://")[0]
    asked = access.asked
    endpoint = access.find(STORE_ENDPOINT) if scheme == "s3" else None
    has_keys = access.find(STORE_KEYS[scheme]) is not None
    changes = {"endpoint": endpoint, "account": asked.account or account}
    if asked.secret is not None and not has_keys and access.has_identity:
        changes["secret"] = None
    request = access.request.model_copy(
        update={"uri": uri, "access": asked.model_copy(update=changes)}
    )
    return replace(access, request=request)


def _address_in_store(access: SourceAccess, place: str) -> tuple[str, str | None]:
    """Return the address of a version's files as of a source, and the account of Azure's."""
    parts = urlsplit(place)
    path = quote(unquote(parts.path), safe="/")
    if parts.scheme in {"s3", "gs"} and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}{path}", None
    if parts.scheme in {"wasbs", "abfss"}:
        container, _, host = parts.netloc.rpartition("@")
        account = AZURE_HOST.fullmatch(host)
        if container and account:
            return f"az://{container}{path}", account[1]
    raise access.failure(
        Reason.SOURCE_REFUSED,
        f"the files are at {parts.scheme[:20]}:, which nobody else can read; expected s3, gs, "
        "wasbs, abfss, or a server that serves its artifacts (mlflow server --serve-artifacts)",
    )
