"""Helm, as a program that takes values and returns text."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import clone

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/slipway"
RELEASE = "slipway"
NAMESPACE = "slipway-system"

Values = Mapping[str, Any]


class InstallError(Exception):
    """Slipway cannot be installed; the message says what to do."""


def find_helm() -> Path | None:
    """Return the cluster's Helm, else the machine's, None where there is neither."""
    ours = ROOT / clone.DIRECTORY / "bin/helm"
    if ours.exists():
        return ours
    found = shutil.which("helm")
    return Path(found) if found else None


def template(values: Values, *, namespace: str = NAMESPACE, show_only: tuple[str, ...] = ()) -> str:
    """Return what the chart renders with `values`.

    Raises:
        InstallError: the chart or its schema refuses the values; the message is Helm's.

    """
    only = [word for name in show_only for word in ("--show-only", name)]
    return run("template", RELEASE, str(CHART), "--namespace", namespace, *only, values=values)


def run(*arguments: str, values: Values | None = None, kubeconfig: Path | None = None) -> str:
    """Run Helm and return what it printed.

    Raises:
        InstallError: there is no Helm, or it failed.

    """
    helm = find_helm()
    if helm is None:
        raise InstallError("helm is not on PATH: install Helm, or 'make cluster' brings one")

    given = [] if values is None else ["--values", "-"]
    at = [] if kubeconfig is None else ["--kubeconfig", str(kubeconfig)]
    done = subprocess.run(
        [str(helm), *arguments, *given, *at],
        input=None if values is None else yaml.safe_dump(dict(values)),
        capture_output=True,
        text=True,
        check=False,
    )

    if done.returncode != 0:
        raise InstallError(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
