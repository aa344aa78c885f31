"""Turns specs and settings into what the renderers take: requests of Jobs, snapshots, owners.

Pure; it is here because it needs policy and render, which do not know each other.
"""

from datetime import datetime

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.golden import Regression
from slipway.api.modeldeployment import (
    FetchCache,
    GoldenSet,
    ModelDeployment,
    PodOptions,
    Protocol,
    Resources,
    Server,
)
from slipway.api.request import (
    CHECK_SECONDS,
    CheckRequest,
    ConfigRequest,
    GoldenRequest,
    OptimizeRequest,
    PackageMode,
    PackageRequest,
    QueueRequest,
    SourceRequest,
)
from slipway.api.result import MAX_WARNING_LENGTH, MAX_WARNINGS, PackageResult
from slipway.api.server_version import derive_server_version
from slipway.api.snapshot import RevisionSnapshot
from slipway.policy.canonical_input import whole_number
from slipway.policy.facts import Facts
from slipway.policy.identity import Resolved, resolve, revision_of
from slipway.policy.source_access import GOLDEN_FIELD, is_open_to_change, resolve_access
from slipway.policy.source_verification import resolve_verify
from slipway.render import triton, workload
from slipway.render.owner import Owner
from slipway.render.traces import ServerTraces
from slipway.settings import ContainerResources, IPFamily, Settings

DEFAULT_REQUESTS: Manifest = {"cpu": "100m", "memory": "512Mi"}
CACHE_SIZE = "100Gi"
ARCHITECTURE_LABEL = "kubernetes.io/arch"


def owner_of(md: ModelDeployment) -> Owner:
    """Return the owner that children refer to."""
    meta = md.metadata
    return Owner(name=meta.name, namespace=meta.namespace, uid=meta.uid)


def build_package_request(md: ModelDeployment, settings: Settings) -> PackageRequest:
    """Return what the package Job of the wanted input is asked to do."""
    resolved = resolve(md, settings)
    packaging = md.spec.packaging
    secrets = pull_secrets(md)
    is_image = resolved.mode is not PackageMode.FETCH

    return PackageRequest(
        mode=resolved.mode,
        source=_build_source(md, settings, md.spec.model.source.digest),
        config=_build_config(md).model_copy(update={"has_gpu": _has_gpu(md)}),
        optimize=_build_optimize(md),
        base_image=resolved.base_image if is_image else None,
        repository=resolved.repository,
        architectures=_architectures(md, settings) if is_image else [],
        registries=settings.registries if is_image else [],
        proxy=settings.jobs.proxy if is_image and settings.jobs.proxy.url else None,
        version=md.spec.model.version,
        pull_secrets=len(secrets) if packaging is not None else 0,
    )


def _architectures(md: ModelDeployment, settings: Settings) -> list[str]:
    """Return the architectures of the nodes that pods may run on; empty: they are not known."""
    pod = (md.spec.server or Server()).pod or PodOptions()
    selected = (pod.node_selector or {}).get(ARCHITECTURE_LABEL)
    return [selected] if selected else list(settings.model_pods.architectures)


def build_fetch_request(
    md: ModelDeployment, settings: Settings, digest: str, result: PackageResult
) -> PackageRequest:
    """Return what the init container is asked to do: the same source, with its digest known.

    `result` says where the same bytes are found for ever, though a branch or tag moves, and what
    a conversion must give.
    """
    source, origin = _build_source(md, settings, digest), result.origin
    cache = resolve(md, settings).cache
    size = cache.max_size if cache is not None and cache.max_size is not None else CACHE_SIZE
    return PackageRequest(
        mode=PackageMode.FETCH,
        deliver_to=names.MODEL_ROOT,
        source=source if origin is None else source.model_copy(update={"uri": origin}),
        config=_build_config(md),
        optimize=_build_optimize(md, result),
        version=md.spec.model.version,
        cache_bytes=whole_number(size) if cache is not None else None,
    )


def build_check_request(
    facts: Facts, revision: str, stable: str | None, settings: Settings
) -> CheckRequest:
    """Return what the check Job of a candidate is asked to do."""
    md = facts.md
    golden = md.spec.model.golden_set
    host = _service_host(md, revision)
    stable_host = _service_host(md, stable) if stable is not None else None
    known = facts.revisions.get(revision)

    return CheckRequest(
        http=f"{host}:{names.TRITON_HTTP_PORT}",
        grpc=_grpc_address(facts, revision),
        model_name=md.model_name,
        golden=_build_golden_request(md, golden, settings) if golden is not None else None,
        stable_http=f"{stable_host}:{names.TRITON_HTTP_PORT}" if stable_host else None,
        stable_grpc=_grpc_address(facts, stable) if stable is not None else None,
        start_seconds=known.snapshot.start_seconds if known is not None else 0,
        timeout_seconds=(golden.timeout_seconds if golden else None) or CHECK_SECONDS,
    )


def _grpc_address(facts: Facts, revision: str) -> str | None:
    known = facts.revisions.get(revision)
    if known is None or Protocol.GRPC not in known.snapshot.protocols:
        return None
    return f"{_service_host(facts.md, revision)}:{names.TRITON_GRPC_PORT}"


def _build_golden_request(
    md: ModelDeployment, golden: GoldenSet, settings: Settings
) -> GoldenRequest:
    access = resolve_access(golden, md.metadata.namespace, settings, GOLDEN_FIELD)
    return GoldenRequest(
        source=SourceRequest(
            uri=golden.uri,
            digest=golden.digest,
            allow_plain_http=True,
            access=access,
            verify=resolve_verify(golden, md.metadata.namespace, settings, GOLDEN_FIELD),
        ),
        min_agreement=golden.min_agreement,
        regression=golden.regression or Regression.FAIL,
        show_cases=golden.show_cases is not False,
    )


def _service_host(md: ModelDeployment, revision: str) -> str:
    return f"{names.revision_name(md.metadata.name, revision)}.{md.metadata.namespace}"


def pull_secrets(md: ModelDeployment) -> tuple[str, ...]:
    """Return the names of the Secrets that images are pulled with."""
    packaging = md.spec.packaging
    if packaging is None:
        return ()
    if packaging.pull_secret_refs:
        return tuple(secret.name for secret in packaging.pull_secret_refs)
    return (packaging.push_secret_ref.name,) if packaging.push_secret_ref else ()


def _pods_pull_secrets(
    md: ModelDeployment, mode: PackageMode, settings: Settings
) -> tuple[str, ...]:
    """Return the pods' pull Secrets; pods that fetch pull the operator's image as well."""
    ours = [secret.name for secret in settings.jobs.image_pull_secrets]
    fetches = ours if mode is PackageMode.FETCH else []
    return tuple(dict.fromkeys([*pull_secrets(md), *fetches]))


def build_snapshot(facts: Facts, result: PackageResult, settings: Settings) -> RevisionSnapshot:
    """Return what a new revision freezes."""
    md = facts.md
    resolved = resolve(md, settings)
    digest = result.model_digest or ""
    revision = revision_of(facts.input, digest, result.base_digest)

    is_fetched = resolved.mode is PackageMode.FETCH
    image = (None if is_fetched else result.image) or resolved.base_image
    model_image = result.model_image if resolved.mode is PackageMode.VOLUME else None
    fetch = None
    if is_fetched:
        fetch = workload.Fetch(
            packaging_image(md, settings),
            build_fetch_request(md, settings, digest, result),
            converter=packaging_resources(md, settings),
            cache=_cache_volume(resolved.cache),
        )

    spec = workload.RevisionSpec(
        owner=owner_of(md),
        revision=revision,
        version=md.spec.model.version,
        server=_build_server(
            md,
            resolved,
            result,
            image,
            family=settings.pod_ip_family,
            traced=_build_traces(md, revision, settings),
        ),
        pod=(md.spec.server or Server()).pod or PodOptions(),
        pull_secrets=_pods_pull_secrets(md, resolved.mode, settings),
        fetch=fetch,
        model_image=model_image,
        defaults=settings.model_pods,
        users=settings.pod_users,
    )

    return RevisionSnapshot(
        revision=revision,
        input=facts.input,
        version=md.spec.model.version,
        model_name=md.model_name,
        mode=resolved.mode,
        model_digest=digest,
        base_digest=result.base_digest,
        image=image,
        model_image=model_image,
        server_version=result.server_version,
        signature=result.signature,
        signed=result.signed,
        optimized=result.optimized,
        warnings=[text[:MAX_WARNING_LENGTH] for text in result.warnings[:MAX_WARNINGS]] or None,
        protocols=list(resolved.protocols),
        start_seconds=resolved.start_seconds,
        drain_seconds=resolved.drain_seconds,
        deployment=workload.render_deployment(spec),
        service=workload.render_service(spec),
    )


def _build_server(
    md: ModelDeployment,
    resolved: Resolved,
    result: PackageResult,
    image: str,
    *,
    family: IPFamily,
    traced: ServerTraces | None,
) -> triton.TritonServer:
    wanted = md.spec.server or Server()
    pod = wanted.pod or PodOptions()
    resources = wanted.resources
    asked = (resources or Resources()).wire()
    group = md.spec.model.config.instance_group if md.spec.model.config else None

    return triton.TritonServer(
        image=image,
        version=derive_server_version(result.server_version, resolved.base_image),
        model_name=md.model_name,
        protocols=resolved.protocols,
        requests=asked.get("requests", DEFAULT_REQUESTS if resources is None else {}),
        limits=asked.get("limits", {}),
        start_seconds=resolved.start_seconds,
        drain_seconds=resolved.drain_seconds,
        is_ipv6=family is IPFamily.V6,
        python_instances=(group.count if group else None) or 1,
        args=tuple(wanted.args or ()),
        shm_size=pod.shm_size,
        tmp_size=pod.tmp_size,
        repository=workload.VOLUME_REPOSITORY if result.model_image else names.MODEL_ROOT,
        traced=traced,
    )


def _build_traces(md: ModelDeployment, revision: str, settings: Settings) -> ServerTraces | None:
    if not settings.tracing.is_on:
        return None
    return ServerTraces(
        endpoint=settings.tracing.endpoint,
        model=md.metadata.name,
        namespace=md.metadata.namespace,
        revision=revision,
        version=md.spec.model.version,
    )


def _cache_volume(cache: FetchCache | None) -> Manifest | None:
    """Return the source of the volume in which pods keep what they fetch.

    A directory of the nodes must be there: the kubelet would make one that only root can write.
    """
    if cache is None:
        return None
    if cache.claim_name is not None:
        return {"persistentVolumeClaim": {"claimName": cache.claim_name}}
    return {"hostPath": {"path": cache.host_path, "type": "Directory"}}


def render_controller_revision(
    md: ModelDeployment, snapshot: RevisionSnapshot, now: datetime
) -> Manifest:
    """Return the ControllerRevision that holds the snapshot."""
    owner, revision = owner_of(md), snapshot.revision
    return owner.render_child(
        kinds.CONTROLLER_REVISION,
        names.revision_name(owner.name, revision),
        names.common_labels(owner.name, names.COMPONENT_SERVER, revision),
        revision=int(now.timestamp()),
        data=snapshot.wire(),
    )


def _build_source(md: ModelDeployment, settings: Settings, digest: str | None) -> SourceRequest:
    source, namespace = md.spec.model.source, md.metadata.namespace
    is_open = is_open_to_change(source, namespace, settings)
    return SourceRequest(
        uri=source.uri,
        digest=digest,
        allow_plain_http=digest is not None or not is_open,
        access=resolve_access(source, namespace, settings),
        verify=resolve_verify(source, namespace, settings),
    )


def packaging_image(md: ModelDeployment, settings: Settings) -> str:
    """Return the image that packages a model: its own where the model is converted."""
    is_converted = md.spec.model.optimize is not None
    return settings.optimizer.image if is_converted else settings.operator_image


def packaging_resources(md: ModelDeployment, settings: Settings) -> ContainerResources | None:
    """Return the settings for a container that converts; None where none does."""
    return settings.optimizer.resources if md.spec.model.optimize is not None else None


def _build_optimize(
    md: ModelDeployment, result: PackageResult | None = None
) -> OptimizeRequest | None:
    """Return the conversion that is asked for, with the digest that an earlier one gave."""
    if md.spec.model.optimize is None:
        return None
    known = result.optimized if result is not None else None
    return OptimizeRequest(
        precision=md.spec.model.optimize.precision, digest=known.digest if known else None
    )


def _build_config(md: ModelDeployment) -> ConfigRequest:
    config, model = md.spec.model.config, md.spec.model
    batching = config.dynamic_batching if config else None
    group = config.instance_group if config else None

    return ConfigRequest(
        model_name=md.model_name,
        format=model.format,
        max_batch_size=config.max_batch_size if config else None,
        dynamic_batching=QueueRequest.model_validate(batching.model_dump()) if batching else None,
        instance_count=group.count if group else None,
        instance_kind=group.kind.value if group and group.kind else None,
        raw=config.raw if config else None,
        warmup_requests=model.warmup.requests if model.warmup else None,
        warmup_shapes=model.warmup.shapes if model.warmup else None,
    )


def _has_gpu(md: ModelDeployment) -> bool:
    """Return whether servers have a GPU, as a device or by a runtime that shows them all."""
    server = md.spec.server or Server()
    pod = server.pod or PodOptions()
    limits = (server.resources.limits if server.resources is not None else None) or {}
    variables = {variable.name for variable in pod.env or ()}

    return (
        any("/" in name for name in limits)
        or bool(pod.resource_claims or pod.runtime_class_name)
        or "NVIDIA_VISIBLE_DEVICES" in variables
    )
