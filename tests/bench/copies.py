"""Many objects at rest, copied within etcd from the few that the operator made.

What is copied is whole namespaces, with what controllers, kubelets and router agents would have
written there. A copy has its own uids, addresses and names of the namespace, and where an object
carries the hash of what was applied, it is the hash of what would have been applied there. So the
operator finds what it would have made itself, and that it writes nothing afterwards shows it. Made
by the operator, each object takes a tenth of a second and more; copied, some milliseconds.
"""

import asyncio
import base64
import ipaddress
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from slipway.api import names
from slipway.api.base import Manifest
from slipway.reconcile.projections import hash_manifest

from tests.bench.apiserver import ApiServer

FLAGS = ("--storage-media-type=application/json",)
"""Of the API server that stores what is copied: else it is in protobuf, which is not text."""
UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LEFT_OUT = ("/registry/events/", "/registry/ipaddresses/")
PREFIX = "/registry/"
MOST_PUTS, MOST_BYTES = 100, 700_000
"""Of one transaction; etcd refuses more than 128 and 1.5 MB."""
CONDITIONS = frozenset({"uid", "resourceVersion"})
"""Of a write, in its metadata."""
FIRST_ADDRESS = ipaddress.IPv4Address("10.96.16.0")

Stored = dict[str, str]
"""Value by key, as etcd has them."""
Applied = dict[str, Manifest]
"""What was applied last, by the hash that it carries."""


@dataclass
class Copies:
    """Copies of one namespace."""

    space: str
    stored: Stored
    applied: Applied
    addresses: int = 0
    """Of Services, given so far."""

    def copy(self, space: str) -> Stored:
        """Return what another namespace of this name has."""
        uids: dict[str, str] = {}
        for text in self.stored.values():
            uid = json.loads(text)["metadata"]["uid"]
            uids[uid] = str(uuid.uuid4())
        hashes = {
            before: hash_manifest(json.loads(self._rename(json.dumps(manifest), space, uids)))
            for before, manifest in self.applied.items()
        }
        return {
            self._rename(key, space, uids): self._copy(text, space, uids, hashes)
            for key, text in self.stored.items()
        }

    def _copy(self, text: str, space: str, uids: dict[str, str], hashes: dict[str, str]) -> str:
        copied = self._rename(text, space, uids)
        found = json.loads(copied)
        before = _annotations(found).get(names.ANNOTATION_HASH)
        if before in hashes:
            copied = copied.replace(f'"{before}"', f'"{hashes[before]}"')
        address = found.get("spec", {}).get("clusterIP", "None")
        if found["kind"] == "Service" and address != "None":
            copied = copied.replace(f'"{address}"', f'"{FIRST_ADDRESS + self.addresses}"')
            self.addresses += 1
        return copied

    def _rename(self, text: str, space: str, uids: dict[str, str]) -> str:
        text = text.replace(self.space, space)
        return UID.sub(lambda found: uids.get(found[0], found[0]), text)


def read_applied(audit_log: Path) -> Applied:
    """Return what the operator applied, by hash; the record has to have what was sent."""
    applied: Applied = {}
    with audit_log.open("rb") as lines:
        for line in lines:
            sent = json.loads(line).get("requestObject") or {}
            carried = _annotations(sent).get(names.ANNOTATION_HASH)
            if carried is not None:
                applied[carried] = _without_marks(sent, carried)
    return applied


def _without_marks(sent: Manifest, carried: str) -> Manifest:
    """Return what was applied, without what the operator adds to it when it sends it."""
    metadata = {key: value for key, value in sent["metadata"].items() if key not in CONDITIONS}
    annotations = {**metadata.pop("annotations")}
    del annotations[names.ANNOTATION_HASH]
    unstamped = {key: value for key, value in annotations.items() if key != names.ANNOTATION_EPOCH}
    for more in ({"annotations": annotations}, {"annotations": unstamped}, {}):
        manifest = {**sent, "metadata": {**metadata, **more}}
        if hash_manifest(manifest) == carried:
            return manifest
    raise RuntimeError(f"{sent['kind']} {metadata['name']} does not carry the hash of what it is")


async def copy_namespace(server: ApiServer, space: str, copies: Iterable[str]) -> None:
    """Copy all that a namespace has, under other names of the same length."""
    applied = read_applied(server.audit_log)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(server.etcd, timeout=timeout) as etcd:
        stored = {
            key: text
            for key, text in (await _read_all(etcd)).items()
            if (f"/{space}/" in key or key.endswith(f"/namespaces/{space}"))
            and not key.startswith(LEFT_OUT)
        }
        made = Copies(space, stored, applied)
        for name in copies:
            for puts in _batches(made.copy(name)):
                async with etcd.post("/v3/kv/txn", json={"success": puts}) as answer:
                    answer.raise_for_status()
            await asyncio.sleep(0)


async def _read_all(etcd: aiohttp.ClientSession) -> Stored:
    everything = {"key": _encode(PREFIX), "range_end": _encode("/registry0")}
    async with etcd.post("/v3/kv/range", json=everything) as answer:
        answer.raise_for_status()
        found = await answer.json()
    pairs = ((_decode(item["key"]), base64.b64decode(item["value"])) for item in found["kvs"])
    return {key: value.decode() for key, value in pairs if value.startswith(b"{")}


def _batches(stored: Stored) -> Iterator[list[Manifest]]:
    puts: list[Manifest] = []
    size = 0
    for key, text in stored.items():
        if puts and (len(puts) == MOST_PUTS or size + len(text) > MOST_BYTES):
            yield puts
            puts, size = [], 0
        puts.append({"requestPut": {"key": _encode(key), "value": _encode(text)}})
        size += len(text)
    yield puts


def _annotations(manifest: Manifest) -> dict[str, str]:
    return manifest.get("metadata", {}).get("annotations") or {}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
