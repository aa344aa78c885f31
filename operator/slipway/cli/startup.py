"""Where the seconds of a start go, as Kubernetes dates its parts. Pure.

Nothing of it is in the status of the ModelDeployment, which would be one more write for each part.
Kubernetes dates to the second.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.api.names import COMPONENT_CHECK, COMPONENT_SERVER, LABEL_COMPONENT
from slipway.cli.kubectl import Manifest
from slipway.cli.time_format import format_duration, parse_time

INIT_PARTS = {"fetch": "fetching the model"}
"""By the name of the init container."""

Moment = tuple[str, datetime | None]
"""What ended, and when; None: it has not."""


@dataclass(frozen=True, slots=True)
class StartPart:
    """One of the things that a version waits for, one after the other."""

    name: str
    seconds: float
    is_over: bool


def find_parts(
    manifests: Iterable[Manifest], began: datetime | None, now: datetime
) -> tuple[StartPart, ...]:
    """Return what the start of a revision has waited for so far, in this order.

    Of several pods it is the first one that became ready. `manifests`: the revision's Deployment,
    pods and Jobs; `began`: when the rollout did.
    """
    if began is None:
        return ()
    found = list(manifests)
    parts: list[StartPart] = []
    since = began
    for name, ended in _list_moments(found):
        if ended is None:
            parts.append(StartPart(name, (now - since).total_seconds(), is_over=False))
            break
        parts.append(StartPart(name, max(0.0, (ended - since).total_seconds()), is_over=True))
        since = max(since, ended)
    return tuple(parts)


def describe_parts(parts: Sequence[StartPart]) -> str:
    """Return the parts in one line; empty: there are none."""
    if not parts:
        return ""
    total = format_duration(sum(part.seconds for part in parts))
    shown = (
        f"{part.name} {format_duration(part.seconds)}{'' if part.is_over else ' so far'}"
        for part in parts
    )
    return f"{total}: {', '.join(shown)}"


def _list_moments(manifests: Sequence[Manifest]) -> Iterator[Moment]:
    """Yield every part in order; the first that has not ended is the last that counts."""
    deployments = [it for it in manifests if it["kind"] == "Deployment"]
    pods = [it for it in manifests if it["kind"] == "Pod" and _component_of(it) == COMPONENT_SERVER]
    yield "packaging", _first(_created_at(it) for it in deployments)

    ready = {id(pod): _condition_at(pod, "Ready") for pod in pods}
    pods.sort(key=lambda pod: (ready[id(pod)] is None, ready[id(pod)] or _created_at(pod)))
    if not pods:
        yield "waiting for its pods", None
        return
    pod = pods[0]
    yield "scheduling", _condition_at(pod, "PodScheduled")
    yield "volumes and network", _condition_at(pod, "PodReadyToStartContainers")
    status = pod.get("status", {})
    for container in status.get("initContainerStatuses", ()):
        name = INIT_PARTS.get(container["name"], f"init container {container['name']}")
        yield name, _state_at(container, "terminated", "finishedAt")
    servers = status.get("containerStatuses", ())
    yield "starting the server", _first(_state_at(it, "running", "startedAt") for it in servers)
    yield "loading the model", ready[id(pod)]
    yield from _list_checks(manifests)


def _list_checks(manifests: Sequence[Manifest]) -> Iterator[Moment]:
    """Yield the checks, which are several Jobs where one was tried again."""
    jobs = [it for it in manifests if it["kind"] == "Job" and _component_of(it) == COMPONENT_CHECK]
    if not jobs:
        return
    ended = [parse_time(it.get("status", {}).get("completionTime", "")) for it in jobs]
    yield "checking", _first(ended)


def _component_of(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("labels", {}).get(LABEL_COMPONENT, ""))


def _created_at(manifest: Manifest) -> datetime | None:
    return parse_time(manifest["metadata"].get("creationTimestamp", ""))


def _condition_at(pod: Manifest, kind: str) -> datetime | None:
    """Return since when a condition holds; None: it does not."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == kind and condition["status"] == "True":
            return parse_time(condition.get("lastTransitionTime") or "")
    return None


def _state_at(container: Manifest, state: str, moment: str) -> datetime | None:
    return parse_time(container.get("state", {}).get(state, {}).get(moment, ""))


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((it for it in moments if it is not None), default=None)
