"""KServe's Python client, from packages of its own in the user's cache."""

import hashlib
import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.contract.conformance.answer import Answer, Request
from tests.contract.conformance.pair import Way
from tests.contract.triton.install import cache as downloads
from tests.contract.triton.install import make_once

HERE = Path(__file__).with_name("kserve")
LOCK = HERE / "requirements.lock"
CALLS = (
    "REST is_server_live",
    "REST is_server_ready",
    "REST is_model_ready",
    "REST infer",
    "REST infer with bytes",
    "REST infer of an unknown model",
    "gRPC is_server_live",
    "gRPC is_server_ready",
    "gRPC is_model_ready",
    "gRPC infer",
    "gRPC infer of an unknown model",
)


def kserve_calls() -> list[Request]:
    """Return the calls; the first one that is sent makes all of them, in another process."""
    return [_request(name) for name in CALLS]


def _request(name: str) -> Request:
    def send(way: Way) -> Answer:
        shown, content = _answers(way)[name]
        return Answer(shown.replace(way.http, "…"), content)

    return Request(f"kserve {name}", send)


@cache
def _answers(way: Way) -> dict[str, tuple[str, str]]:
    script = [sys.executable, str(HERE / "client.py")]
    script += [str(installed()), f"http://{way.http}", way.grpc]
    made = subprocess.run(script, check=False, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    found: dict[str, tuple[str, str]] = json.loads(made.stdout.splitlines()[-1])
    assert set(found) == set(CALLS)
    return found


def installed() -> Path:
    """Return the folder with the packages, made first where there is none."""
    target = downloads() / f"kserve-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    make_once(target, _install)
    return target


def _install(target: Path) -> None:
    print(f"installing KServe's client into {target} (about 17 MB, once) …", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="kserve-") as scratch:
        new = Path(scratch, "new")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        place = [f"--target={new}", "--require-hashes", f"--requirement={LOCK}"]
        subprocess.run([*pip, *place], check=True)
        new.rename(target)
