"""The API server: live reads, and fenced writes with preconditions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from slipway.adapters.api_errors import TOO_MANY, is_missing, refusal
from slipway.adapters.connection import APPLY, JSON, MERGE, Answer, Connection
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.rate_limit import TokenBucket
from slipway.errors import ChangedUnderneath, ConflictError

WRITES_PER_SECOND = 300.0
WRITES_BURST = 600.0
ATTEMPTS = 3
"""Of one call, where the API server asks for patience (429)."""
PATIENCE_SECONDS = 1.0
"""Where it asks for patience, but does not say how much."""
LONGEST_PATIENCE_SECONDS = 5.0
MUST_NOT_EXIST = "1"
"""A resourceVersion that no object has: an apply that carries it only ever creates."""

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
        """Write only where `fence` does not raise, and show each written object to `on_written`.

        The latter lets the cache know at once what the watch will tell later.
        """
        self._connection = connection
        self._fence = fence
        self._on_written = on_written
        self._limit = limit or TokenBucket(rate=WRITES_PER_SECOND, burst=WRITES_BURST)

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Read one object live; None where it does not exist."""
        path = kind.path(namespace, name)
        answer = await self._patiently("GET", path)
        if is_missing(answer):
            return None
        return _accepted(answer, f"GET {path}").json()

    async def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Read the objects with these labels live."""
        path = kind.path(namespace)
        selector = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
        answer = await self._patiently("GET", path, query={"labelSelector": selector})
        items: Sequence[Manifest] = _accepted(answer, f"GET {path}").json().get("items") or []
        return [{**kind.type_meta, **item} for item in items]

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object whose content never changes. Raises ConflictError where it exists."""
        kind, namespace, _ = _place(manifest)
        query = {"fieldManager": names.FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        created = await self._write("POST", kind.path(namespace), query, manifest)
        if not dry_run:
            self._on_written(kind, created)
        return created

    async def apply(self, manifest: Manifest, *, existing_uid: str | None) -> Manifest:
        """Server-side apply as manager ``slipway``; see the protocol for `existing_uid`."""
        kind, namespace, name = _place(manifest)
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
        kind, namespace, name = _place(manifest)
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
        answer = await self._patiently("DELETE", path, body=body, is_write=True)
        if not is_missing(answer):
            _accepted(answer, f"DELETE {path}")

    async def _write(
        self, method: str, path: str, query: Mapping[str, str], body: Manifest, content: str = JSON
    ) -> Manifest:
        answer = await self._patiently(
            method, path, query=query, body=body, content_type=content, is_write=True
        )
        return _accepted(answer, f"{method} {path}").json()

    async def _patiently(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        is_write: bool = False,
    ) -> Answer:
        attempts = ATTEMPTS
        while True:
            if is_write:
                await self._limit.take()
                self._fence()
            answer = await self._connection.request(
                method, path, query=query, body=body, content_type=content_type
            )
            attempts -= 1
            if answer.status != TOO_MANY or not attempts:
                return answer
            asked = PATIENCE_SECONDS if answer.retry_after is None else answer.retry_after
            patience = min(asked, LONGEST_PATIENCE_SECONDS)
            self._limit.pause(patience)
            await asyncio.sleep(patience)


def _accepted(answer: Answer, what: str) -> Answer:
    if not answer.is_success:
        raise refusal(answer, what)
    return answer


def _place(manifest: Manifest) -> tuple[Kind, str, str]:
    metadata = manifest["metadata"]
    return kinds.BY_NAME[manifest["kind"]], metadata["namespace"], metadata["name"]
