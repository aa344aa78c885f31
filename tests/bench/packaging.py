"""How fast a model becomes an image: hash, pack and push to a registry on this machine.

Run: ``python -m tests.bench.packaging [MB]``. The fetch is not counted: it depends on
the disk or network of the source. Weights are random: nothing compresses, nothing is sparse.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.contract.registry import servers
from tests.contract.registry.bench import Bench, Shelf, push_base

PROMISED_MB_PER_SECOND = 100
DEFAULT_MB = 500
PHASES = ("hash", "pack", "push")


def write_model(path: Path, megabytes: int) -> None:
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


def main() -> int:
    if servers.BINARY is None:
        print(servers.MISSING)
        return 1

    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_MB
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        write_model(here / "claim" / "model" / "model.plan", megabytes)
        with servers.running_registry(here) as host:
            push_base(host, "base/triton")
            bench = Bench(host, Shelf(), here)
            first, again = (bench.package("pvc://claim/model") for _ in range(2))

    spent = sum(first.seconds[phase] for phase in PHASES)
    parts = ", ".join(f"{phase} {first.seconds[phase]:.2f} s" for phase in PHASES)
    print(f"{megabytes} MB in {spent:.2f} s ({parts}): {megabytes / spent:.0f} MB/s,")
    known = sum(again.seconds.values())
    print(f"promised {PROMISED_MB_PER_SECOND} MB/s; a known input: {known:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
