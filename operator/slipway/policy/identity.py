"""Who is who: the hash of an input, the revision that it becomes, and every Auto as resolved."""

from dataclasses import dataclass

from slipway.api.canonical_json import sha256_of
from slipway.api.modeldeployment import (
    GoldenSet,
    ModelDeployment,
    ModelDeploymentSpec,
    PackagingMode,
    Protocol,
    Server,
)
from slipway.api.request import PackageMode
from slipway.errors import SpecError
from slipway.settings import Settings

INPUT_FIELDS = ("version", "name", "format", "source", "config", "warmup")
START_SECONDS = 600
DRAIN_SECONDS = 30


def input_hash(spec: ModelDeploymentSpec) -> str:
    """Return the identity of what the user gave under model, packaging and server.

    The golden set and references to secrets are no part of it: another check or another key makes
    no other model.
    """
    wire = spec.wire()
    model = {key: wire["model"][key] for key in INPUT_FIELDS if key in wire["model"]}
    packaging = wire.get("packaging", {})
    chosen = {key: packaging[key] for key in ("mode", "repository") if key in packaging}
    return sha256_of({"model": model, "packaging": chosen, "server": wire.get("server", {})})


def golden_hash(golden: GoldenSet | None) -> str:
    """Return the identity of a golden set with its bar, or "" without one."""
    return sha256_of(golden.wire())[:16] if golden else ""


def revision_of(input_: str, model_digest: str, base_digest: str | None) -> str:
    """Return the revision, 8 hex digits: the input, the model's bytes and the base image's."""
    return sha256_of([input_, model_digest, base_digest or ""])[:8]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The spec with every default and Auto filled in from the operator's settings."""

    mode: PackageMode
    base_image: str
    repository: str | None
    protocols: tuple[Protocol, ...]
    start_seconds: int
    drain_seconds: int


def resolve(object_: ModelDeployment, settings: Settings) -> Resolved:
    """Fill in what the user left to the operator.

    Raises:
        SpecError: Image mode without a place for images.

    """
    spec = object_.spec
    server = spec.server or Server()
    repository = _repository(object_, settings)
    mode = _mode(spec, repository, settings)
    if mode is PackageMode.IMAGE and repository is None:
        raise SpecError(
            "spec.packaging.repository",
            "mode Image needs a repository, and the operator has no registry.prefix setting",
        )
    return Resolved(
        mode=mode,
        base_image=server.image or settings.server_image,
        repository=repository if mode is PackageMode.IMAGE else None,
        protocols=tuple(server.protocols or (Protocol.HTTP, Protocol.GRPC)),
        start_seconds=server.start_seconds or START_SECONDS,
        drain_seconds=server.drain_seconds or DRAIN_SECONDS,
    )


def _repository(object_: ModelDeployment, settings: Settings) -> str | None:
    packaging = object_.spec.packaging
    if packaging is not None and packaging.repository is not None:
        return packaging.repository
    if not settings.registry.prefix:
        return None
    meta = object_.metadata
    return f"{settings.registry.prefix.rstrip('/')}/{meta.namespace}/{meta.name}"


def _mode(spec: ModelDeploymentSpec, repository: str | None, settings: Settings) -> PackageMode:
    packaging = spec.packaging
    asked = (packaging.mode if packaging else None) or PackagingMode.AUTO
    if asked is not PackagingMode.AUTO:
        return PackageMode(asked.value)
    if repository is None:
        return PackageMode.FETCH
    if packaging is not None and packaging.push_secret_ref is not None:
        return PackageMode.IMAGE
    host = repository.split("/", 1)[0]
    anonymous = any(item.host == host and item.anonymous for item in settings.registries)
    return PackageMode.IMAGE if anonymous else PackageMode.FETCH
