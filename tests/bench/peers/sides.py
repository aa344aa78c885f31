"""The two sides: a controller, and what users ask it for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from slipway.api.base import Manifest
from slipway.api.kinds import Kind

from tests.bench.apiserver import ApiServer
from tests.bench.asked import MODELS, Asked
from tests.bench.operator import run_operator
from tests.bench.people import People
from tests.bench.standin import run_stand_in
from tests.bench.writes import AGENT
from tests.peers import argo_rollouts

ROLLOUT = Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")

Run = Callable[[ApiServer, People, Path], AbstractAsyncContextManager[int]]
"""Starts a controller, and yields its process's id once it acts."""


@dataclass(frozen=True, slots=True)
class Side:
    """A controller and what it is asked for."""

    name: str
    asked: Asked
    agent: str
    """How its user agent begins."""
    run: Run
    serves: Callable[[People], AbstractAsyncContextManager[None]] | None = None
    """Lets versions serve that were created, where a new version asks for that."""


def rollout_spec(version: int) -> Manifest:
    """Return the spec of a Rollout without replicas, so that it needs no pods."""
    labels = {"app": "served"}
    container = {"name": "server", "image": f"registry.example/server:{version}"}
    return {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        "strategy": {"canary": {}},
    }


ROLLOUTS = Asked(
    ROLLOUT,
    rollout_spec,
    workloads=(REPLICA_SET,),
    children={"replicasets": 1},
    cleared=(ROLLOUT, REPLICA_SET),
)
_NUMBERS = count()


@asynccontextmanager
async def _run_argo(server: ApiServer, people: People, place: Path) -> AsyncIterator[int]:
    # A namespace of its own: the Lease of the one before would hold this one up for 15 s.
    namespace = f"argo-rollouts-{next(_NUMBERS)}"
    await people.namespace(namespace)
    running = argo_rollouts.run_controller(
        server.kubeconfig, place / "argo-rollouts.log", namespace=namespace
    )
    stack = ExitStack()
    try:
        yield await asyncio.to_thread(stack.enter_context, running)
    finally:
        await asyncio.to_thread(stack.close)


@asynccontextmanager
async def _run_slipway(server: ApiServer, people: People, place: Path) -> AsyncIterator[int]:
    del people
    async with run_operator(server, place) as operator:
        yield operator.pid


ARGO = Side("Argo Rollouts", ROLLOUTS, f"{argo_rollouts.CONTROLLER.name}/", _run_argo)
SLIPWAY = Side("Slipway", MODELS, AGENT, _run_slipway, serves=run_stand_in)
SIDES = (ARGO, SLIPWAY)


async def define(people: People) -> None:
    """Install the CRDs of both, and wait until they are served."""
    await people.define()
    definitions = await asyncio.to_thread(lambda: list(argo_rollouts.read_crds()))
    await people.define_all(definitions, ROLLOUT)
