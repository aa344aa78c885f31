"""Healthy values for tests; a test names only what differs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.api.canonical_json import sha256_of
from slipway.api.counters import Counters, Latency, RouteCounters, latency_edges
from slipway.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Outcome, Protocol
from slipway.api.request import PackageMode
from slipway.api.snapshot import RevisionSnapshot
from slipway.policy.facts import (
    Facts,
    Meta,
    PodFact,
    ProxyFact,
    RevisionFact,
    RouteFact,
    WorkloadFact,
)
from slipway.policy.identity import golden_hash, input_hash, revision_of

QUICK = {"intervalSeconds": 1, "minSamples": 30, "warmUpSeconds": 0}
"""An analysis for tests."""
NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def a_model_deployment(
    version: str = "1",
    *,
    rollout: dict[str, Any] | None = None,
    status: ModelDeploymentStatus | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> ModelDeployment:
    """Return a ModelDeployment named digits in vision; keywords are parts of its spec."""
    model = {
        "version": version,
        "source": {"uri": f"https://models.example/{version}.onnx"},
        **spec.pop("model", {}),
    }
    quick = {"bakeSeconds": 5, "analysis": QUICK}

    wire = {
        "metadata": {
            "name": "digits",
            "namespace": "vision",
            "uid": "uid-digits",
            "resourceVersion": "1",
            "generation": 1,
            "annotations": annotations or {},
        },
        "spec": {"model": model, "rollout": {**quick, **(rollout or {})}, **spec},
    }

    made = ModelDeployment.model_validate(wire)
    return made.model_copy(update={"status": status}) if status is not None else made


def meta(name: str, *, uid: str | None = None) -> Meta:
    """Return the identity of an object of ours."""
    return Meta(name, uid or f"uid-{name}", "1", "uid-digits", managed=True, deleting=False)


def digest_at(md: ModelDeployment, bytes_: str = "") -> str:
    """Return the digest of what lies at the object's source."""
    return "sha256:" + sha256_of(f"{md.spec.model.source.uri}{bytes_}")


def a_revision(
    md: ModelDeployment,
    *,
    created: datetime = NOON,
    outcome: Outcome | None = None,
    bytes_: str = "",
) -> RevisionFact:
    """Return the revision that the object's input became; other bytes make another one of it."""
    input_ = input_hash(md.spec)
    digest = digest_at(md, bytes_)
    revision = revision_of(input_, digest, None)

    snapshot = RevisionSnapshot(
        revision=revision,
        input=input_,
        version=md.spec.model.version,
        model_name=md.model_name,
        mode=PackageMode.IMAGE,
        model_digest=digest,
        image=f"registry.example/digits@{digest}",
        protocols=[Protocol.HTTP, Protocol.GRPC],
        start_seconds=600,
        drain_seconds=30,
        deployment={},
        service={},
    )

    return RevisionFact(
        meta=meta(f"digits-{revision}"),
        snapshot=snapshot,
        created=created,
        outcome=outcome,
        outcome_at=created if outcome else None,
    )


def a_workload(revision: str, *, replicas: int = 1, ready: int | None = None) -> WorkloadFact:
    """Return a Deployment whose replicas are ready."""
    number = replicas if ready is None else ready
    return WorkloadFact(
        meta=meta(f"digits-{revision}"),
        revision=revision,
        replicas=replicas,
        ready=number,
        settled=True,
        failure=None,
    )


def a_pod(name: str, revision: str | None = None, **changes: Any) -> PodFact:
    """Return a pod that is ready."""
    fields = {
        "meta": meta(name),
        "revision": revision,
        "address": "10.0.0.1",
        "created": NOON,
        "ready": True,
        "ever_ready": True,
        "running": True,
        "not_ready_since": None,
        "exits": 0,
        "last_exit": None,
        "waiting": None,
        "fetch_exit": None,
        "unschedulable": None,
    }
    return PodFact(**fields | changes)


def a_route(
    weights: dict[str, int],
    *,
    generation: int = 1,
    acknowledged: int | None = None,
    proxies: tuple[str, ...] = ("router-a", "router-b"),
) -> RouteFact:
    """Return a route that every proxy acknowledged."""
    seen = generation if acknowledged is None else acknowledged
    return RouteFact(
        meta=meta("digits"),
        generation=generation,
        port=10_000,
        weights=weights,
        candidate=None,
        proxies=tuple(
            ProxyFact(name, f"uid-{name}", seen, dict(weights), None) for name in proxies
        ),
    )


def facts_about(md: ModelDeployment, **changes: Any) -> Facts:
    """Return facts in which nothing exists but the object and two router pods."""
    facts = Facts(
        md=md,
        input=input_hash(md.spec),
        golden=golden_hash(md.spec.model.golden_set),
        proxies=(a_pod("router-a"), a_pod("router-b")),
    )
    return replace(facts, **changes)


def counted(
    proxy: str,
    requests: dict[str, tuple[int, int, int]],
    *,
    start: str = "1",
    route: str = "digits",
    at: datetime = NOON,
    active: int = 0,
    refused: Mapping[str, int] | None = None,
) -> Counters:
    """Return a proxy's counters: by revision requests, errors, and how many of them were slow.

    `refused` are by revision the requests that the server did not take.
    """
    edges = [float(edge) for edge in latency_edges()]

    routes = []
    for revision, (total, errors, slow) in requests.items():
        counts = [0] * (len(edges) + 1)
        counts[4] = total - slow
        counts[-2] = slow

        routes.append(
            RouteCounters(
                name=route,
                revision=revision,
                pinned=False,
                requests=total,
                errors=errors,
                resets=0,
                timeouts=0,
                client_errors=(refused or {}).get(revision, 0),
                refused=(refused or {}).get(revision, 0),
                active=active,
                latency=Latency(edges_millis=edges, counts=counts),
            )
        )

    return Counters(proxy=proxy, envoy_start=start, at=at.isoformat(), routes=routes)


def later(seconds: float) -> datetime:
    """Return a moment after noon."""
    return NOON + timedelta(seconds=seconds)
