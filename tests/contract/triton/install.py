"""A tritonserver from PyPI in the user's cache: ``python -m tests.contract.triton.install``.

The same pinned packages as in the test image; one directory per lock, so that it never changes.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

LOCK = Path(__file__).parents[2] / "images/triton/requirements.lock"


def installed() -> Path:
    """Return the virtual environment with the server, made first where there is none."""
    target = cache() / f"triton-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    make_once(target, _install)
    return target


def make_once(target: Path, make: Callable[[Path], None]) -> None:
    """Make a folder of the cache where it is missing; of several workers one does, and all wait."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            make(target)


def packages(environment: Path) -> Path:
    """Return where the packages lie in the virtual environment.

    It must be one: the python backend's processes ignore PYTHONPATH and look beside `python3`.
    """
    return environment / "lib/python{}.{}/site-packages".format(*sys.version_info)


def server(environment: Path) -> Path:
    """Return tritonserver's own directory, with ``bin`` and ``backends``."""
    return packages(environment) / "pytriton/tritonserver"


def cache() -> Path:
    """Return where downloads are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"


def _install(target: Path) -> None:
    print(f"installing tritonserver into {target} (about 100 MB, once) …", file=sys.stderr)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="triton-") as scratch:
        new = Path(scratch, "new")
        venv.create(new, symlinks=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        place = [f"--target={packages(new)}", "--require-hashes", f"--requirement={LOCK}"]
        subprocess.run([*pip, *place], check=True)
        _choose_stub(server(new))
        new.rename(target)
    print(f"installed in {time.monotonic() - start:.0f} s", file=sys.stderr)


def _choose_stub(folder: Path) -> None:
    """The python backend looks for the stub of one Python beside itself."""
    version = "{}.{}".format(*sys.version_info)
    stub = folder / "python_backend_stubs" / version / "triton_python_backend_stub"
    copy = shutil.copy(stub, folder / "backends/python")
    Path(copy).chmod(0o755)
    (folder / "bin/tritonserver").chmod(0o755)


if __name__ == "__main__":
    print(installed())
