"""Command line of a release; the Makefile's `release` target calls it."""

import argparse
import os
import sys
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.install.helm import ROOT
from tests.release.make import Order, make


def main() -> int:
    """Make the release; 1 and a sentence on standard error if it fails."""
    options = _parser().parse_args()
    order = Order(
        directory=options.directory.resolve(),
        registry=options.registry,
        downloads=options.downloads.rstrip("/"),
        platforms=tuple(part for part in options.platforms.split(",") if part),
        key=options.sign_with,
        builder=options.builder,
    )
    try:
        make(order)
    except (ClusterError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument(
        "--directory",
        type=Path,
        default=ROOT / "build/release",
        help="where it is written (default: build/release)",
    )
    parser.add_argument(
        "--registry",
        default=os.environ.get("REGISTRY", ""),
        help="prefix under which the images will be published; the chart then names them",
    )
    parser.add_argument(
        "--platforms",
        default=os.environ.get("PLATFORMS", ""),
        help="of the images: linux/amd64,linux/arm64 (needs Docker; default: this machine's)",
    )
    parser.add_argument(
        "--downloads",
        metavar="URL",
        default=os.environ.get("DOWNLOADS", "https://downloads.example.com/slipway"),
        help="where the files will lie; krew's manifest names it",
    )
    parser.add_argument(
        "--sign-with",
        type=Path,
        metavar="KEY",
        default=os.environ.get("SIGN_WITH") or None,
        help="private key (ECDSA, PEM) that signs SHA256SUMS",
    )
    parser.add_argument(
        "--builder",
        default=os.environ.get("BUILDER", "https://slipway.dev/release/local"),
        help="what the provenance names as the builder",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
