"""The API server: live reads, and fenced writes with preconditions."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from slipway.adapters.api_errors import TOO_MANY, is_missing, require_success
from slipway.adapters.connection import APPLY, JSON, MERGE, ApiResponse, Connection
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.rate_limit import TokenBucket
from slipway.errors import ChangedUnderneath, ConflictError

WRITES_PER_SECOND = 300.0
WRITES_BURST = 600.0
ATTEMPTS = 3
"""Of one call, while the API server asks to wait (429)."""
PATIENCE_SECONDS = 1.0
"""The wait where the API server does not say how long."""
LONGEST_PATIENCE_SECONDS = 5.0
VERSION_SECONDS = 600.0
"""How old the version may be that is told; clusters are updated seldom, and slowly."""
MUST_NOT_EXIST = "1"
"""A resourceVersion that no object has: an apply that carries it can only create."""

Written = Callable[[Kind, Manifest], None]


class KubeCluster:
    """Fits `slipway.reconcile.ports.Cluster`."""

    def __init__(
        self,
        connection: Connection,
        *,
        fence: Callable[[], None],
        on_written: Written = lambda _kind, _manifest: None,
        limit: TokenBucket | None = None,
    ) -> None:
        """Write only where `fence` does not raise, and pass each written object to `on_written`.

        So the cache knows at once what the watch will report later.
        """
        self._connection = connection
        self._fence = fence
        self._on_written = on_written
        self._limit = limit or TokenBucket(rate=WRITES_PER_SECOND, burst=WRITES_BURST)
        self._version: tuple[float, tuple[int, int] | None] | None = None

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Read one object live; None where it does not exist."""
        path = kind.path(namespace, name)
        response = await self._patiently(partial(self._connection.request, "GET", path))
        if is_missing(response):
            return None
        return require_success(response, f"GET {path}").json()

    async def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Read the objects with these labels live."""
        path = kind.path(namespace)
        selector = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
        query = {"labelSelector": selector}
        response = await self._patiently(
            partial(self._connection.request, "GET", path, query=query)
        )

        found = require_success(response, f"GET {path}").json()
        return [{**kind.type_meta, **item} for item in found.get("items") or ()]

    async def version(self) -> tuple[int, int] | None:
        """Return major and minor version of the API server, which may be minutes old.

        Everybody who is authenticated may read it.
        """
        now = time.monotonic()
        if self._version is None or now - self._version[0] > VERSION_SECONDS:
            response = await self._patiently(partial(self._connection.request, "GET", "/version"))
            found = require_success(response, "GET /version").json()
            self._version = now, parse_version(found)
        return self._version[1]

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object whose content never changes. Raises ConflictError where it exists."""
        kind, namespace, _ = _place_of(manifest)
        query = {"fieldManager": names.FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"

        created = await self._write("POST", kind.path(namespace), query, manifest)
        if not dry_run:
            self._on_written(kind, created)
        return created

    async def apply(self, manifest: Manifest, *, existing_uid: str | None) -> Manifest:
        """Server-side apply as manager ``slipway``; see the protocol for `existing_uid`."""
        kind, namespace, name = _place_of(manifest)
        query = {"fieldManager": names.FIELD_MANAGER, "fieldValidation": "Strict"}

        if existing_uid is not None:
            query["force"] = "true"
            condition = {"uid": existing_uid}
        else:
            condition = {"resourceVersion": MUST_NOT_EXIST}
        body = {**manifest, "metadata": {**manifest["metadata"], **condition}}

        try:
            applied = await self._write("PATCH", kind.path(namespace, name), query, body, APPLY)
        except ChangedUnderneath as error:
            if existing_uid is None:
                raise ConflictError(f"{kind.kind} {namespace}/{name} exists already") from error
            raise

        self._on_written(kind, applied)
        return applied

    async def scale(
        self,
        namespace: str,
        name: str,
        *,
        uid: str,
        replicas: int | None,
        resource_version: str | None = None,
    ) -> None:
        """Apply a Deployment's replicas as manager ``slipway-scaler``; None releases the field."""
        conditions = {"uid": uid}
        if resource_version is not None:
            conditions["resourceVersion"] = resource_version

        content = {} if replicas is None else {"spec": {"replicas": replicas}}
        body = kinds.DEPLOYMENT.manifest(namespace, name, metadata=conditions, **content)
        query = {"fieldManager": names.FIELD_MANAGER_SCALER, "force": "true"}
        path = kinds.DEPLOYMENT.path(namespace, name)
        self._on_written(kinds.DEPLOYMENT, await self._write("PATCH", path, query, body, APPLY))

    async def apply_status(
        self,
        manifest: Manifest,
        *,
        resource_version: str,
        manager: str = names.FIELD_MANAGER_STATUS,
    ) -> Manifest:
        """Replace what `manager` owns of the status of the version that was read."""
        kind, namespace, name = _place_of(manifest)
        precondition = {"resourceVersion": resource_version}
        body = kind.manifest(namespace, name, metadata=precondition, status=manifest["status"])
        query = {"fieldManager": manager, "force": "true"}
        path = kind.path(namespace, name, "status")
        applied = await self._write("PATCH", path, query, body, APPLY)
        self._on_written(kind, applied)
        return applied

    async def annotate(
        self, kind: Kind, namespace: str, name: str, *, uid: str, annotations: Mapping[str, str]
    ) -> None:
        """Set annotations of an object of ours by merge patch."""
        body: Manifest = {"metadata": {"uid": uid, "annotations": dict(annotations)}}
        query = {"fieldManager": names.FIELD_MANAGER}
        path = kind.path(namespace, name)
        self._on_written(kind, await self._write("PATCH", path, query, body, MERGE))

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
    ) -> None:
        """Delete in the background, with preconditions; an object that is gone is fine."""
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version

        body: Manifest = {"propagationPolicy": "Background", "preconditions": preconditions}
        path = kind.path(namespace, name)
        response = await self._patiently(
            partial(self._connection.request, "DELETE", path, body=body), is_write=True
        )
        if not is_missing(response):
            require_success(response, f"DELETE {path}")

    async def _write(
        self, method: str, path: str, query: Mapping[str, str], body: Manifest, content: str = JSON
    ) -> Manifest:
        send = partial(
            self._connection.request, method, path, query=query, body=body, content_type=content
        )
        response = await self._patiently(send, is_write=True)
        return require_success(response, f"{method} {path}").json()

    async def _patiently(
        self, send: Callable[[], Awaitable[ApiResponse]], *, is_write: bool = False
    ) -> ApiResponse:
        """Send a request, and again while the API server asks to wait."""
        attempts = ATTEMPTS
        while True:
            if is_write:
                await self._limit.take()
                self._fence()  # after the wait for the limit: the Lease may be lost meanwhile

            response = await send()
            attempts -= 1
            if response.status != TOO_MANY or not attempts:
                return response

            asked = PATIENCE_SECONDS if response.retry_after is None else response.retry_after
            patience = min(asked, LONGEST_PATIENCE_SECONDS)
            self._limit.pause(patience)
            await asyncio.sleep(patience)


def parse_version(found: Manifest) -> tuple[int, int] | None:
    """Return major and minor of what ``/version`` says; some clouds write ``"33+"``."""
    parts = [re.match(r"\d+", str(found.get(key) or "")) for key in ("major", "minor")]
    numbers = [int(part[0]) for part in parts if part is not None]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None  # noqa: PLR2004 - both


def _place_of(manifest: Manifest) -> tuple[Kind, str, str]:
    metadata = manifest["metadata"]
    return kinds.BY_NAME[manifest["kind"]], metadata["namespace"], metadata["name"]
