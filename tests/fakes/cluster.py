"""The operator's client of the API server in memory; passes the contract tests of the real one.

Every write is counted, and may fail: before it reaches the server, or after it was made.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.errors import ConflictError

from tests.fakes.api import FakeApi, place_of

Written = Callable[[Kind, Manifest], None]


@dataclass(frozen=True, slots=True)
class Write:
    """One write, as an audit log would show it."""

    verb: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.namespace}/{self.name}"


class Trouble:
    """Nothing goes wrong; a test overrides what should."""

    def before(self, write: Write) -> None:
        """Raise what happens instead of the write."""

    def after(self, write: Write) -> None:
        """Raise what happens instead of the answer."""


class FakeCluster:
    """Fits `slipway.reconcile.ports.Cluster`."""

    def __init__(
        self,
        api: FakeApi,
        *,
        fence: Callable[[], None] = lambda: None,
        on_written: Written = lambda _kind, _manifest: None,
        trouble: Trouble | None = None,
    ) -> None:
        self._api = api
        self._fence = fence
        self._on_written = on_written
        self.trouble = trouble or Trouble()
        self.writes: list[Write] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        await asyncio.sleep(0)
        return self._api.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        await asyncio.sleep(0)
        return self._api.list(kind, namespace, labels)

    async def version(self) -> tuple[int, int] | None:
        await asyncio.sleep(0)
        return self._api.version

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        def do() -> Manifest:
            return self._api.create(manifest, manager=names.FIELD_MANAGER, dry_run=dry_run)

        if dry_run:
            self._fence()
            return do()
        return await self._write("create", manifest, do)

    async def apply(self, manifest: Manifest, *, existing_uid: str | None) -> Manifest:
        metadata = manifest["metadata"]
        if existing_uid is not None:
            metadata = {**metadata, "uid": existing_uid}

        def do() -> Manifest:
            if existing_uid is None and self._api.get(*place_of(manifest)) is not None:
                raise ConflictError(f"{manifest['kind']} {metadata['name']} exists already")
            return self._api.apply(
                {**manifest, "metadata": metadata},
                manager=names.FIELD_MANAGER,
                force=existing_uid is not None,
            )

        return await self._write("apply", manifest, do)

    async def scale(
        self,
        namespace: str,
        name: str,
        *,
        uid: str,
        replicas: int | None,
        resource_version: str | None = None,
    ) -> None:
        conditions = {"uid": uid}
        if resource_version is not None:
            conditions["resourceVersion"] = resource_version
        content = {} if replicas is None else {"spec": {"replicas": replicas}}
        body = kinds.DEPLOYMENT.manifest(namespace, name, metadata=conditions, **content)

        await self._write(
            "scale",
            body,
            lambda: self._api.apply(body, manager=names.FIELD_MANAGER_SCALER, force=True),
        )

    async def apply_status(
        self,
        manifest: Manifest,
        *,
        resource_version: str,
        manager: str = names.FIELD_MANAGER_STATUS,
    ) -> Manifest:
        kind, namespace, name = place_of(manifest)
        precondition = {"resourceVersion": resource_version}
        body = kind.manifest(namespace, name, metadata=precondition, status=manifest["status"])

        return await self._write(
            "status",
            body,
            lambda: self._api.apply(body, manager=manager, force=True, subresource="status"),
        )

    async def annotate(
        self, kind: Kind, namespace: str, name: str, *, uid: str, annotations: Mapping[str, str]
    ) -> None:
        body: Manifest = {"metadata": {"uid": uid, "annotations": dict(annotations)}}
        await self._write(
            "annotate",
            kind.manifest(namespace, name),
            lambda: self._api.patch(kind, namespace, name, body, manager=names.FIELD_MANAGER),
        )

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
    ) -> None:
        write = Write("delete", kind.kind, namespace, name)
        await self._begin(write)
        self._api.delete(kind, namespace, name, uid=uid, resource_version=resource_version)
        self.trouble.after(write)

    async def _begin(self, write: Write) -> None:
        await asyncio.sleep(0)
        self._fence()
        self.trouble.before(write)
        self.writes.append(write)

    async def _write(self, verb: str, manifest: Manifest, do: Callable[[], Manifest]) -> Manifest:
        kind, namespace, name = place_of(manifest)
        write = Write(verb, kind.kind, namespace, name)
        await self._begin(write)
        written = do()
        self.trouble.after(write)
        self._on_written(kind, written)
        return written
