"""Command line of the test cluster; the Makefile's `cluster` targets call it."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster import (
    clone,
    existing,
    kind,
    packages,
    settings,
    single_node,
    start,
)
from tests.cluster.choose import Kind, choose_kind, observe_machine
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress, say


def main() -> int:
    """Run one command; 1 and a sentence on standard error where it cannot be done."""
    arguments = _parser().parse_args()
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add(commands, "up", _up, "start a cluster, or use the one that runs")
    down = _add(commands, "down", _down, "remove the cluster")
    down.add_argument("--cache", action="store_true", help="also what was built and pushed")
    _add(commands, "status", _status, "say which cluster this clone uses and whether it runs")
    _add(commands, "power-loss", _power_loss, "kill the single node, start it on the same state")
    on_node = _add(commands, "exec", _exec, "run a command on the single node")
    on_node.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    _add(commands, "kubectl-path", _kubectl_path, "print the path of kubectl")
    for_what = _add(commands, "packages", _packages, "install the Debian packages for a task")
    for_what.add_argument("task", choices=("cluster", "images"))
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Callable[[argparse.Namespace], None],
    explanation: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=explanation)
    parser.set_defaults(command=command)
    return parser


def _up(_arguments: argparse.Namespace) -> None:
    begin = time.monotonic()
    progress = Progress()
    access = _MAKE[choose_kind(observe_machine())](progress)
    kubeconfig = clone.publish(settings.CLONE, access)
    say(f"cluster ready in {time.monotonic() - begin:.0f} s ({access.kind})")
    say(f"  export KUBECONFIG={kubeconfig}")
    say(f"  {kubeconfig.parent / 'bin/kubectl'} get nodes")


_MAKE: dict[Kind, Callable[[Progress], clone.Access]] = {
    Kind.EXISTING: existing.use_existing,
    Kind.KIND: kind.up,
    Kind.SINGLE_NODE: single_node.up,
}


def _down(arguments: argparse.Namespace) -> None:
    described = clone.description(settings.CLONE) or {}
    if described.get("kind") == Kind.EXISTING:
        say(f"the cluster of context {described['context']} is not ours and stays")
    else:
        machine = observe_machine()
        removed = [
            machine.system == "Linux" and machine.is_root and single_node.down(),
            machine.has_docker and kind.down(),
        ]
        say("the cluster is gone" if any(removed) else "there was no cluster to remove")
    clone.forget(settings.CLONE)
    _tidy_cache(remove=arguments.cache)


def _tidy_cache(*, remove: bool) -> None:
    cache = settings.cache_directory()
    if remove:
        shutil.rmtree(cache, ignore_errors=True)
        say(f"removed {cache}")
    elif cache.exists():
        say(
            f"built programs and pushed images stay in {cache};"
            " 'python -m tests.cluster down --cache' removes them"
        )


def _status(_arguments: argparse.Namespace) -> None:
    description = clone.description(settings.CLONE)
    if description is None:
        raise ClusterError("this clone has no cluster; 'make cluster' makes one")
    for name, value in description.items():
        say(f"{name}: {value}")
    if description["kind"] == Kind.SINGLE_NODE:
        say(f"running: yes, as process {single_node.init_process()}")


def _power_loss(_arguments: argparse.Namespace) -> None:
    clone.publish(settings.CLONE, single_node.power_loss(Progress()))


def _exec(arguments: argparse.Namespace) -> None:
    words = [word for word in arguments.words if word != "--"]
    command = [*start.enter(single_node.init_process()), *words]
    os.execvp(command[0], command)  # noqa: S606


def _kubectl_path(_arguments: argparse.Namespace) -> None:
    path = settings.CLONE / clone.DIRECTORY / "bin/kubectl"
    if not Path(path).exists():
        raise ClusterError("this clone has no cluster; 'make cluster' makes one")
    say(str(path))


def _packages(arguments: argparse.Namespace) -> None:
    needs = {"cluster": packages.CLUSTER, "images": packages.IMAGES}[arguments.task]
    packages.install_missing(needs, Progress())


if __name__ == "__main__":
    sys.exit(main())
