"""An API server with the lists, watches and status applies of one namespace."""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from slipway.agent.api_server import KEY_SET_PATH
from slipway.api.base import Manifest
from slipway.api.kinds import CONFIG_MAP, ENDPOINT_SLICE, MODEL_ROUTE, SECRET

from tests.certificates import encode

NAMESPACE = "vision"


@dataclass
class Change:
    version: int
    plural: str
    event: Manifest


@dataclass
class FakeApi:
    """Speaks HTTP on a loopback port; `stop` and `start` are an outage."""

    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    applies: list[tuple[str, str, Manifest]] = field(default_factory=list)
    """Name, field manager and body of each status apply."""
    requests: list[str] = field(default_factory=list)
    readable_secrets: set[str] = field(default_factory=set)
    """Those that the Role names."""
    readable_config_maps: set[str] = field(default_factory=set)
    key_set: Manifest = field(default_factory=lambda: {"keys": []})
    """Of the cluster's service accounts."""
    oldest: int = 0
    port: int = 0
    tls: ssl.SSLContext | None = None
    """None: it speaks plain HTTP."""
    _version: int = 100
    _uids: int = 0
    _grown: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        application = web.Application()
        for kind in (MODEL_ROUTE, ENDPOINT_SLICE, SECRET, CONFIG_MAP):
            application.router.add_get(kind.path(NAMESPACE), self._get)
        application.router.add_get(KEY_SET_PATH, self._get_key_set)
        application.router.add_patch(MODEL_ROUTE.path(NAMESPACE, "{name}", "status"), self._apply)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def put_route(self, name: str, spec: Mapping[str, Any]) -> None:
        known = self.objects.get((MODEL_ROUTE.plural, name))
        generation = known["metadata"]["generation"] + 1 if known else 1
        self._store(
            MODEL_ROUTE.plural,
            MODEL_ROUTE.manifest(
                None,
                name,
                metadata={"generation": generation, "uid": self._uid(known)},
                spec=dict(spec),
                status=known["status"] if known else {},
            ),
        )

    def put_endpoints(
        self,
        service: str,
        ports: Mapping[str, int],
        *,
        ready: Sequence[str] = (),
        terminating: Sequence[str] = (),
        unready: Sequence[str] = (),
        family: str = "IPv4",
        pod: str = "",
    ) -> None:
        """Store the slice of one family; `pod` is for a pod that has an address of each."""
        endpoints = [_endpoint(host, pod or host, ready=True) for host in ready]
        endpoints += [_endpoint(host, pod or host, terminating=True) for host in terminating]
        endpoints += [_endpoint(host, pod or host) for host in unready]

        name = f"{service}-{family.lower()}"
        known = self.objects.get((ENDPOINT_SLICE.plural, name))
        self._store(
            ENDPOINT_SLICE.plural,
            {
                "metadata": {
                    "name": name,
                    "generation": 1,
                    "uid": self._uid(known),
                    "labels": {"kubernetes.io/service-name": service},
                },
                "addressType": family,
                "ports": [{"name": port, "port": number} for port, number in ports.items()],
                "endpoints": endpoints,
            },
        )

    def put_secret(self, name: str, data: Mapping[str, bytes]) -> None:
        manifest = {"metadata": {"name": name, "generation": 1}, "data": encode(data)}
        self._store(SECRET.plural, manifest)

    def put_config_map(self, name: str, data: Mapping[str, str]) -> None:
        manifest = {"metadata": {"name": name, "generation": 1}, "data": dict(data)}
        self._store(CONFIG_MAP.plural, manifest)

    def delete(self, plural: str, name: str) -> None:
        gone = self.objects.pop((plural, name))
        self._publish(plural, "DELETED", gone)

    def forget_history(self) -> None:
        """Answer 410 to every watch from a version that is older than now."""
        self._version += 1
        self.oldest = self._version
        self._wake()

    def proxies(self, route: str) -> list[Manifest]:
        status: Manifest = self.objects[MODEL_ROUTE.plural, route]["status"]
        found: list[Manifest] = status.get("proxies", [])
        return found

    def _uid(self, known: Manifest | None) -> str:
        if known is not None:
            return str(known["metadata"]["uid"])
        self._uids += 1
        return f"uid-{self._uids}"

    def _store(self, plural: str, manifest: Manifest) -> None:
        key = (plural, manifest["metadata"]["name"])
        event = "MODIFIED" if key in self.objects else "ADDED"
        self.objects[key] = manifest
        self._publish(plural, event, manifest)

    def _publish(self, plural: str, event: str, manifest: Manifest) -> None:
        self._version += 1
        manifest["metadata"]["resourceVersion"] = str(self._version)
        copy = json.loads(json.dumps({"type": event, "object": manifest}))
        self.changes.append(Change(self._version, plural, copy))
        self._wake()

    def _wake(self) -> None:
        woken, self._grown = self._grown, asyncio.Event()
        woken.set()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rpartition("/")[2]
        self.requests.append(f"{'watch' if 'watch' in request.query else 'list'} {plural}")
        _, _, only = request.query.get("fieldSelector", "").partition("metadata.name=")
        readable = {
            SECRET.plural: self.readable_secrets,
            CONFIG_MAP.plural: self.readable_config_maps,
        }
        if only not in readable.get(plural, {only}):
            return web.json_response({"message": f"{plural} is forbidden"}, status=403)
        if "watch" in request.query:
            return await self._watch(request, plural, only)
        items = [
            item
            for (kind, name), item in self.objects.items()
            if kind == plural and only in ("", name)
        ]
        return web.json_response(
            {"metadata": {"resourceVersion": str(self._version)}, "items": items}
        )

    async def _get_key_set(self, _: web.Request) -> web.Response:
        return web.json_response(self.key_set, content_type="application/jwk-set+json")

    async def _watch(self, request: web.Request, plural: str, only: str) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        if version < self.oldest:
            return web.json_response({"code": 410, "message": "too old"}, status=410)

        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        while version >= self.oldest:
            grown = self._grown
            for change in [each for each in self.changes if each.version > version]:
                version = change.version
                name = change.event["object"]["metadata"]["name"]
                if change.plural == plural and only in ("", name):
                    await answer.write(json.dumps(change.event).encode() + b"\n")
            await grown.wait()

        gone = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
        await answer.write(json.dumps(gone).encode() + b"\n")
        return answer

    async def _apply(self, request: web.Request) -> web.Response:
        if request.content_type != "application/apply-patch+yaml":
            return web.json_response({"message": "no apply"}, status=415)
        name, manager = request.match_info["name"], request.query["fieldManager"]
        body = json.loads(await request.text())
        found = self.objects.get((MODEL_ROUTE.plural, name))
        if found is None or found["metadata"]["uid"] != body["metadata"]["uid"]:
            return web.json_response({"message": "not found"}, status=404)

        self.applies.append((name, manager, body))
        pod = manager.partition("/")[2]
        others = [entry for entry in self.proxies(name) if entry["name"] != pod]
        found["status"] = {"proxies": others + body["status"].get("proxies", [])}
        self._publish(MODEL_ROUTE.plural, "MODIFIED", found)
        return web.json_response(found)


def _endpoint(host: str, pod: str, *, ready: bool = False, terminating: bool = False) -> Manifest:
    return {
        "addresses": [host],
        "targetRef": {"kind": "Pod", "name": pod, "uid": f"pod-{pod}"},
        "conditions": {"ready": ready, "serving": ready or terminating, "terminating": terminating},
    }
