"""Stands in for controllers, kubelets and router agents: everything turns ready at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind

from tests.bench.asked import OURS
from tests.bench.people import People

AT_ONCE = 16


class StandIn:
    """Answers what the operator writes, as a cluster would."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._proxies: dict[str, asyncio.Future[str]] = {}
        """uid of the one router pod, by namespace."""
        self._with_pods: set[str] = set()
        """uids of Deployments."""
        self._busy: set[asyncio.Task[None]] = set()

    async def deployments(self) -> None:
        """Make Deployments ready, each with one pod."""
        async for event, found in self._people.watch(kinds.DEPLOYMENT, OURS):
            seen = found.get("status", {}).get("observedGeneration", 0)
            if event != "DELETED" and seen < found["metadata"]["generation"]:
                self._do(self._ready(found))

    async def routes(self) -> None:
        """Acknowledge routes."""
        async for event, found in self._people.watch(kinds.MODEL_ROUTE):
            proxies = found.get("status", {}).get("proxies") or [{"generation": 0}]
            if event != "DELETED" and proxies[0]["generation"] < found["metadata"]["generation"]:
                self._do(self._acknowledge(found))

    def _do(self, work: "asyncio.Coroutine[None, None, None]") -> None:  # type: ignore[name-defined]
        task = asyncio.create_task(work)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _ready(self, deployment: Manifest) -> None:
        metadata = deployment["metadata"]
        async with self._limit:
            if metadata["uid"] not in self._with_pods:
                self._with_pods.add(metadata["uid"])
                await self._pod(deployment)
            available = _condition("Available")
            number = deployment["spec"].get("replicas", 1)
            status = {
                "observedGeneration": metadata["generation"],
                **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), number),
                "conditions": [available],
            }
            await self._status(kinds.DEPLOYMENT, deployment, status)

    async def _pod(self, deployment: Manifest) -> None:
        metadata, template = deployment["metadata"], deployment["spec"]["template"]
        namespace, labels = metadata["namespace"], template["metadata"]["labels"]
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }

        named = {"name": f"{metadata['name']}-0", "namespace": namespace, "labels": labels}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**named, "ownerReferences": [owner]},
            "spec": template["spec"],
        }
        pod = await self._people.post(kinds.POD.path(namespace), body)

        states = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": _now()}},
            }
            for container in template["spec"]["containers"]
        ]
        conditions = [_condition("PodScheduled"), _condition("Ready")]

        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "conditions": conditions,
            "containerStatuses": states,
        }

        await self._status(kinds.POD, pod, status)
        if labels.get(names.LABEL_COMPONENT) == names.COMPONENT_ROUTER:
            self._proxy(namespace).set_result(pod["metadata"]["uid"])

    def _proxy(self, namespace: str) -> "asyncio.Future[str]":
        if namespace not in self._proxies:
            self._proxies[namespace] = asyncio.get_running_loop().create_future()
        return self._proxies[namespace]

    async def _acknowledge(self, route: Manifest) -> None:
        metadata = route["metadata"]
        uid = await self._proxy(metadata["namespace"])
        async with self._limit:
            backends = route["spec"].get("backends") or ()
            proxy = {
                "name": f"{names.ROUTER_NAME}-0",
                "uid": uid,
                "generation": metadata["generation"],
                "hash": "0",
                "effectiveWeights": {entry["revision"]: entry["weight"] for entry in backends},
                "at": _now(),
            }
            await self._status(kinds.MODEL_ROUTE, route, {"proxies": [proxy]})

    async def _status(self, kind: Kind, found: Manifest, status: Manifest) -> None:
        metadata = found["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], "status")
        await self._people.patch(path, {"status": status})


@asynccontextmanager
async def run_stand_in(people: People) -> AsyncIterator[None]:
    """Let the stand-in work while the block runs."""
    standin = StandIn(people)
    tasks = [asyncio.create_task(work) for work in (standin.deployments(), standin.routes())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _condition(kind: str) -> Manifest:
    return {"type": kind, "status": "True", "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
