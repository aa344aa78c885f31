"""Where the seconds of a start go, as Kubernetes dates its parts. Pure.

Nothing of it is in the status of the ModelDeployment, which would be one more write for each part.
Kubernetes dates to the second. A Job is deleted when its result is taken, so packaging and checks
are seen while they are under way.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.api.names import COMPONENT_CHECK, COMPONENT_SERVER, HOLD_CONTAINER, LABEL_COMPONENT
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


def find_packaging(manifests: Sequence[Manifest], now: datetime) -> tuple[StartPart, ...]:
    """Return for how long a version has been packaged; empty: no Job of it is there."""
    began = _first(_created_at(it) for it in manifests if it["kind"] == "Job")
    if began is None:
        return ()
    return (StartPart("packaging", (now - began).total_seconds(), is_over=False),)


def find_parts(
    manifests: Sequence[Manifest], began: datetime | None, now: datetime
) -> tuple[StartPart, ...]:
    """Return what the start of a revision has waited for so far, in this order.

    Of several pods it is the first one that became ready. `manifests`: the revision's pods and
    Jobs; `began`: when the rollout did, which is after the packaging.
    """
    if began is None:
        return ()
    parts: list[StartPart] = []
    since = began
    for name, ended in _list_moments(manifests):
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
    pods = _of_component(manifests, "Pod", COMPONENT_SERVER)
    if not pods:
        yield "waiting for its pods", None
        return
    pod = min(pods, key=_order)
    yield "scheduling", _condition_at(pod, "PodScheduled")
    yield "volumes and network", _condition_at(pod, "PodReadyToStartContainers")
    status = pod.get("status", {})
    for container in status.get("initContainerStatuses", ()):
        if container["name"] == HOLD_CONTAINER:
            continue  # it runs as long as the server
        name = INIT_PARTS.get(container["name"], f"init container {container['name']}")
        yield name, _state_at(container, "terminated", "finishedAt")
    servers = status.get("containerStatuses", ())
    yield "starting the server", _first(_state_at(it, "running", "startedAt") for it in servers)
    yield "loading the model", _condition_at(pod, "Ready")

    jobs = _of_component(manifests, "Job", COMPONENT_CHECK)  # several where one was tried again
    if jobs:
        ended = (parse_time(it.get("status", {}).get("completionTime", "")) for it in jobs)
        yield "checking", _first(ended)


def _of_component(manifests: Sequence[Manifest], kind: str, component: str) -> list[Manifest]:
    def fits(manifest: Manifest) -> bool:
        labels = manifest["metadata"].get("labels", {})
        return bool(manifest["kind"] == kind and labels.get(LABEL_COMPONENT) == component)

    return [manifest for manifest in manifests if fits(manifest)]


def _order(pod: Manifest) -> tuple[bool, datetime | None]:
    """The first that became ready; while none is, the oldest."""
    ready = _condition_at(pod, "Ready")
    return ready is None, ready or _created_at(pod)


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
