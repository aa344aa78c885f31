"""What a node of a size takes: its parts by their cgroups, in both versions of cgroups."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.api.names import LABEL_COMPONENT

from tests.cluster import cgroups
from tests.cluster.components import CONTROL_PLANE
from tests.kubectl import Kubectl, Manifest

MEBIBYTE = 2**20
NODE_PARTS = ("kubelet", "kube-proxy", "kube-network-policies", "coredns", "containerd")
_STATUSES = ("containerStatuses", "initContainerStatuses")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one cgroup with all below it."""

    own: float = 0.0
    """MiB that are pages of no file: what a node without swap cannot do without."""
    files: float = 0.0
    """MiB of pages of files, which the kernel drops when it needs room."""
    cpu_seconds: float = 0.0

    def plus(self, other: "Usage") -> "Usage":
        """Return both together."""
        return Usage(
            self.own + other.own,
            self.files + other.files,
            self.cpu_seconds + other.cpu_seconds,
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """Of the node with all that runs on it."""

    now: float
    """MiB, with pages of files and the kernel's own."""
    own: float
    """Of these, MiB that are pages of no file."""
    peak: float
    """The most since it started, MiB."""
    kernel: float
    """MiB that the kernel keeps for it."""
    killed: int
    """Processes that were killed because memory was short."""


def read_usage(group: Path) -> Usage:
    """Return what a cgroup of the hierarchy of memory takes; nothing of one that is gone."""
    try:
        stat = _numbers(group / "memory.stat")
        own = stat["total_rss"] if "total_rss" in stat else stat["anon"]
        files = stat["total_cache"] if "total_cache" in stat else stat["file"]
        return Usage(own / MEBIBYTE, files / MEBIBYTE, _cpu_seconds(group))
    except FileNotFoundError:
        return Usage()


def read_whole() -> Whole:
    """Return what all of the node takes."""
    group = _root()

    if (group / "memory.max").exists():
        return Whole(
            _number(group / "memory.current") / MEBIBYTE,
            read_usage(group).own,
            _number(group / "memory.peak") / MEBIBYTE,
            _numbers(group / "memory.stat")["kernel"] / MEBIBYTE,
            _numbers(group / "memory.events")["oom_kill"],
        )

    return Whole(
        _number(group / "memory.usage_in_bytes") / MEBIBYTE,
        read_usage(group).own,
        _number(group / "memory.max_usage_in_bytes") / MEBIBYTE,
        _number(group / "memory.kmem.usage_in_bytes") / MEBIBYTE,
        sum(_numbers(each / "memory.oom_control")["oom_kill"] for each in _all_below(group)),
    )


def read_parts(kubectl: Kubectl) -> dict[str, Usage]:
    """Return what each daemon and each container takes, by its name; needs the API server."""
    parts = read_daemons()
    for pod in json.loads(kubectl.run("get", "pods", "-A", "-o", "json"))["items"]:
        for name, group in containers_of(pod):
            label = f"{_owner(pod)}/{name}"
            parts[label] = parts.get(label, Usage()).plus(read_usage(group))
    return parts


def read_daemons() -> dict[str, Usage]:
    """Return what each daemon takes."""
    return {name: read_usage(cgroups.groups_of(name)[0]) for name in (*CONTROL_PLANE, *NODE_PARTS)}


def containers_of(pod: Manifest) -> Iterator[tuple[str, Path]]:
    """Yield each running container of a pod with its cgroup."""
    found = [one for key in _STATUSES for one in pod["status"].get(key, ())]
    for status in found:
        if "running" in status.get("state", {}):
            group = _find_group(status["containerID"].partition("://")[2])
            if group is not None:
                yield status["name"], group


def pids_in(group: Path) -> list[int]:
    """Return the processes of a container."""
    return [int(line) for line in (group / "cgroup.procs").read_text().split()]


def share(before: Usage, after: Usage, seconds: float) -> float:
    """Return the processor time of a while, in percent of a core."""
    return 100 * (after.cpu_seconds - before.cpu_seconds) / seconds


def total(parts: Mapping[str, Usage], names: Sequence[str]) -> Usage:
    """Return several parts together."""
    found = Usage()
    for name in names:
        found = found.plus(parts.get(name, Usage()))
    return found


def _owner(pod: Manifest) -> str:
    labels = pod["metadata"].get("labels", {})
    return str(labels.get(LABEL_COMPONENT) or labels.get("app.kubernetes.io/name"))


def _root() -> Path:
    return cgroups.groups_of("")[0].parent


def _find_group(container: str) -> Path | None:
    return next((path for path in _all_below(_root()) if path.name == container), None)


def _all_below(group: Path) -> list[Path]:
    return [path for path in group.rglob("*") if path.is_dir()]


def _cpu_seconds(group: Path) -> float:
    if (group / "cpu.stat").exists():
        return _numbers(group / "cpu.stat")["usage_usec"] / 1e6
    beside = Path(str(group).replace("/memory/", "/cpuacct/", 1))
    return _number(beside / "cpuacct.usage") / 1e9


def _number(path: Path) -> int:
    return int(path.read_text())


def _numbers(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
