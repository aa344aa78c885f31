"""Reads what a forecast of the room rests on, with the user's own rights."""

from slipway.api.modeldeployment import Capacity, ModelDeploymentSpec
from slipway.api.names import revision_name
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl, Manifest
from slipway.cli.objects import ModelDeployment
from slipway.cli.room import Room, forecast_room

FEWEST = 2
"""Replicas between which traffic can be divided."""
RUNNING = "--field-selector=status.phase!=Succeeded,status.phase!=Failed"


def read_room(kubectl: Kubectl, md: ModelDeployment, spec: ModelDeploymentSpec) -> Room | None:
    """Return whether the candidate's replicas find room; None: nothing serves yet to go by.

    What the user may not read is named, and left out of the forecast.
    """
    if md.stable is None:
        return None
    running = md.candidate or md.stable
    unread: list[str] = []
    deployment = _read(kubectl, unread, "deployment", md, revision_name(md.name, running.revision))
    if deployment is None:
        return Room(0, 0, unread=tuple(unread))

    stable = deployment
    if md.candidate is not None:
        name = revision_name(md.name, md.stable.revision)
        stable = _read(kubectl, unread, "deployment", md, name) or deployment
    stands = deployment["spec"].get("replicas", 1) if md.candidate is not None else 0
    wanted = max(0, stable["spec"].get("replicas", 1) - stands)

    pod = _pod_of(deployment, spec)
    nodes = _list(kubectl, unread, "nodes")
    pods = _list(kubectl, unread, "pods", "--all-namespaces", RUNNING) if nodes else []
    quotas = _list(kubectl, unread, "resourcequotas", namespace=md.namespace)
    known = nodes if pods is not None else None
    fits, missing = forecast_room(pod, wanted, known, pods or (), quotas or ())
    return Room(wanted, fits, missing, tuple(unread), knows_nodes=known is not None)


def find_places(room: Room | None, md: ModelDeployment, spec: ModelDeploymentSpec) -> int | None:
    """Return the places that both revisions share or would share; None: there is room for both."""
    shared = md.rollout.capacity
    if md.candidate is not None or room is None:
        return shared.places if shared is not None else None
    is_short = room.fits < room.wanted
    swaps = spec.rollout.capacity is Capacity.SWAP
    swaps = swaps or (spec.rollout.capacity is Capacity.AUTO and is_short)
    if not swaps or room.wanted < FEWEST:
        return None
    return room.wanted + (1 if room.fits and spec.rollout.capacity is not Capacity.SWAP else 0)


def _pod_of(deployment: Manifest, spec: ModelDeploymentSpec) -> Manifest:
    """Return the pod that the next candidate would be: stable's, with what the spec asks for."""
    pod: Manifest = dict(deployment["spec"]["template"]["spec"])
    server = spec.server
    if server is None:
        return pod
    if server.resources is not None:
        first, *others = pod["containers"]
        pod["containers"] = [{**first, "resources": server.resources.wire()}, *others]
    if server.pod is not None:
        given = server.pod.wire()
        placed = ("nodeSelector", "affinity", "tolerations", "priorityClassName")
        pod |= {name: given[name] for name in placed if name in given}
    return pod


def _read(
    kubectl: Kubectl, unread: list[str], kind: str, md: ModelDeployment, name: str
) -> Manifest | None:
    try:
        return kubectl.json("get", kind, name, namespace=md.namespace)
    except CliError as error:
        unread.append(f"{kind} {name}: {error.message}")
        return None


def _list(
    kubectl: Kubectl, unread: list[str], kind: str, *words: str, namespace: str = ""
) -> list[Manifest] | None:
    try:
        found = kubectl.json("get", kind, *words, namespace=namespace)
    except CliError as error:
        unread.append(f"{kind}: {error.message}")
        return None
    items: list[Manifest] = found.get("items") or []
    return items
