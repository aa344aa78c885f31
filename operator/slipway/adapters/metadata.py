"""Metadata-only lists of what exists, which the uid sweep compares with the cache."""

from collections.abc import Iterable, Mapping, Sequence

from slipway.adapters.api_errors import NOT_FOUND, require_success
from slipway.adapters.connection import Connection
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_DEPLOYMENT, MODEL_ROUTE, Kind
from slipway.engine.cache import Ref
from slipway.errors import ClusterUnavailable

CHUNK = 500
TIMEOUT_SECONDS = 30.0
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
UNFILTERED = frozenset({MODEL_DEPLOYMENT, MODEL_ROUTE})
"""Kinds whose objects are all ours."""


def watch_selector(kind: Kind) -> str | None:
    """Return the label selector of what Slipway watches of a kind; None: everything."""
    return None if kind in UNFILTERED else f"{names.MANAGED_BY}={names.MANAGER}"


def ref_of(kind: Kind, manifest: Manifest) -> Ref:
    """Return the place and identity of an object."""
    metadata = manifest["metadata"]
    version = metadata.get("resourceVersion", "")

    return Ref(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(version) if version.isdigit() else 0,
        generation=metadata.get("generation", 0),
        owner=_controller_uid(metadata.get("ownerReferences") or ()),
    )


def _controller_uid(references: Iterable[Mapping[str, object]]) -> str | None:
    return next((str(ref["uid"]) for ref in references if ref.get("controller")), None)


class KubeMetadata:
    """Fits `slipway.engine.sweep.Lister`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def refs(self, kind: Kind, namespace: str | None) -> Sequence[Ref]:
        """Return all objects of a kind that the watch should show. Raises DependencyError."""
        path = kind.path(namespace)
        query = {"limit": str(CHUNK)}
        if (labels := watch_selector(kind)) is not None:
            query["labelSelector"] = labels

        refs: list[Ref] = []
        while True:
            page = await self._page(path, query)
            refs.extend(ref_of(kind, item) for item in page.get("items") or ())
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return refs

    async def probe(self, kind: Kind, namespace: str | None) -> None:
        """Check that the kind is served and may be listed.

        Raises:
            SlipwayError: it is not; the message says what is missing.

        """
        response = await self._connection.request("GET", kind.path(namespace), query={"limit": "1"})
        if response.status == NOT_FOUND:
            raise ClusterUnavailable(
                f"{kind.plural} of {kind.api_version} are not served: is the CRD installed?"
            )
        require_success(response, f"list {kind.plural}")

    async def _page(self, path: str, query: Mapping[str, str]) -> Manifest:
        response = await self._connection.request(
            "GET", path, query=query, accept=METADATA_ONLY, timeout_seconds=TIMEOUT_SECONDS
        )
        return require_success(response, f"GET {path}").json()
