"""Runs one package Job as a process of its own, and prints what it cost, as JSON on one line.

``python -m tests.bench.packaging_job FOLDER`` reads the request from its standard input; the Job's
volumes lie below the folder.
"""

import json
import sys
from pathlib import Path

from slipway.api.result import PackageResult
from slipway.jobs.package.main import PackageMounts, run_package_job


def main() -> int:
    """Return the Job's exit code."""
    folder = Path(sys.argv[1])
    mounts = PackageMounts(
        scratch=folder / "scratch",
        source=folder / "claim",
        push_secret=folder / "push",
        pull_secrets=folder / "pull",
        ca=folder / "ca",
        source_secret=folder / "secret",
    )
    last_words = folder / "termination-log"
    code = run_package_job(sys.stdin.read(), mounts, last_words)
    result = PackageResult.model_validate_json(last_words.read_text())
    found = {
        "error": result.error and result.error.message,
        "image": result.image,
        "reused": result.reused,
        "seconds": result.seconds,
        "peak_bytes": _peak_bytes(),
    }
    print(json.dumps(found))
    return code


def _peak_bytes() -> int:
    """Return the largest resident size of this process; that of `getrusage` may be its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    sys.exit(main())
