"""Deletes the oldest revisions beyond the limit; none that runs, is wanted or is held."""

from slipway.api import kinds
from slipway.policy.facts import RevisionFact
from slipway.reconcile.decided import Decided
from slipway.reconcile.observe import find_service
from slipway.reconcile.ports import Cluster


async def delete_surplus_revisions(cluster: Cluster, decided: Decided) -> None:
    """Delete what belongs to surplus revisions; the ControllerRevision, which names it, is last."""
    surplus = surplus_revisions(decided)
    if not surplus:
        return

    # The cache may be behind: what was too many then may serve, or be asked for, by now.
    used = await _revisions_in_use(cluster, decided)
    if used is None:
        return
    for item in surplus:
        if item.name in used:
            continue
        name = item.meta.name
        running = decided.facts.workloads.get(item.name)
        service = find_service(decided.children, name)
        found = {
            kinds.DEPLOYMENT: running.meta if running else None,
            kinds.SERVICE: service.meta if service else None,
            kinds.CONTROLLER_REVISION: item.meta,
        }

        for kind, meta in found.items():
            if meta is not None:
                await cluster.delete(kind, decided.namespace, name, uid=meta.uid)


async def _revisions_in_use(cluster: Cluster, decided: Decided) -> set[str] | None:
    """Return the revisions that the live route has; None: the object itself has changed since."""
    metadata = decided.facts.metadata
    live = await cluster.get(kinds.MODEL_DEPLOYMENT, metadata.namespace, metadata.name)
    if live is None or live["metadata"]["resourceVersion"] != metadata.resource_version:
        return None
    route = await cluster.get(kinds.MODEL_ROUTE, metadata.namespace, metadata.name)
    return {entry["revision"] for entry in route["spec"]["backends"]} if route else set()


def surplus_revisions(decided: Decided) -> list[RevisionFact]:
    """Return the revisions that are too many, oldest first."""
    decision, facts = decided.decision, decided.facts
    kept = {decision.stable, decision.candidate, facts.wanted.name if facts.wanted else None}
    kept.add(decision.hold.revision if decision.hold else None)
    kept |= {name for name, number in decision.replicas.items() if number}
    kept |= set(facts.route.weights) if facts.route else set()

    old = sorted(
        (item for item in facts.revisions.values() if item.name not in kept),
        key=lambda item: item.created,
    )
    number = len(old) - facts.spec.rollback.history_limit
    return old[: max(0, number)]
