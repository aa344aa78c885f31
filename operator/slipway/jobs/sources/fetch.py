"""Getting the files of a model or golden set from wherever its URI points to."""

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from slipway.api.reasons import Reason
from slipway.api.request import SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.http import Backoff, without_secrets
from slipway.jobs.model_digest import TreeDigest, hash_tree, require_digest
from slipway.jobs.sources import claim, web


class SourceFetcher(Protocol):
    """One way to get files; a scheme is one module with such a function."""

    def __call__(
        self, request: SourceRequest, scratch: Path, mount: Path, backoff: Backoff
    ) -> Tree:
        """Return the files, which lie below `scratch` (writable) or `mount` (the claim).

        Raises:
            JobFailure: they cannot be had; transient where trying again may help.

        """


SCHEMES: dict[str, SourceFetcher] = {
    "http": web.fetch_from_web,
    "https": web.fetch_from_web,
    "pvc": claim.fetch_from_claim,
}


def fetch_source(
    request: SourceRequest, scratch: Path, mount: Path, backoff: Backoff | None = None
) -> Tree:
    """Fetch without looking at the content.

    `scratch` is a writable directory; `mount` is where the claim of a ``pvc://`` URI lies.

    Raises:
        JobFailure: the files cannot be had.

    """
    scheme = urlsplit(request.uri).scheme
    source = SCHEMES.get(scheme)
    if source is None:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(request.uri)}: scheme {scheme!r} is unknown; expected one of "
            f"{', '.join(sorted(SCHEMES))}",
        )
    tree = source(request, scratch, mount, backoff or Backoff())
    if not tree.files:
        raise JobFailure(
            Reason.SOURCE_NOT_FOUND, f"source {without_secrets(request.uri)}: holds no files"
        )
    return tree


def verify_digest(request: SourceRequest, tree: Tree) -> TreeDigest:
    """Hash the files, and compare with the pin where there is one.

    Raises:
        JobFailure: reason DigestMismatch.

    """
    found = hash_tree(tree)
    require_digest(tree, found, request.digest, what=f"source {without_secrets(request.uri)}")
    return found
