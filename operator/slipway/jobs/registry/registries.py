"""The registries that a Job talks to, found by the host of an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from slipway.jobs.http import Backoff, Proxy, open_pool
from slipway.jobs.registry.client import RegistryClient
from slipway.jobs.registry.credentials import Keyring
from slipway.jobs.registry.reference import DOCKER_HUB, DOCKER_HUB_ENDPOINT, ImageReference
from slipway.jobs.registry.repository import Repository
from slipway.settings import RegistryAccess

CA_FILE = "ca.crt"


@dataclass(slots=True)
class Registries:
    """Clients of all registries, one per host and keyring, so that tokens are reused."""

    settings: Sequence[RegistryAccess]
    ca_directory: Path
    """Directory in which the CA of setting n is ``<n>/ca.crt``."""
    backoff: Backoff = field(default_factory=Backoff)
    proxy: Proxy | None = None
    _clients: dict[tuple[str, Keyring], RegistryClient] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.pool.clear()

    def repository(
        self, image: ImageReference, keyring: Keyring, *, is_writable: bool = False
    ) -> Repository:
        """Return the repository of an image."""
        key = (image.host, keyring)
        if key not in self._clients:
            self._clients[key] = self._connect(image.host, keyring)
        return Repository(self._clients[key], image.repository, is_writable)

    def _connect(self, host: str, keyring: Keyring) -> RegistryClient:
        """Connect with TLS, except to hosts for which the settings allow plain HTTP."""
        for index, setting in enumerate(self.settings):
            if setting.host == host:
                ca_file = self.ca_directory / str(index) / CA_FILE
                pool = open_pool(ca_file if ca_file.is_file() else None, self.proxy)
                scheme = "http" if setting.plain_http else "https"
                base = f"{scheme}://{setting.endpoint or host}"
                return RegistryClient(host, base, pool, keyring, self.backoff)

        endpoint = DOCKER_HUB_ENDPOINT if host == DOCKER_HUB else host
        pool = open_pool(proxy=self.proxy)
        return RegistryClient(host, f"https://{endpoint}", pool, keyring, self.backoff)
