"""How fast a file comes out of S3, beside boto3's own transfer: ``python -m tests.bench.stores``.

One versitygw on the loopback, one file, both in turn, so that they share the machine's moments.
Slipway's time includes the second listing; neither hashes. boto3 (1.44.8) is installed once into
the user's cache.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from slipway.api.request import AccessRequest, SourceRequest
from slipway.jobs.http import Backoff
from slipway.jobs.sources.access import SourceMounts
from slipway.jobs.sources.fetch import fetch_source

from tests.contract.registry import stores
from tests.contract.registry.stores import Store
from tests.contract.triton.install import cache

BOTO = "boto3==1.44.8"
ROUNDS = 5
BLOCKS, BLOCK_BYTES = 64, 2**24
TARGET = 0.8
"""Of boto3's throughput."""
KEY = "large/1/model.pt"


def main() -> int:
    """Measure, print a table, and return 1 where the target is missed."""
    python = _boto()
    with (
        tempfile.TemporaryDirectory() as scratch,
        stores.running_versitygw(Path(scratch)) as server,
    ):
        folder, store = Path(scratch), server.store()
        random = Path("/dev/urandom").open("rb")  # noqa: SIM115 - read below, and closed with it
        with random, _make(folder / "buckets" / stores.BUCKET / KEY).open("wb") as file:
            for _ in range(BLOCKS):
                file.write(random.read(BLOCK_BYTES))
        stores.mount_secret(folder / "secret", store.secret)

        _fetch(store, folder)  # the first one reads the library, too
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_fetch(store, folder))
            theirs.append(_fetch_with_boto(python, store, folder))

    megabytes = BLOCKS * BLOCK_BYTES / 1e6
    ratio = statistics.median(theirs) / statistics.median(ours)
    for name, seconds in (("slipway", ours), ("boto3", theirs)):
        each = " ".join(f"{item:.2f}" for item in seconds)
        print(f"{name:8} {megabytes / statistics.median(seconds):6.0f} MB/s   ({each} s)")
    print(
        f"slipway : boto3 = {ratio:.2f}, target {TARGET}: {'met' if ratio >= TARGET else 'MISSED'}"
    )
    return int(ratio < TARGET)


def _fetch(store: Store, folder: Path) -> float:
    access = AccessRequest(secret="key", endpoint=store.address, region=stores.REGION)  # noqa: S106 - a name
    source = SourceRequest(uri=store.uri("large/"), allow_plain_http=True, access=access)
    target = folder / "ours"
    target.mkdir()
    start = time.monotonic()
    fetch_source(source, target, SourceMounts(folder, folder / "secret"), Backoff())
    seconds = time.monotonic() - start
    shutil.rmtree(target)
    return seconds


def _fetch_with_boto(python: Path, store: Store, folder: Path) -> float:
    target = folder / "theirs"
    client = Path(__file__).with_name("stores_client.py")
    place = (store.address, stores.REGION, stores.USER, stores.PASSWORD, stores.BUCKET, KEY)
    done = subprocess.run(
        [python, "-I", client, *place, target], check=True, capture_output=True, text=True
    )
    target.unlink()
    return float(done.stdout)


def _make(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    return path


def _boto() -> Path:
    """Return the Python that has boto3."""
    target = cache() / BOTO.replace("==", "-")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix="boto3-"))
        venv.create(new, with_pip=True, symlinks=True)
        subprocess.run([new / "bin/python", "-m", "pip", "install", "--quiet", BOTO], check=True)
        new.rename(target)
    return target / "bin/python"


if __name__ == "__main__":
    sys.exit(main())
