"""How fast a model becomes an image in a registry, beside buildah and ``cp``.

Run: ``python -m tests.bench.packaging [--quick] [--megabytes N] [--rounds N]``. One file of random
bytes is packaged from a claim, from a web server and from S3, each time into an empty registry, by
a Job that is a process of its own: its start, the fetch and the push count. buildah copies the same
file onto the same base and pushes it; ``cp`` copies it, and waits for the disk as a registry does.
All take turns in one run; medians are shown.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import obstore
from slipway.api.request import (
    AccessRequest,
    ConfigRequest,
    PackageMode,
    PackageRequest,
    SourceRequest,
)
from slipway.settings import RegistryAccess

from tests.bench.table import Figure, format_table
from tests.cluster.errors import ClusterError
from tests.cluster.packages import install_missing
from tests.cluster.progress import Progress, say
from tests.contract.registry import servers, stores
from tests.contract.registry.bench import push_base
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
FILE = "model.plan"
BASE, REPOSITORY = "base/triton", "models/large"
AT_LEAST_MB_PER_SECOND = 150
AT_MOST_MIB = 150
AT_MOST_SECONDS_KNOWN = 1.0
BUILDAH = {"buildah": "buildah"}
MEBIBYTE = 2**20


@dataclass
class Measured:
    """What one way of doing it took, round by round."""

    seconds: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    known: list[float] = field(default_factory=list)
    """Seconds that a second Job with the same input works, without the start of its process."""


@dataclass(frozen=True)
class Place:
    """Where the model lies, and how Jobs get at it."""

    folder: Path
    megabytes: int
    source: SourceRequest

    def run_job(self, registry: str) -> tuple[float, dict[str, Any]]:
        """Return the seconds of a Job, from the start of its process to its end, and its result."""
        request = PackageRequest(
            mode=PackageMode.IMAGE,
            source=self.source,
            config=ConfigRequest(model_name="large"),
            base_image=f"{registry}/{BASE}:1",
            repository=f"{registry}/{REPOSITORY}",
            registries=[RegistryAccess(host=registry, plain_http=True)],
            version="1",
        )
        command = [sys.executable, "-m", "tests.bench.packaging_job", str(self.folder)]
        text = request.model_dump_json(by_alias=True, exclude_none=True)
        start = time.monotonic()
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, cwd=ROOT
        )
        seconds = time.monotonic() - start
        if done.returncode:
            raise SystemExit(f"{self.source.uri}: {done.stdout}{done.stderr[-2000:]}")
        return seconds, json.loads(done.stdout)


def main() -> int:
    """Print the table, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.packaging", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of 300 MB, no targets")
    options = parser.parse_args()
    if options.quick:
        options.megabytes, options.rounds = 300, 1
    if servers.BINARY is None:
        say(servers.MISSING)
        return 1

    with tempfile.TemporaryDirectory() as scratch, ExitStack() as running:
        folder = Path(scratch)
        _write_model(folder / "claim" / FILE, options.megabytes)
        places = _serve(folder, options.megabytes, running)
        found = _measure(folder, places, options.rounds, has_buildah=_has_buildah())

    figures = list(_figures(found, options.megabytes, has_targets=not options.quick))
    say("\n" + "\n".join(format_table(figures)))
    return int(any(figure.is_met is False for figure in figures))


def _write_model(path: Path, megabytes: int) -> None:
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


def _serve(folder: Path, megabytes: int, running: ExitStack) -> dict[str, Place]:
    """Return the places of the same file: a claim, a web server and, where it is had, S3."""
    web = running.enter_context(_web_server(folder / "claim"))
    sources = {
        "a claim": SourceRequest(uri=f"pvc://claim/{FILE}"),
        "http": SourceRequest(uri=f"http://{web}/{FILE}", allow_plain_http=True),
    }
    try:
        server = running.enter_context(stores.running_versitygw(folder))
    except ClusterError as problem:
        say(f"S3 is not measured: {problem}")
    else:
        store = server.store()
        obstore.put(store.writer, FILE, folder / "claim" / FILE)
        stores.mount_secret(folder / "secret", store.secret)
        access = AccessRequest(secret="key", endpoint=store.address, region=stores.REGION)  # noqa: S106 - a name
        sources["S3"] = SourceRequest(uri=store.uri(FILE), allow_plain_http=True, access=access)
    return {name: Place(folder, megabytes, source) for name, source in sources.items()}


@contextmanager
def _web_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.packaging_web", str(port), str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        servers.wait_for_port(port, process)
        yield f"{servers.LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _has_buildah() -> bool:
    try:
        install_missing(BUILDAH, Progress())
    except ClusterError as problem:
        say(f"buildah is not measured: {problem}")
        return False
    return True


def _measure(
    folder: Path, places: dict[str, Place], rounds: int, *, has_buildah: bool
) -> dict[str, Measured]:
    found = {name: Measured() for name in (*places, "buildah", "cp")}
    for number in range(rounds):
        for name, place in places.items():
            say(f"round {number + 1}: {name}")
            with _empty_registry(folder) as registry:
                seconds, result = place.run_job(registry)
                found[name].seconds.append(seconds)
                found[name].peak_mib.append(result["peak_bytes"] / MEBIBYTE)
                _, known = place.run_job(registry)
                found[name].known.append(sum(known["seconds"].values()))
                if not known["reused"]:
                    raise SystemExit(f"{name}: the second Job made another image")

        if has_buildah:
            say(f"round {number + 1}: buildah")
            with _empty_registry(folder) as registry:
                found["buildah"].seconds.append(_time(lambda: _buildah(folder, registry)))
        found["cp"].seconds.append(_time(lambda: _copy(folder)))
    return found


@contextmanager
def _empty_registry(folder: Path) -> Iterator[str]:
    place = folder / "registry"
    place.mkdir()
    try:
        with servers.running_registry(place) as host:
            push_base(host, BASE)
            yield host
    finally:
        shutil.rmtree(place)


def _time(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def _buildah(folder: Path, registry: str) -> None:
    """Make the same image as a person would: base, copy, commit, push."""
    store = folder / "buildah"

    def run(*arguments: str) -> str:
        roots = (f"--root={store}", f"--runroot={store}-run")
        done = subprocess.run(
            ["buildah", *roots, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"buildah {arguments[0]}: {done.stderr}")
        return done.stdout.strip()

    container = run("from", "--tls-verify=false", f"{registry}/{BASE}:1")
    target = f"/models/large/1/{FILE}"
    run("copy", "--quiet", container, str(folder / "claim" / FILE), target)
    image = run("commit", "--quiet", "--rm", container, "localhost/large:1")
    run(
        *("push", "--quiet", "--tls-verify=false", "--disable-compression"),
        *(image, f"docker://{registry}/{REPOSITORY}:1"),
    )
    run("rmi", "--all", "--force")
    shutil.rmtree(f"{store}-run", ignore_errors=True)
    shutil.rmtree(store)


def _copy(folder: Path) -> None:
    target = folder / "copy"
    subprocess.run(["cp", folder / "claim" / FILE, target], check=True)
    subprocess.run(["sync", target], check=True)
    target.unlink()


def _figures(found: dict[str, Measured], megabytes: int, *, has_targets: bool) -> Iterator[Figure]:
    others = "; ".join(
        f"{name} {_rate(found[name].seconds, megabytes):.0f} MB/s"
        for name in ("buildah", "cp")
        if found[name].seconds
    )
    for name, measured in found.items():
        if not measured.seconds:
            continue
        is_ours = name not in {"buildah", "cp"}
        target = AT_LEAST_MB_PER_SECOND if is_ours and has_targets else None
        yield Figure(
            f"{megabytes:,} MB from {name} to the registry"
            if is_ours
            else f"{name}, the same file",
            _rate(measured.seconds, megabytes),
            "MB/s",
            target,
            others if is_ours else "-",
            at_least=True,
        )
        if is_ours:
            yield Figure(
                "  peak memory, RSS",
                max(measured.peak_mib),
                "MiB",
                AT_MOST_MIB if has_targets else None,
            )
            yield Figure(
                "  the same again, known",
                statistics.median(measured.known),
                "s",
                AT_MOST_SECONDS_KNOWN if has_targets else None,
            )


def _rate(seconds: Sequence[float], megabytes: int) -> float:
    return megabytes / statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
