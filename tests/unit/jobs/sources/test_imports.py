"""Clients of stores and the verifier of signatures are large: only a Job that uses one loads it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "slipway.jobs.package.main",
        "slipway.jobs.check.main",
        "slipway.manager.main",
        "slipway.agent.main",
    ],
)
def test_no_process_starts_with_the_clients_of_stores(module: str) -> None:
    code = f"import sys, {module}\nprint(*sorted(n.partition('.')[0] for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="."
    )

    large = {"obstore", "huggingface_hub", "httpx2", "hf_xet", "model_signing", "OpenSSL"}
    assert not large & set(done.stdout.split())
