"""What a build step takes from this machine for its time: names, and the ways to packages."""

import ast
import ssl
import subprocess
import sys
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_AUTHORITIES = "/run/certificate-authorities.pem"
_PIP_CONFIG = "/etc/pip.conf"
_APT = ("/etc/apt/apt.conf.d", "/etc/apt/auth.conf.d", "/etc/apt/sources.list.d")
"""Where this machine's apt takes packages from; the base's own is as empty as it is made here."""
_CARRIED = (
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
)
"""pip's options that say where packages come from; the rest is a matter of the Dockerfile."""


def needs_of_build_steps(scratch: Path) -> dict[str, str]:
    """Return files of this machine and where a build step sees them, read-only.

    They are mounts, so nothing of them gets into an image or into the Dockerfiles. `scratch` takes
    what is written for the purpose.
    """
    shared = ("/etc/resolv.conf", "/etc/hosts", *_APT)
    volumes = {path: path for path in shared if Path(path).exists()}
    options = pip_options(_pip_config_list())
    authorities = ssl.get_default_verify_paths().cafile
    if authorities:
        volumes[str(Path(authorities).resolve())] = _AUTHORITIES
        options["cert"] = _AUTHORITIES
    places = options.get("find-links", "").split()
    volumes |= {place: place for place in places if Path(place).is_dir()}
    config = scratch / "pip.conf"
    config.touch(mode=0o600)
    config.write_text(pip_config(options))
    return volumes | {str(config): _PIP_CONFIG}


def pip_options(listed: str) -> dict[str, str]:
    """Read what `pip config list` prints; variables come last there, and they count."""
    options = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in _CARRIED:
            options[option] = str(ast.literal_eval(value))
    return options


def pip_config(options: dict[str, str]) -> str:
    """Return the text of a pip.conf; a value of several lines is indented, as pip asks for."""
    lines = [f"{name} = " + value.replace("\n", "\n  ") for name, value in options.items()]
    return "\n".join(["[global]", *lines, ""])


def _pip_config_list() -> str:
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
