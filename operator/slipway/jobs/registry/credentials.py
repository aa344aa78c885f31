"""Credentials from mounted Secrets of type kubernetes.io/dockerconfigjson.

A credential is for one host, or for one path of a host, and is never sent anywhere else.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.errors import RegistryRefused
from slipway.jobs.registry.reference import DOCKER_HUB

FILES = (".dockerconfigjson", "config.json")
HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io", DOCKER_HUB})


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password, and what they are for."""

    scope: str
    """``host`` or ``host/path``."""
    authorization: str
    """Value of a Basic Authorization header."""

    def fits(self, image: str) -> bool:
        """Return whether this is for `image`, ``host/repository``."""
        return image == self.scope or image.startswith(f"{self.scope}/")

    def __repr__(self) -> str:
        return f"Credential({self.scope!r})"


@dataclass(frozen=True, slots=True)
class Keyring:
    """All credentials of a Job; the one with the longest fitting scope counts."""

    credentials: tuple[Credential, ...] = ()

    def find(self, image: str) -> Credential | None:
        """Return the credential for `image`, ``host/repository``; None without one."""
        fitting = [item for item in self.credentials if item.fits(image)]
        return max(fitting, key=lambda item: len(item.scope), default=None)


def make_credential(host: str, user: str, password: str) -> Credential:
    """Return a user and password for everything on a host."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Credential(host, f"Basic {pair}")


def load_keyring(directories: Iterable[Path]) -> Keyring:
    """Return the credentials of mounted Secrets; a directory without a Secret is skipped.

    Raises:
        RegistryRefused: a Secret cannot be parsed; the message shows nothing of it.

    """
    paths = [directory / name for directory in directories for name in FILES]

    return Keyring(
        tuple(credential for path in paths if path.is_file() for credential in _read_secret(path))
    )


def _read_secret(path: Path) -> Iterable[Credential]:
    try:
        entries = json.loads(path.read_text())["auths"]
        return [
            Credential(_credential_scope(key), _basic_authorization(entry))
            for key, entry in entries.items()
            if entry
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryRefused(
            f"registry secret {path}: expected a docker config with user and password under auths, "
            f"found something else ({type(error).__name__})"
        ) from None  # the cause would show the secret


def _credential_scope(key: str) -> str:
    """Return ``host[/path]`` of a key such as ``https://index.docker.io/v1/``."""
    bare = key.partition("://")[2] if "://" in key else key
    host, _, path = bare.rstrip("/").partition("/")
    if host in HUB_NAMES:
        host = DOCKER_HUB
    return host if path in {"", "v1", "v2"} else f"{host}/{path}"


def _basic_authorization(entry: Mapping[str, Any]) -> str:
    if entry.get("auth"):
        try:
            base64.b64decode(entry["auth"], validate=True)
        except binascii.Error as error:
            raise ValueError("auth is not base64") from error
        return f"Basic {entry['auth']}"
    pair = f"{entry['username']}:{entry['password']}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
