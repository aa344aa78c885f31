"""Command line of the images; the Makefile's `images` target calls it."""

import argparse
import sys
import time

from tests.cluster.errors import ClusterError
from tests.cluster.progress import say
from tests.images import build
from tests.images.catalogue import IMAGES


def main() -> int:
    """Build, and with `--push` also push; 1 and a sentence on standard error if it fails."""
    arguments = _parser().parse_args()
    begin = time.monotonic()
    try:
        _build(push=arguments.push)
    except (ClusterError, FileNotFoundError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say(f"images ready in {time.monotonic() - begin:.0f} s")
    return 0


def _build(*, push: bool) -> None:
    shop = build.workshop()
    if push:
        build.publish_all(shop)
        return
    for image in IMAGES:
        shop.build(image, shop.tag(image))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    commands = parser.add_subparsers(required=True)
    builder = commands.add_parser("build", help="build what is not built yet")
    builder.add_argument("--push", action="store_true", help="and push to the registry")
    return parser


if __name__ == "__main__":
    sys.exit(main())
