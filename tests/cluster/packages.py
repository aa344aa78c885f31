"""Debian packages that the harness uses: installed where apt can do it, named where it cannot."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress

CLUSTER = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "docker-registry": "docker-registry",
    "ip": "iproute2",
    "sysctl": "procps",
    "mount": "mount",
    "unshare": "util-linux",
    "openssl": "openssl",
    "promtool": "prometheus",
}
"""Command or file → package; what the single-node cluster and its tests need."""
IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
"""What building images without Docker needs."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLICY = Path("/usr/sbin/policy-rc.d")
_SERVICES = ("containerd", "docker-registry", "prometheus")


def missing_packages(needs: dict[str, str]) -> list[str]:
    """Return the packages whose command or file is not there."""
    return sorted({package for what, package in needs.items() if not _is_there(what)})


def install_missing(needs: dict[str, str], progress: Progress) -> None:
    """Install what is missing.

    Raises:
        ClusterError: it cannot be installed here; names the packages.

    """
    packages = missing_packages(needs)
    if not packages:
        return
    names = " ".join(packages)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise ClusterError(f"these Debian packages, or what they hold, are missing here: {names}")
    with progress.step(f"installing {names}"), progress.ticking(), _services_stay_off(packages):
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *packages)
    if missing_packages(needs):
        raise ClusterError(
            f"apt-get installed {names}, but {missing_packages(needs)} still lacks files"
        )


def _is_there(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else bool(shutil.which(what, path=_path()))


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"


def _apt(*arguments: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")


@contextmanager
def _services_stay_off(packages: list[str]) -> Iterator[None]:
    """Debian starts a daemon as it installs it; ours run in the node only."""
    own_policy = not _POLICY.exists()
    if own_policy:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if own_policy:
            _POLICY.unlink()
    if Path("/run/systemd/system").exists():
        for service in set(_SERVICES) & set(packages):
            subprocess.run(["systemctl", "disable", service], capture_output=True, check=False)
