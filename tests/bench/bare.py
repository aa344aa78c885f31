"""``python -m tests.bench.bare KUBECONFIG``: a kopf handler that applies two objects, and no more.

The least that an operator can cost. Run before Slipway against the same API server, it says how
fast the machine is at that moment.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import kopf
from slipway.adapters.connection import APPLY, Connection, connect
from slipway.api import kinds, names
from slipway.api.base import Manifest

from tests.bench.apiserver import ApiServer
from tests.bench.operator import end_process
from tests.bench.people import People
from tests.bench.writes import AGENT


def _render_objects(namespace: str, name: str) -> tuple[Manifest, Manifest]:
    labels = {names.MANAGED_BY: names.MANAGER, names.LABEL_OWNER: name}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    pods = {"app": name}
    container = {"name": "server", "image": "registry.example/server:1"}
    template = {"metadata": {"labels": pods}, "spec": {"containers": [container]}}
    service = {"clusterIP": "None", "selector": pods, "ports": [{"port": 80}]}

    return (
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": pods}, "template": template},
        },
    )


def _register_handler(connection: Connection) -> None:
    kind = kinds.MODEL_DEPLOYMENT

    @kopf.on.startup()
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True

    @kopf.on.event(kind.group, kind.version, kind.plural)
    async def apply(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            return
        metadata = event["object"]["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        for manifest in _render_objects(namespace, name):
            answer = await connection.request(
                "PATCH",
                kinds.BY_NAME[manifest["kind"]].path(namespace, name),
                query={"fieldManager": "bare", "force": "true"},
                body=manifest,
                content_type=APPLY,
            )
            if not answer.is_success:
                raise RuntimeError(answer.body.decode())


async def _run_kopf(kubeconfig: Path) -> None:
    connection = await connect(kubeconfig, user_agent=f"{AGENT}bare")
    _register_handler(connection)
    await kopf.operator(clusterwide=True, standalone=True)
    await connection.close()


@asynccontextmanager
async def run_bare_handler(server: ApiServer, people: People) -> AsyncIterator[int]:
    """Start the handler, and remove its ModelDeployments at the end; yields the process's id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.bare", str(server.kubeconfig)),
        env={**os.environ, "KUBECONFIG": str(server.kubeconfig)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        await end_process(process)
        await people.remove_all()


if __name__ == "__main__":
    asyncio.run(_run_kopf(Path(sys.argv[1])))
