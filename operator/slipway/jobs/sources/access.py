"""What a Job was given to get at a source: the mounted Secret, a private authority, a proxy.

Keys of Secrets are found under every name that users of KServe, AWS, Google, Azure and Hugging Face
give them: case and separators do not count. Nothing of a value ever gets into a message.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.http import Proxy, without_secrets

CA_FILE = "ca.crt"
SEPARATORS = re.compile(r"[-_. ]")
NO_CREDENTIALS = (
    "set {field}.credentialsSecretRef, {field}.serviceAccountName or {field}.connection.anonymous"
)
MAX_SECRET_BYTES = 2**20
"""Kubernetes has no larger Secrets."""


@dataclass(frozen=True, slots=True)
class SourceMounts:
    """Where the volumes of a source are mounted."""

    claim: Path
    """The claim of a ``pvc://`` source."""
    secret: Path = Path("/nonexistent")
    """The Secret of `AccessRequest.secret`."""
    ca: Path = Path("/nonexistent")
    """The ConfigMap of `AccessRequest.ca_config_map`."""
    key: Path = Path("/nonexistent")
    """The Secret or ConfigMap of `VerifyRequest`."""


@dataclass(frozen=True)
class SourceAccess:
    """How to get at one source."""

    request: SourceRequest
    mounts: SourceMounts
    field: str = "spec.model.source"
    """The field of the spec that has the source; for messages."""
    may_stream: bool = False
    """Whether large files may stay in their store, to be read while they are packed."""

    @property
    def asked(self) -> AccessRequest:
        """What was asked for."""
        return self.request.access or AccessRequest()

    @property
    def name(self) -> str:
        """The source, for messages: its address and the operator's store."""
        store = f" (store {self.asked.store})" if self.asked.store else ""
        return f"source {without_secrets(self.request.uri)}{store}"

    @property
    def credentials(self) -> str:
        """Who asks, for messages."""
        asked = self.asked
        if asked.secret is not None:
            return f"Secret {asked.secret}"
        if asked.service_account is not None:
            return f"ServiceAccount {asked.service_account}"
        return "no credentials"

    @property
    def has_identity(self) -> bool:
        """Whether the pod may have an identity of its own, instead of a Secret."""
        return self.asked.service_account is not None

    @property
    def advice(self) -> str:
        """What to set where there are no credentials at all."""
        return NO_CREDENTIALS.format(field=self.field)

    @property
    def proxy(self) -> Proxy | None:
        """The proxy on the way to the source."""
        return Proxy(self.asked.proxy, self.asked.no_proxy or ()) if self.asked.proxy else None

    def failure(self, reason: Reason, problem: str, *, transient: bool = False) -> JobFailure:
        """Return the failure with this problem, naming the source."""
        return JobFailure(reason, f"{self.name}: {problem}", transient=transient)

    def ca_file(self) -> Path | None:
        """Return the certificates of a private authority; None without.

        Raises:
            JobFailure: SourceRefused, where the ConfigMap lacks them.

        """
        if self.asked.ca_config_map is not None:
            path = self.mounts.ca / CA_FILE
            if not path.is_file():
                raise self.failure(
                    Reason.SOURCE_REFUSED,
                    f"ConfigMap {self.asked.ca_config_map} is missing or has no key {CA_FILE!r}, "
                    "expected the certificates of the store's authority there",
                )
            return path
        path = self.mounts.secret / CA_FILE
        return path if self.asked.secret is not None and path.is_file() else None

    def find(self, names: Sequence[str]) -> str | None:
        """Return the value of the first key of the Secret that has one of these names."""
        found = (self.secret.get(_normalise(name)) for name in names)
        return next((value for value in found if value), None)

    def require(self, names: Sequence[str]) -> str:
        """Return the value of a key that the Secret must have.

        Raises:
            JobFailure: SourceRefused, which names the Secret and the key.

        """
        value = self.find(names)
        if value is None:
            raise self.failure(
                Reason.SOURCE_REFUSED,
                f"Secret {self.asked.secret} has no key {names[0]} (found "
                f"{', '.join(sorted(self._keys)) or 'nothing'})",
            )
        return value

    @cached_property
    def secret(self) -> Mapping[str, str]:
        """The Secret's values by the normalised names of its keys; empty without a Secret.

        Raises:
            JobFailure: SourceRefused, where there is no such Secret or it has no keys.

        """
        if self.asked.secret is None:
            return {}
        values = {_normalise(path.name): _read(path) for path in self._files()}
        if not values:
            raise self.failure(
                Reason.SOURCE_REFUSED,
                f"Secret {self.asked.secret} is missing in the namespace, or empty "
                f"({self.field}.credentialsSecretRef, or the operator's store)",
            )
        return values

    @property
    def _keys(self) -> list[str]:
        return [path.name for path in self._files()]

    def _files(self) -> list[Path]:
        """Return the files of the Secret, without the kubelet's own links beside them."""
        if not self.mounts.secret.is_dir():
            return []
        return [
            path
            for path in sorted(self.mounts.secret.iterdir())
            if path.is_file() and not path.name.startswith("..")
        ]


def _normalise(name: str) -> str:
    return SEPARATORS.sub("", name).lower()


def _read(path: Path) -> str:
    with path.open(errors="replace") as file:
        return file.read(MAX_SECRET_BYTES).strip()
