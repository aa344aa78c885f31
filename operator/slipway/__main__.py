"""``slipway {manager|agent|comparer|package|hold|check}``: imports the chosen one alone."""

import importlib
import sys

from slipway import __version__

COMMANDS = {
    "manager": ("slipway.manager.main", "run the operator"),
    "agent": ("slipway.agent.main", "run the agent of a router pod, next to Envoy"),
    "comparer": ("slipway.comparer.main", "compare copies of users' requests, next to an agent"),
    "package": ("slipway.jobs.package.main", "package a model version, or fetch it into a pod"),
    "hold": ("slipway.jobs.hold", "keep a model in a node's cache, next to its server"),
    "check": ("slipway.jobs.check.main", "check the golden set and the signature of a candidate"),
}


def usage_text() -> str:
    """Return the help text."""
    lines = ["usage: slipway COMMAND", "", "commands:"]
    lines += [f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join([*lines, "", f"slipway {__version__}; for more: 'slipway COMMAND --help'"])


def main() -> int:
    """Run the command that the first argument names; exit code 2 if there is no such command."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in {"-h", "--help"}:
        print(usage_text())  # noqa: T201 -- a command line program
        return 0
    if name not in COMMANDS:
        print(usage_text(), file=sys.stderr)  # noqa: T201 -- a command line program
        return 2

    sys.argv = [f"slipway {name}", *sys.argv[2:]]
    result: int = importlib.import_module(COMMANDS[name][0]).main()
    return result


if __name__ == "__main__":
    sys.exit(main())
