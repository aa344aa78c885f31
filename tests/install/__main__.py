"""Command line: `python -m tests.install {up|down|manifests}`; the Makefile calls it."""

import argparse
import sys

from tests.install import base, release
from tests.install.helm import InstallError


def main() -> int:
    """Run one command; 1 and a sentence on standard error where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.install", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "manifests"))
    command = parser.parse_args().command

    try:
        match command:
            case "up":
                print(release.up(), end="")
            case "down":
                print(release.down(), end="")
            case _:
                base.write()
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1

    return 0


if __name__ == "__main__":
    sys.exit(main())
