"""The watches: kopf's of ModelDeployments, and plain ones of what Slipway makes of them.

Six of seven objects are written by Slipway and not by people. kopf adds nothing to them, and its
way for each of them was most of a start: they are followed without it (decision 0076).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from slipway.adapters.connection import Connection
from slipway.adapters.kube_collections import KubeCollections
from slipway.api import kinds
from slipway.api.kinds import Kind
from slipway.engine.follow import Follower
from slipway.manager.kopf_watch import LONGEST_BACKOFF_SECONDS, run_kopf
from slipway.manager.watch_listener import WatchListener

FOLLOWED = tuple(kind for kind in kinds.WATCHED if kind != kinds.MODEL_DEPLOYMENT)


async def run_watches(
    connection: Connection,
    listener: WatchListener,
    *,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    on_started: Callable[[], None],
) -> None:
    """Watch until `stop` is set; `namespaces` empty: all.

    `on_started` is called after kopf has installed its own signal handlers, so it may replace them.
    """
    async with asyncio.TaskGroup() as tasks:
        # kopf is last: when it ends, it cancels the tasks that were created after it
        followers = [
            tasks.create_task(
                _follow(connection, listener, kind, namespace),
                name=f"watch of {watch_name(kind, namespace)}",
            )
            for kind in FOLLOWED
            for namespace in namespaces or (None,)
        ]
        await run_kopf(
            connection, listener, namespaces=namespaces, stop=stop, on_started=on_started
        )
        for follower in followers:
            follower.cancel()


def watch_names(namespaces: Sequence[str]) -> dict[str, Kind]:
    """Return the names by which the watches give signs of life, with their kinds."""
    return {
        watch_name(kind, namespace): kind
        for kind in kinds.WATCHED
        for namespace in namespaces or (None,)
    }


def watch_name(kind: Kind, namespace: str | None) -> str:
    """Return the name of a watch, which is the one that kopf gives it."""
    return f"{kind.plural}.{kind.version}.{kind.group}".rstrip(".") + f"@{namespace}"


async def _follow(
    connection: Connection, listener: WatchListener, kind: Kind, namespace: str | None
) -> None:
    follower = Follower(
        KubeCollections(connection, namespace),
        kind,
        put=partial(listener.on_seen, kind),
        remove=partial(listener.on_gone, kind),
        on_listed=lambda _names: listener.on_listed(),
        on_alive=partial(listener.on_alive, watch_name(kind, namespace)),
        longest_pause=LONGEST_BACKOFF_SECONDS,
    )
    await follower.run()
