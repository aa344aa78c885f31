"""A bundle pushed into a real registry: what is there afterwards, and what is not sent twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import urllib3

from tests.unit.release.release_of_crumbs import NAMES, write_bundle


def load(bundle: Path, registry: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(bundle), "load", registry, *options],
        env={"PATH": os.environ["PATH"], "HOME": str(bundle.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_artifact_is_whole_in_the_registry_and_is_not_sent_twice(
    registry: str, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path)
    first = load(bundle, f"{registry}/airgap", "--plain-http")
    assert first.returncode == 0, first.stderr
    assert f"--set image.repository={registry}/airgap/slipway/operator" in first.stdout

    for name in NAMES:
        base = f"http://{registry}/v2/airgap/{name}"
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        manifest = json.loads(
            urllib3.request("GET", f"{base}/manifests/0.1.0", headers=accept).data
        )
        for part in (*manifest["layers"], manifest["config"]):
            assert urllib3.request("HEAD", f"{base}/blobs/{part['digest']}").status == 200

    again = load(bundle, f"{registry}/airgap", "--plain-http")
    assert again.returncode == 0
    assert again.stdout.count("was there") == len(NAMES)


def test_a_registry_that_does_not_answer_is_named_in_one_line(tmp_path: Path) -> None:
    done = load(write_bundle(tmp_path), "127.0.0.1:1", "--plain-http")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("slipway-bundle: ")
    assert "127.0.0.1:1" in line
