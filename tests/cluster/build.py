"""Builds the Go programs and keeps them in the user's cache, one directory per version."""

import hashlib
import inspect
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster import go, modules, settings
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress

STRIPPED = ("-s", "-w")
AT_ONCE = 2
"""Downloads and the single-threaded link of one build fill the gaps of another."""
LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program, of our own module in node/ or of a published one."""

    name: str
    version: str
    package: str
    """`./…` inside node/, or an import path."""
    variables: tuple[tuple[str, str], ...] = ()
    """Package variables set at link time: how a program knows its own version."""
    sources: tuple[str, ...] = ()
    """Files in node/ that it is built from; none for a published program."""
    module: str = ""
    """Of a published program that `go install` refuses: its module replaces others, or asks for a
    later patch of Go. It is built in a copy of the module's sources."""
    change: Callable[[Path], None] | None = None
    """What is done to that copy first; it may change go.mod too."""
    recipe: tuple[str, ...] = ()
    """What `change` goes by besides its own text: with another one it is another build."""
    toolchain: str = ""
    """`go1.27.3`: of a program that asks for a later Go than our oldest; Go downloads it."""

    @property
    def key(self) -> str:
        """Name of its directory in the cache; another key is another build."""
        digest = hashlib.sha256(repr((self.package, self.variables)).encode())
        for source in self.sources:
            digest.update((settings.NODE_SOURCES / source).read_bytes())
        if self.change is not None:
            digest.update(repr((inspect.getsource(self.change), self.recipe)).encode())
        digest.update(self.toolchain.encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:8]}"

    @property
    def path(self) -> Path:
        """Where the built program lies."""
        return settings.cache_directory() / "bin" / self.key / self.name

    @property
    def link_flags(self) -> str:
        """Value of -ldflags."""
        return " ".join((*STRIPPED, *(f"-X {name}={value}" for name, value in self.variables)))


def _kubernetes_variables() -> tuple[tuple[str, str], ...]:
    """Charts refuse the `v0.0.0-master` that an unmarked build reports."""
    major, minor, _ = settings.KUBERNETES.split(".")
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    values = {
        "gitVersion": f"v{settings.KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return tuple(
        (f"{package}.{name}", value) for package in packages for name, value in values.items()
    )


NODE = Program(
    "node",
    settings.KUBERNETES,
    "./.",
    variables=_kubernetes_variables(),
    sources=("main.go", "enforcer.go", "go.mod", "go.sum"),
)
PAUSE = Program("pause", "1", "./pause", sources=("pause/main.go",))
PROBE = Program("probe", "1", "./probe", sources=("probe/main.go",))
COREDNS = Program("coredns", settings.COREDNS, "github.com/coredns/coredns")
METRICS_SERVER = Program(
    "metrics-server", settings.METRICS_SERVER, "sigs.k8s.io/metrics-server/cmd/metrics-server"
)
HELM = Program(
    "helm",
    settings.HELM,
    "helm.sh/helm/v4/cmd/helm",
    variables=(("helm.sh/helm/v4/internal/version.version", f"v{settings.HELM}"),),
)
KIND = Program("kind", settings.KIND, "sigs.k8s.io/kind")
SINGLE_NODE = (NODE, COREDNS, METRICS_SERVER, HELM, PAUSE, PROBE)


def build_programs(programs: Sequence[Program], progress: Progress) -> None:
    """Build those that the cache lacks.

    Raises:
        ClusterError: there is no fitting Go, or a build failed; with its last lines.

    """
    missing = [program for program in programs if not program.path.exists()]
    if not missing:
        return
    go.require_go()
    with ThreadPoolExecutor(AT_ONCE) as pool, progress.ticking():
        for done in [pool.submit(_build, program, progress) for program in missing]:
            done.result()


def _build(program: Program, progress: Progress) -> None:
    step = f"building {program.name} {program.version}"
    with progress.step(step):
        place = program.path.parent
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{program.name}-", dir=place.parent))
        try:
            _run_go(program, unfinished, partial(progress.reach, step))
            unfinished.chmod(0o755)
            shutil.rmtree(place, ignore_errors=True)
            unfinished.replace(place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _run_go(program: Program, target: Path, reach: Callable[[str], None]) -> None:
    if not program.module:
        _run_go_in(settings.NODE_SOURCES, program, target, reach)
        return
    with tempfile.TemporaryDirectory(prefix=f".{program.name}-", dir=target.parent) as sources:
        modules.unpack_module(program.module, program.version, Path(sources))
        if program.change is not None:
            program.change(Path(sources))
        _run_go_in(Path(sources), program, target, reach)


def _run_go_in(sources: Path, program: Program, target: Path, reach: Callable[[str], None]) -> None:
    changed = ("-mod=mod",) if program.change is not None else ()
    flags = ("-v", *changed, "-trimpath", f"-ldflags={program.link_flags}")
    build = ("go", "build", *flags, "-o", str(target / program.name), program.package)
    install = ("go", "install", *flags, f"{program.package}@v{program.version}")
    is_here = bool(program.sources or program.module)
    environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(target)}
    if program.toolchain:
        environment["GOTOOLCHAIN"] = program.toolchain
    needed = _count_packages(sources, program, changed, environment) if is_here else 0

    command: tuple[str, ...] = build if is_here else install
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command,
        cwd=sources,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        number = 0
        for line in running.stdout or ():
            last.append(line)
            number += len(line.split()) == 1  # else it is a download or an error, not a package
            reach(f" ({number:,} of {needed:,} packages)" if needed else f" ({number:,} packages)")
    if running.returncode != 0:
        raise ClusterError(f"'{' '.join(command)}' failed:\n{''.join(last)}")


def _count_packages(
    sources: Path, program: Program, flags: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Return how many packages a program is made of; those built before are not built again."""
    listed = subprocess.run(
        ("go", "list", *flags, "-deps", program.package),
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return len(listed.stdout.splitlines())
