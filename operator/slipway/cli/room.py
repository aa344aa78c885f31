"""Whether the candidate's replicas would find room beside stable's: a forecast. Pure.

It is the user's view: nodes, the pods on them and the namespace's quotas, as far as the user may
read them. It leaves out what only the scheduler knows: volumes, affinity between pods, spreading,
devices that are claimed, and pods of a lower priority that it would evict.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from slipway.cli.kubectl import Manifest
from slipway.policy.canonical_input import read_quantity

Amounts = dict[str, Fraction]
PODS = "pods"
PREFIXES = ("requests.", "limits.")
UNDER_PRESSURE = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class Room:
    """Whether the replicas fit, and what is missing."""

    wanted: int
    """Replicas beside those that stand."""
    fits: int
    """Of them, those that find room."""
    missing: tuple[str, ...] = ()
    """What the first one that does not fit lacks, by node; then by quota."""
    unread: tuple[str, ...] = ()
    """What could not be read, so that it is not in the forecast."""
    knows_nodes: bool = True
    left_out: str = field(default="volumes, affinity between pods, pre-emption")

    @property
    def sentence(self) -> str:
        """The same in one sentence."""
        if self.fits >= self.wanted and not self.knows_nodes:
            return f"no quota stands against {self.wanted} replicas of the candidate"
        if self.fits >= self.wanted:
            return f"{self.wanted} of {self.wanted} replicas of the candidate fit beside stable's"
        lacks = "; ".join(self.missing) or "nothing is known of the nodes"
        return f"{self.fits} of {self.wanted} replicas of the candidate fit: {lacks}"


@dataclass(slots=True)
class _Node:
    manifest: Manifest
    free: Amounts

    def find_obstacle(self, pod: Manifest, asks: Amounts) -> str | None:
        spec, labels = self.manifest.get("spec", {}), self.manifest["metadata"].get("labels") or {}
        if spec.get("unschedulable"):
            return "is cordoned"
        taint = _find_taint(spec.get("taints") or (), pod.get("tolerations") or ())
        if taint is not None:
            return f"has the taint {taint}, which is not tolerated"
        if not _selects(pod, labels):
            return "does not match the node selector or affinity"
        short = [name for name, amount in asks.items() if amount > self.free.get(name, Fraction())]
        return f"lacks {', '.join(sorted(short))}" if short else None


def forecast_room(
    pod: Manifest,
    wanted: int,
    nodes: Sequence[Manifest] | None,
    pods: Iterable[Manifest],
    quotas: Sequence[Manifest],
) -> tuple[int, tuple[str, ...]]:
    """Return how many pods of a spec find room, and what the next one lacks.

    `nodes` are None where they could not be read: then only quotas count.
    """
    asks = {**requests_of(pod), PODS: Fraction(1)}
    known = _free_nodes(nodes, pods) if nodes is not None else None
    left = [_free_quota(quota) for quota in quotas]

    for number in range(wanted):
        lacks = [text for free in left if (text := _find_quota_obstacle(free, pod)) is not None]
        node, why = _find_node(known, pod, asks) if known is not None else (None, None)
        if lacks or (known is not None and node is None):
            return number, (*([why] if why else []), *lacks)
        if node is not None:
            _take(node.free, asks)
        for free in left:
            _take(free.amounts, _quota_asks(pod))
    return wanted, ()


def requests_of(pod: Manifest) -> Amounts:
    """Return what the scheduler reserves for a pod: its containers together, or one that inits."""
    total = _sum(_requests(container) for container in pod.get("containers") or ())
    for container in pod.get("initContainers") or ():
        amounts = _requests(container)
        if container.get("restartPolicy") == "Always":
            total = _sum((total, amounts))
            continue
        for name, amount in amounts.items():
            total[name] = max(total.get(name, Fraction()), amount)
    return _sum((total, _amounts(pod.get("overhead") or {})))


def _requests(container: Manifest) -> Amounts:
    """A limit without a request is the request."""
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _free_nodes(nodes: Sequence[Manifest], pods: Iterable[Manifest]) -> list[_Node]:
    found = {
        node["metadata"]["name"]: _Node(node, _amounts(node["status"].get("allocatable") or {}))
        for node in nodes
    }
    for pod in pods:
        node = found.get(pod.get("spec", {}).get("nodeName", ""))
        if node is not None and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
            _take(node.free, {**requests_of(pod["spec"]), PODS: Fraction(1)})
    return list(found.values())


def _find_node(
    nodes: Sequence[_Node], pod: Manifest, asks: Amounts
) -> tuple[_Node | None, str | None]:
    reasons: Counter[str] = Counter()
    for node in nodes:
        obstacle = node.find_obstacle(pod, asks)
        if obstacle is None:
            return node, None
        reasons[obstacle] += 1
    many = (
        f"{count} of {len(nodes)} nodes {_as_plural(text) if count > 1 else text}"
        for text, count in reasons.most_common()
    )
    return None, "; ".join(many) or "there is no node"


def _as_plural(text: str) -> str:
    verb, _, rest = text.partition(" ")
    return f"{ {'is': 'are', 'has': 'have', 'lacks': 'lack', 'does': 'do'}[verb] } {rest}"


def _find_taint(taints: Iterable[Manifest], tolerations: Sequence[Manifest]) -> str | None:
    for taint in taints:
        is_hard = taint.get("effect") in UNDER_PRESSURE
        if is_hard and not any(_tolerates(each, taint) for each in tolerations):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"{taint['key']}{value}:{taint['effect']}"
    return None


def _tolerates(toleration: Manifest, taint: Manifest) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (
        bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")
    )


def _selects(pod: Manifest, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (pod.get("nodeSelector") or {}).items()):
        return False
    required = (
        ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution"
        )
        or {}
    ).get("nodeSelectorTerms")
    if required is None:
        return True
    return any(
        all(_matches(each, labels) for each in term.get("matchExpressions") or ())
        for term in required
    )


def _matches(expression: Manifest, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt":
            return key in labels and int(labels[key]) > int(values[0])
        case _:
            return key in labels and int(labels[key]) < int(values[0])


@dataclass(slots=True)
class _Quota:
    name: str
    amounts: Amounts


def _free_quota(quota: Manifest) -> _Quota:
    status = quota.get("status") or {}
    hard = _amounts(status.get("hard") or quota.get("spec", {}).get("hard") or {})
    used = _amounts(status.get("used") or {})
    free = {name: amount - used.get(name, Fraction()) for name, amount in hard.items()}
    return _Quota(quota["metadata"]["name"], free)


def _quota_asks(pod: Manifest) -> Amounts:
    """Return what a pod takes of a quota, by each name that a quota may have for it."""
    requests = requests_of(pod)
    limits = _sum(
        _amounts((container.get("resources") or {}).get("limits") or {})
        for container in pod.get("containers") or ()
    )
    asks = {PODS: Fraction(1), "count/pods": Fraction(1), **requests}
    for prefix, amounts in zip(PREFIXES, (requests, limits), strict=True):
        asks |= {f"{prefix}{name}": amount for name, amount in amounts.items()}
    return asks


def _find_quota_obstacle(quota: _Quota, pod: Manifest) -> str | None:
    asks = _quota_asks(pod)
    short = [name for name, free in quota.amounts.items() if asks.get(name, Fraction()) > free]
    return f"quota {quota.name} has too little {', '.join(sorted(short))} left" if short else None


def _take(free: Amounts, asks: Amounts) -> None:
    for name, amount in asks.items():
        if name in free:
            free[name] -= amount


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Fraction()) + amount
    return total


def _amounts(raw: Mapping[str, int | str]) -> Amounts:
    found = {name: read_quantity(value) for name, value in raw.items()}
    return {name: value for name, value in found.items() if value is not None}
