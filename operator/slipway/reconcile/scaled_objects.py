"""Reads and writes the ScaledObjects by which KEDA scales revisions.

They are asked for in the passes of the objects that have some, and not watched: a cluster need not
know the kind, and a watch of what may be missing would end or spin. What KEDA does shows in the
autoscaler that it makes, which carries our labels and is watched.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from slipway.api import kinds, names
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import ModelDeployment, ScalingEngine, Trigger
from slipway.api.reasons import Reason, Why
from slipway.errors import Forbidden, KindNotServed
from slipway.policy.analysis.external.query import Arm
from slipway.policy.facts import AutoscalerFact, Facts, WorkloadFact
from slipway.policy.keda_triggers import fill_trigger
from slipway.policy.rollout.handover import KEDA_ANSWERS_WITHIN, is_scaled_object
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import project_object
from slipway.reconcile.writer import ObjectWriter
from slipway.render.scaled_object import ScaledObjectSpec, render_scaled_object

LOOK_AGAIN_SECONDS = 2.0
"""While KEDA has not done what it was asked for: no watch shows when it has."""
REST_SECONDS = 30.0
NOT_INSTALLED = "the cluster knows no ScaledObjects: KEDA is not installed; replicas are kept"
WITHOUT_RIGHT = "the operator lacks the right to use ScaledObjects; replicas are kept"
"""What ScalingActive says."""


async def with_keda(facts: Facts, cluster: Cluster, now: datetime) -> Facts:
    """Return the facts with what KEDA scales; nothing is asked where it never did.

    Raises:
        DependencyError: the API server does not answer.

    """
    is_chosen = facts.spec.scaling.engine is ScalingEngine.KEDA
    if not is_chosen and not any(w.may_have_scaled_object for w in facts.workloads.values()):
        return facts

    try:
        found = await _read_autoscalers(facts.md, cluster, now)
    except KindNotServed:
        problem = Why(Reason.KEDA_NOT_INSTALLED, NOT_INSTALLED)
        return replace(facts, keda_problem=problem) if is_chosen else facts
    except Forbidden:
        return replace(facts, keda_problem=Why(Reason.KEDA_FORBIDDEN, WITHOUT_RIGHT))
    return replace(facts, autoscalers={**facts.autoscalers, **found})


def seconds_to_keda(facts: Facts) -> float | None:
    """Return when to look at KEDA again: soon while it is waited for; None: it does nothing."""
    kedas = [item for item in facts.autoscalers.values() if item.is_kedas]
    is_chosen = facts.spec.scaling.engine is ScalingEngine.KEDA
    if not kedas and not is_chosen and facts.keda_problem is None:
        return None

    is_settled = all(item.measures and item.leaving_since is None for item in kedas)
    return REST_SECONDS if is_settled else LOOK_AGAIN_SECONDS


async def _read_autoscalers(
    md: ModelDeployment, cluster: Cluster, now: datetime
) -> Mapping[str, AutoscalerFact]:
    """Return by revision the ScaledObjects, each with the numbers of KEDA's autoscaler.

    Where only that is left, it is returned alone.
    """
    scaled, autoscalers = await asyncio.gather(
        _list(md, cluster, kinds.SCALED_OBJECT),
        _list(md, cluster, kinds.HORIZONTAL_POD_AUTOSCALER),
    )
    made = {item.meta.owner_uid: item for item in autoscalers if item.is_kedas}
    left = {item.revision: item for item in made.values()}
    ours = [item for item in scaled if item.meta.owner_uid == md.metadata.uid]
    return left | {item.revision: _combine(item, made.get(item.meta.uid), now) for item in ours}


async def _list(md: ModelDeployment, cluster: Cluster, kind: Kind) -> Sequence[AutoscalerFact]:
    labels = {names.LABEL_OWNER: md.metadata.name, names.MANAGED_BY: names.MANAGER}
    manifests = await cluster.list(kind, md.metadata.namespace, labels)
    found = (project_object(kind, manifest) for manifest in manifests)
    return [item for item in found if isinstance(item, AutoscalerFact)]


def _combine(
    scaled: AutoscalerFact, autoscaler: AutoscalerFact | None, now: datetime
) -> AutoscalerFact:
    """Return the ScaledObject with the numbers of the autoscaler that KEDA made for it."""
    since = scaled.leaving_since
    if since is not None and now - since >= KEDA_ANSWERS_WITHIN:
        held = f"waiting for KEDA to let go of ScaledObject {scaled.meta.name}; replicas are kept"
        scaled = replace(scaled, problem=(Reason.KEDA_HOLDS.value, held))
    if autoscaler is None:
        return replace(scaled, measures=False)

    return replace(
        scaled,
        desired=autoscaler.desired,
        limited=autoscaler.limited,
        problem=scaled.problem or autoscaler.problem,
        measures=scaled.measures and autoscaler.measures,
        least=autoscaler.least,
    )


class ScaledObjectWriter:
    """Writes ScaledObjects."""

    def __init__(self, cluster: Cluster, writer: ObjectWriter) -> None:
        self._cluster = cluster
        self._writer = writer

    async def remove(self, decided: Decided) -> None:
        """Delete the ScaledObjects that must not scale any more; KEDA then lets go of them."""
        wanted = _scaled_revisions(decided)
        for revision, found in decided.facts.autoscalers.items():
            is_unwanted = is_scaled_object(found) and revision not in wanted
            if is_unwanted and found.leaving_since is None:
                name, uid = found.meta.name, found.meta.uid
                await self._cluster.delete(kinds.SCALED_OBJECT, decided.namespace, name, uid=uid)

        # Only what was seen to be gone is not asked for any more.
        for revision, workload in decided.facts.workloads.items():
            is_gone = decided.facts.keda_problem is None and not _is_kedas(decided.facts, revision)
            if workload.may_have_scaled_object and is_gone and revision not in wanted:
                await self._mark(decided, workload, may_have="false")

    async def write(self, decided: Decided) -> None:
        """Apply the ScaledObjects of live revisions whose Deployments exist."""
        facts = decided.facts
        if facts.keda_problem is not None:
            return
        for revision in sorted(_scaled_revisions(decided) & facts.workloads.keys()):
            known = facts.autoscalers.get(revision)
            found = known if known is not None and is_scaled_object(known) else None
            if found is not None and found.leaving_since is not None:
                continue  # it comes back once KEDA has let go of the old one

            # The mark comes first: a process that ends in between must not forget the object.
            workload = facts.workloads[revision]
            if not workload.may_have_scaled_object:
                await self._mark(decided, workload, may_have="true")
            manifest = render_scaled_object(
                ScaledObjectSpec(
                    owner=render_inputs.owner_of(facts.md),
                    revision=revision,
                    scaling=facts.spec.scaling,
                    triggers=_filled_triggers(facts, revision),
                    least=decided.decision.floors[revision],
                )
            )
            await self._writer.apply_if_due(manifest, found.meta if found is not None else None)

    async def _mark(self, decided: Decided, workload: WorkloadFact, *, may_have: str) -> None:
        await self._cluster.annotate(
            kinds.DEPLOYMENT,
            decided.namespace,
            workload.meta.name,
            uid=workload.meta.uid,
            annotations={names.ANNOTATION_SCALED_OBJECT: may_have},
        )


def _filled_triggers(facts: Facts, revision: str) -> list[Trigger]:
    """Return the triggers about one revision."""
    keda, metadata = facts.spec.scaling.keda, facts.metadata
    version = facts.revisions[revision].snapshot.version
    arm = Arm(metadata.name, metadata.namespace, revision, version)
    triggers = keda.triggers if keda is not None else ()
    return [fill_trigger(number, trigger, arm) for number, trigger in enumerate(triggers)]


def _scaled_revisions(decided: Decided) -> set[str]:
    """Return the revisions that KEDA scales."""
    if decided.facts.spec.scaling.engine is not ScalingEngine.KEDA:
        return set()
    return decided.decision.floors.keys() & decided.facts.revisions.keys()


def _is_kedas(facts: Facts, revision: str) -> bool:
    found = facts.autoscalers.get(revision)
    return found is not None and found.is_kedas
