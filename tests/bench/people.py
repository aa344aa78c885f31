"""What users do: create namespaces and ModelDeployments, and watch them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from slipway.adapters.connection import MERGE, Connection, connect
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.errors import ClusterUnavailable

from tests.bench.apiserver import ApiServer
from tests.bench.asked import MODELS, Asked
from tests.cluster.settings import CLONE

AT_ONCE = 32
AGAIN_SECONDS = 0.2
ESTABLISHED_SECONDS = 90.0
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class People:
    """A client of the API server."""

    def __init__(self, connection: Connection, session: aiohttp.ClientSession) -> None:
        self._connection = connection
        self._session = session

    async def get(self, path: str) -> Manifest:
        """Read an object or a list."""
        return await self._ask("GET", path)

    async def post(self, path: str, body: Manifest) -> Manifest:
        """Create an object."""
        return await self._ask("POST", path, body)

    async def put(self, path: str, body: Manifest) -> Manifest:
        """Replace an object."""
        return await self._ask("PUT", path, body)

    async def delete(self, path: str) -> None:
        """Delete an object, or all of a collection."""
        await self._ask("DELETE", path)

    async def _ask(self, method: str, path: str, body: Manifest | None = None) -> Manifest:
        answer = await self._connection.request(method, path, body=body, timeout_seconds=30)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.body.decode()[:500]}")
        return answer.json()

    async def patch(self, path: str, body: Manifest) -> bool:
        """Change an object by merge patch; False where it changed meanwhile or is gone."""
        answer = await self._connection.request(
            "PATCH", path, body=body, content_type=MERGE, timeout_seconds=30
        )
        return answer.is_success

    async def create(self, name: str, namespace: str, asked: Asked = MODELS) -> None:
        """Create an object, by default a ModelDeployment."""
        await self.post(asked.kind.path(namespace), asked.manifest(name, namespace))

    async def create_all(self, places: Iterable[tuple[str, str]], asked: Asked = MODELS) -> None:
        """Create many at once; places are namespaces and names."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(namespace: str, name: str) -> None:
            async with limit:
                await self.create(name, namespace, asked)

        async with asyncio.TaskGroup() as group:
            for namespace, name in places:
                group.create_task(one(namespace, name))

    async def remove_all(self, *removed: Kind) -> None:
        """Delete every object of these kinds, by default every ModelDeployment."""
        for kind in removed or (kinds.MODEL_DEPLOYMENT,):
            found = await self.get(kind.path(None))
            for space in {item["metadata"]["namespace"] for item in found["items"]}:
                await self.delete(kind.path(space))

    async def namespace(self, name: str) -> None:
        """Create a namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.post("/api/v1/namespaces", body)

    async def define(self) -> None:
        """Install our CRDs."""
        files = sorted((CLONE / "crds").glob("slipway.dev_*.yaml"))
        definitions = (yaml.safe_load(file.read_text()) for file in files)
        await self.define_all(definitions, kinds.MODEL_DEPLOYMENT, kinds.MODEL_ROUTE)

    async def define_all(self, definitions: Iterable[Manifest], *defined: Kind) -> None:
        """Install CRDs, and wait until these kinds are served."""
        for definition in definitions:
            await self.post(DEFINITIONS, definition)
        async with asyncio.timeout(ESTABLISHED_SECONDS):
            for kind in defined:
                while not await self._is_served(kind):  # noqa: ASYNC110 -- another process answers
                    await asyncio.sleep(0.1)

    async def _is_served(self, kind: Kind) -> bool:
        try:
            return (await self._connection.request("GET", kind.path(None))).is_success
        except ClusterUnavailable:  # new CRDs keep the API server busy
            return False

    async def watch(self, kind: Kind, labels: str = "") -> AsyncIterator[tuple[str, Manifest]]:
        """Yield events, also of what exists already, for ever.

        The API server ends the watch of a client that is too slow; everything is then sent again.
        """
        query = {"watch": "1", "labelSelector": labels}
        url = self._connection.configuration.host + kind.path(None)
        while True:
            async with self._session.get(url, params=query) as answer:
                answer.raise_for_status()
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    yield event["type"], event["object"]
            await asyncio.sleep(AGAIN_SECONDS)


@asynccontextmanager
async def connect_people(server: ApiServer) -> AsyncIterator[People]:
    """Open a client."""
    connection = await connect(Path(server.kubeconfig), user_agent="slipway-bench")
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(ssl=server.trust)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, read_bufsize=2**22
    ) as session:
        try:
            yield People(connection, session)
        finally:
            await connection.close()
