"""The cluster without Docker: one per machine, used by whichever clone asks for the same one."""

import base64
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import build, leftovers, owner, packages, process, settings, state, tools
from tests.cluster.choose import Kind
from tests.cluster.clone import Access
from tests.cluster.components import make_plan
from tests.cluster.config import render_files
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.progress import Progress, say
from tests.cluster.start import enter, start, wait_until_ready


def up(progress: Progress) -> Access:
    """Return the way into a running cluster made from this clone's inputs.

    Raises:
        ClusterError: something is missing, or a part of the node failed; with its last words.

    """
    packages.install_missing(packages.CLUSTER, progress)
    build.build_programs(build.SINGLE_NODE, progress)
    places = layout()
    with machine_lock():
        _make_it_run(places)
        wait_until_ready(places, progress)
        return _access(places)


def power_loss(progress: Progress) -> Access:
    """Kill everything on the node at once, and start it again on what its disk holds."""
    places = layout()
    with machine_lock():
        running = _recorded(places)
        if running.init:
            process.kill_process(running.init)
        leftovers.detach_node()
        start(places)
        wait_until_ready(places, progress)
        return _access(places)


def down() -> bool:
    """Remove the cluster of this machine, whichever clone started it; False when there was none."""
    with machine_lock():
        found = owner.load_owner(layout().owner)
        if found and found.clone != str(settings.CLONE):
            say(f"this cluster was started from {found.clone}")
        return leftovers.remove_leftovers(found)


def layout() -> Layout:
    """Return the places of this machine's cluster, with the programs of this clone's versions."""
    return Layout(
        state=settings.STATE,
        node_binary=build.NODE.path,
        pause_binary=build.PAUSE.path,
        coredns=build.COREDNS.path,
        metrics_server=build.METRICS_SERVER.path,
        registry_storage=settings.registry_storage(),
    )


def init_process() -> int:
    """Return the pid of the running node's first process.

    Raises:
        ClusterError: no node runs.

    """
    running = _recorded(layout())
    if running.init is None or not running.is_running:
        raise ClusterError("the single-node cluster does not run; 'make cluster' starts it")
    return running.init.pid


@contextmanager
def machine_lock() -> Iterator[None]:
    """Let one command at a time change the cluster; the lock leaves no file behind."""
    handle = os.open(settings.STATE.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _make_it_run(places: Layout) -> None:
    plan = make_plan(places)
    found = owner.load_owner(places.owner)
    if found and found.is_running:
        if found.inputs == state.inputs(places, plan):
            say(f"using the cluster that was started from {found.clone}")
            return
        say(f"replacing the cluster that was started from {found.clone}: its inputs differ")
        leftovers.remove_leftovers(found)
    elif leftovers.remove_leftovers(found):
        say("removed what an earlier cluster left behind")
    state.create(places, plan, str(settings.CLONE))
    if settings.NODE_MIB:
        _bring_programs(places)
    start(places)


def _bring_programs(places: Layout) -> None:
    """Copy the programs of a node of a size, and keep no page of the copies in memory.

    The kernel counts the pages of a file where they were read first: with files of its own the node
    counts them itself, whatever else runs on this machine.
    """
    places.programs.mkdir()
    for built in (places.node_binary, places.coredns):
        with Path(shutil.copy(built, places.programs)).open("rb") as copied:
            os.fsync(copied.fileno())
            os.posix_fadvise(copied.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _recorded(places: Layout) -> owner.Owner:
    found = owner.load_owner(places.owner)
    if found is None:
        raise ClusterError("this machine has no single-node cluster; 'make cluster' starts one")
    return found


def _access(places: Layout) -> Access:
    """Note this clone as a user, so that `down` takes its files along."""
    found = _recorded(places).used_by(str(settings.CLONE))
    found.save(places.owner)
    return Access(
        kind=Kind.SINGLE_NODE,
        kubeconfig=_portable(yaml.safe_load(render_files(places)["admin.kubeconfig"])),
        kubectl=tools.kubectl_of_node(),
        helm=build.HELM.path,
        registry=settings.REGISTRY,
        details=_details(places, found),
    )


def _details(places: Layout, found: owner.Owner) -> dict[str, Any]:
    pid = found.init.pid if found.init else 0
    return {
        "kubernetes": f"v{settings.KUBERNETES}",
        "node": settings.NODE,
        "auditLog": str(places.audit_log),
        "logs": str(places.logs),
        "state": str(places.state),
        "initPid": pid,
        "enter": enter(pid),
    }


def _portable(kubeconfig: dict[str, Any]) -> str:
    """Put certificates and keys in place of the paths to them."""
    for entry in (kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]):
        for field in ("certificate-authority", "client-certificate", "client-key"):
            if field in entry:
                content = Path(entry.pop(field)).read_bytes()
                entry[f"{field}-data"] = base64.b64encode(content).decode()
    return yaml.safe_dump(kubeconfig, sort_keys=False)
