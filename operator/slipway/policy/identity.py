"""Who is who: the hash of an input, the revision that it becomes, and every Auto as resolved."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.api.canonical_json import sha256_of
from slipway.api.modeldeployment import (
    FetchCache,
    GoldenSet,
    ModelDeployment,
    ModelDeploymentSpec,
    PackagingMode,
    Protocol,
    Server,
)
from slipway.api.request import PackageMode
from slipway.errors import SpecError
from slipway.policy.canonical_input import canonical_golden_set, canonical_input, spelled_input
from slipway.policy.source_access import require_known_stores
from slipway.policy.source_verification import require_signatures
from slipway.settings import Settings

START_SECONDS = 600
DRAIN_SECONDS = 30


def input_hash(spec: ModelDeploymentSpec, name: str = "", *, is_packaged_once: bool = False) -> str:
    """Return the identity of what the user gave under model, packaging and server.

    Two spellings of the same pods have the same identity. The golden set and references to secrets
    are no part of it: another check or another key makes no other model.

    Args:
        spec: what users write.
        name: metadata.name, which is the default of the model's name.
        is_packaged_once: pods do not fetch the model: of an address with a pinned digest, the
            signature does not count.

    """
    return sha256_of(canonical_input(spec.wire(), name, is_packaged_once=is_packaged_once))


def input_hashes(md: ModelDeployment, settings: Settings) -> tuple[str, ...]:
    """Return every identity that the input may be known by; the first is for what is made now.

    The others were made while pods fetched the model, or by a release that took every spelling for
    another input.
    """
    wire, name = md.spec.wire(), md.metadata.name
    is_once = _mode(md.spec, _repository(md, settings), settings) is not PackageMode.FETCH
    spellings = [
        *(canonical_input(wire, name, is_packaged_once=once) for once in (is_once, not is_once)),
        spelled_input(wire),
    ]
    return tuple(dict.fromkeys(sha256_of(spelling) for spelling in spellings))


def golden_hash(golden: GoldenSet | None) -> str:
    """Return the identity of a golden set with its bar, or "" without one."""
    return sha256_of(canonical_golden_set(golden.wire()))[:16] if golden else ""


def golden_hashes(golden: GoldenSet | None) -> tuple[str, ...]:
    """Return every identity that a golden set may be known by; the first is for what is made now.

    The other is that of its spelling, as earlier releases took it.
    """
    if golden is None:
        return ("",)
    # they knew no showCases
    spelled = sha256_of(golden.model_copy(update={"show_cases": None}).wire())[:16]
    return tuple(dict.fromkeys((golden_hash(golden), spelled)))


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
    cache: FetchCache | None = None
    """Where pods keep what they fetch; Fetch mode only."""


def resolve(object_: ModelDeployment, settings: Settings) -> Resolved:
    """Fill in what the user left to the operator.

    Raises:
        SpecError: Image or Volume mode without a place for images, a store or key that is not
            known, a signature that is demanded and not asked for, a conversion that the operator
            has no image for, or a field that the operator's settings forbid.

    """
    spec = object_.spec
    require_known_stores(object_, settings)
    require_signatures(object_, settings)
    if spec.model.optimize is not None and not settings.optimizer.image:
        raise SpecError(
            "spec.model.optimize",
            "the operator has no image that converts models (optimizer.image); leave optimize out, "
            "or ask the administrator of Slipway",
        )
    server = spec.server or Server()
    _refuse_forbidden_fields(server, settings)
    _refuse_forbidden_accounts(spec, settings)
    repository = _repository(object_, settings)
    mode = _mode(spec, repository, settings)
    if mode is not PackageMode.FETCH and repository is None:
        raise SpecError(
            "spec.packaging.repository",
            f"mode {mode} needs a repository, and the operator has no registry.prefix setting",
        )
    return Resolved(
        mode=mode,
        base_image=server.image or settings.server_image,
        repository=None if mode is PackageMode.FETCH else repository,
        protocols=tuple(server.protocols or (Protocol.HTTP, Protocol.GRPC)),
        start_seconds=server.start_seconds or START_SECONDS,
        drain_seconds=server.drain_seconds or DRAIN_SECONDS,
        cache=_resolve_cache(spec, settings) if mode is PackageMode.FETCH else None,
    )


def _resolve_cache(spec: ModelDeploymentSpec, settings: Settings) -> FetchCache | None:
    """Return the cache; a directory of the nodes only where the administrator lends it."""
    cache = spec.packaging.cache if spec.packaging is not None else None
    if cache is None or cache.host_path is None:
        return cache

    path = PurePosixPath(cache.host_path)
    lent = settings.model_pods.cache_host_paths
    if ".." in path.parts or not any(path.is_relative_to(allowed) for allowed in lent):
        raise SpecError(
            "spec.packaging.cache.hostPath",
            f"found {cache.host_path}, expected one of modelPods.cacheHostPaths of the operator's "
            f"settings ({', '.join(lent) or 'none'}) or one below; or claimName",
        )
    return cache


def _refuse_forbidden_fields(server: Server, settings: Settings) -> None:
    given = {f"pod.{name}" for name in (server.pod.wire() if server.pod else {})}
    given |= {"args"} if server.args else set()

    for name in settings.model_pods.forbid:
        path = name if name == "args" else f"pod.{name}"
        if path in given:
            raise SpecError(
                f"spec.server.{path}",
                "the operator's settings forbid this field (modelPods.forbid); remove it, or ask "
                "the administrator of Slipway",
            )


def _refuse_forbidden_accounts(spec: ModelDeploymentSpec, settings: Settings) -> None:
    """An account that servers must not have is none for Jobs either."""
    if "serviceAccountName" not in settings.model_pods.forbid:
        return
    for field, location in (("source", spec.model.source), ("goldenSet", spec.model.golden_set)):
        if location is not None and location.service_account_name is not None:
            raise SpecError(
                f"spec.model.{field}.serviceAccountName",
                "the operator's settings forbid this field (modelPods.forbid); name a store of the "
                "operator, or ask the administrator of Slipway",
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
