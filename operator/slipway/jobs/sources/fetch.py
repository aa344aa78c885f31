"""Fetching the files of a model or golden set from the source that its URI names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from slipway.api.reasons import Reason
from slipway.api.request import SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.http import Backoff, address_problem, without_secrets
from slipway.jobs.model_digest import TreeDigest, hash_tree, require_digest
from slipway.jobs.sources import artifact, claim, hub, mlflow, object_store, web
from slipway.jobs.sources.access import SourceAccess, SourceMounts


class SourceFetcher(Protocol):
    """The function of a scheme's module that fetches files."""

    def __call__(self, access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
        """Return the files, which lie below `scratch` (writable) or in the source's claim.

        Raises:
            JobFailure: the files cannot be fetched; transient where a retry may help.

        """


WEB = frozenset({"http", "https"})
SCHEMES: dict[str, SourceFetcher] = {
    "az": object_store.fetch_from_object_store,
    "gs": object_store.fetch_from_object_store,
    "hf": hub.fetch_from_hub,
    "http": web.fetch_from_web,
    "https": web.fetch_from_web,
    "mlflow": mlflow.fetch_from_mlflow,
    "oci": artifact.fetch_from_registry,
    "pvc": claim.fetch_from_claim,
    "s3": object_store.fetch_from_object_store,
}


def fetch_source(
    request: SourceRequest,
    scratch: Path,
    mounts: SourceMounts,
    backoff: Backoff | None = None,
    *,
    field: str = "spec.model.source",
    may_stream: bool = False,
) -> Tree:
    """Return the files of a source, without looking into them.

    Args:
        request: what to fetch.
        scratch: a writable directory.
        mounts: where the source's volumes are mounted.
        backoff: how patient to be; None for the default.
        field: the field of the spec that has the source.
        may_stream: whether large files may stay in their store, to be read while they are packed.

    Raises:
        JobFailure: the files cannot be fetched, or there are none.

    """
    scheme = request.uri.partition("://")[0].lower()
    problem = address_problem(request.uri) if is_web(request.uri) else None
    if problem is not None:
        raise JobFailure(
            Reason.SOURCE_REFUSED, f"{field}.uri {without_secrets(request.uri)}: {problem}"
        )

    fetch_from = SCHEMES.get(scheme)
    if fetch_from is None:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(request.uri)}: found scheme {scheme!r}, expected one of "
            f"{', '.join(sorted(SCHEMES))}",
        )

    access = SourceAccess(request, mounts, field, may_stream)
    tree = fetch_from(access, scratch, backoff or Backoff())
    if not tree.files:
        raise JobFailure(
            Reason.SOURCE_NOT_FOUND,
            f"source {without_secrets(request.uri)}: found no files, expected at least one",
        )
    return tree


def is_web(uri: str) -> bool:
    """Return whether a source is one download."""
    return uri.partition("://")[0].lower() in WEB


def verify_digest(
    request: SourceRequest, tree: Tree, known: Mapping[str, str] | None = None
) -> TreeDigest:
    """Return the digests of the files, after comparing with the pinned one if there is one.

    `known` has those of files that were hashed already, by name: 64 hex digits.

    Raises:
        JobFailure: DigestMismatch.

    """
    found = hash_tree(tree, known)
    require_digest(tree, found, request.digest, what=f"source {without_secrets(request.uri)}")
    return found
