"""From what a release was made, as a SLSA provenance statement, and who vouches for it."""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cluster.errors import ClusterError
from tests.install.helm import ROOT

SUMS = "SHA256SUMS"
BUILD_TYPE = "https://slipway.dev/release/v1"
MATERIALS = (
    "requirements.lock",
    "requirements-dev.lock",
    "operator/optimizer.lock",
    "operator/envoy.lock",
)


def commit() -> tuple[str, datetime]:
    """Return the commit that is checked out, and its time.

    Raises:
        ClusterError: this is no clone, or files of it are changed.

    """
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise ClusterError(
            f"a release is made from a commit, and these files are changed:\n{changed}"
        )
    digest, seconds = _git("log", "-1", "--format=%H %ct").split()
    return digest, datetime.fromtimestamp(int(seconds), UTC)


def statement(files: Iterable[Path], images: Mapping[str, str], builder: str) -> str:
    """Return the statement on files, and on images by name and digest.

    `builder` names what ran this, such as the address of a workflow's run.
    """
    revision, made = commit()
    subjects = [{"name": path.name, "digest": {"sha256": digest_of(path)}} for path in files]
    subjects += [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in images.items()
    ]
    locks = [
        {"uri": f"file:{name}", "digest": {"sha256": digest_of(ROOT / name)}} for name in MATERIALS
    ]
    described = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"command": "make release"},
                "resolvedDependencies": [
                    {"uri": "git+slipway", "digest": {"gitCommit": revision}},
                    *locks,
                ],
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {"startedOn": made.isoformat()},
            },
        },
    }
    return json.dumps(described, indent=2) + "\n"


def write_sums(directory: Path, key: Path | None) -> None:
    """Write the checksums of all files, and sign them with a private key (PEM, ECDSA) if given.

    ``openssl dgst -sha256 -verify KEY.pub -signature SHA256SUMS.sig SHA256SUMS`` verifies it.

    Raises:
        ClusterError: the key is not a private key of ECDSA.

    """
    files = sorted(path for path in directory.iterdir() if path.is_file())
    text = "".join(f"{digest_of(path)}  {path.name}\n" for path in files)
    (directory / SUMS).write_text(text)
    if key is None:
        return

    found = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ClusterError(f"{key}: expected a private key of ECDSA in PEM")
    signature = found.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    (directory / f"{SUMS}.sig").write_bytes(signature)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"a release is made from a commit: {done.stderr.strip()}")
    return done.stdout.strip()
