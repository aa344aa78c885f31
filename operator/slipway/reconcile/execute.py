"""Writes what was decided, in the order that loses no request, and nothing that is so already.

Capacity first, then weights, then what removes pods; what prepares the next revision comes last.
Only traffic that goes back to who served it so far waits for nothing: it is written whatever else
is refused. An object without a route has no traffic to keep: there the Job comes first, which takes
longest.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from slipway.api import kinds, names
from slipway.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from slipway.api.times import to_wire
from slipway.errors import (
    AdmissionDenied,
    ChangedUnderneath,
    ConflictError,
    DependencyError,
    SpecError,
)
from slipway.policy.rollout.rolling_back import brings_back
from slipway.reconcile.autoscalers import AutoscalerWriter
from slipway.reconcile.budgets import BudgetWriter
from slipway.reconcile.decided import Decided, Trouble
from slipway.reconcile.jobs import JobWriter
from slipway.reconcile.old_revisions import delete_surplus_revisions
from slipway.reconcile.outages import reason_of
from slipway.reconcile.ports import Cluster, HookSource
from slipway.reconcile.revisions import RevisionWriter
from slipway.reconcile.routes import RouteWriter
from slipway.reconcile.writer import ObjectWriter
from slipway.settings import Settings

Step = Callable[[Decided], Awaitable[None]]


class Executor:
    """Turns decisions into writes."""

    def __init__(
        self,
        cluster: Cluster,
        hooks: HookSource,
        settings: Settings,
        *,
        ports_of: Callable[[str], frozenset[int]],
        epoch: Callable[[], str],
    ) -> None:
        """`ports_of` returns the listener ports that are taken in a namespace."""
        self._cluster = cluster
        self._hooks = hooks
        writer = ObjectWriter(cluster)
        self._autoscalers = AutoscalerWriter(cluster, writer)
        self._revisions = RevisionWriter(cluster, writer, settings)
        self._routes = RouteWriter(writer, ports_of, epoch)
        self._jobs = JobWriter(cluster, writer, settings)
        self._budgets = BudgetWriter(cluster, writer)

    async def revise(self, decided: Decided) -> Trouble | None:
        """Make the revision that was decided; return why it was refused, if it was."""
        return _beside(await _attempt(decided, self._revisions.make))

    async def execute(self, decided: Decided) -> Trouble | None:
        """Write everything but the status; return what was refused, if anything.

        Raises:
            DependencyError: the pass ends here, and the next one finds out what is left to do.

        """
        is_new = decided.facts.route is None
        early = await self._prepare(decided) if is_new else None
        if brings_back(decided.decision, decided.facts):
            trouble = await self._bring_back(decided)
        else:
            trouble = await _attempt(
                decided,
                self._mark_ended,
                self._autoscalers.remove,
                self._revisions.run,
                self._autoscalers.write,
                self._routes.write,
                self._revisions.stop,
                self._jobs.remove,
                self._trim,
                self._ask,
            )
        if trouble is not None:
            return trouble
        # last, so that a Job that nobody admits never stands before traffic that must come back
        return early if is_new else await self._prepare(decided)

    async def _bring_back(self, decided: Decided) -> Trouble | None:
        """Take the same steps; the weights and the candidate's end depend on none of the others.

        What else was refused is beside: the decision is done, and the status must tell of it.
        """
        short = await _despite(
            decided, self._autoscalers.remove, self._revisions.run, self._autoscalers.write
        )
        refused = await _attempt(decided, self._routes.weigh, self._mark_ended)
        if refused is not None:
            return refused
        left = [
            await _despite(decided, step)
            for step in (
                self._routes.lead,
                self._revisions.stop,
                self._jobs.remove,
                self._trim,
                self._ask,
            )
        ]
        troubles = (trouble for trouble in (short, *left) if trouble is not None)
        return _beside(next(troubles, None))

    async def _prepare(self, decided: Decided) -> Trouble | None:
        return _beside(
            await _attempt(decided, self._revisions.make, self._jobs.start, self._budgets.write)
        )

    async def write_status(self, md: ModelDeployment, status: ModelDeploymentStatus) -> None:
        """Replace the status; the version that was read is a precondition."""
        meta = md.metadata
        manifest = kinds.MODEL_DEPLOYMENT.manifest(meta.namespace, meta.name, status=status.wire())
        await self._cluster.apply_status(manifest, resource_version=meta.resource_version)

    async def _mark_ended(self, decided: Decided) -> None:
        for end in decided.decision.outcomes:
            known = decided.facts.revisions[end.revision]
            await self._cluster.annotate(
                kinds.CONTROLLER_REVISION,
                decided.namespace,
                known.meta.name,
                uid=known.meta.uid,
                annotations={
                    names.ANNOTATION_OUTCOME: f"{end.outcome.value}@{to_wire(decided.now)}"
                },
            )

    async def _ask(self, decided: Decided) -> None:
        for call in decided.decision.calls:
            await self._hooks.ask(call)

    async def _trim(self, decided: Decided) -> None:
        await delete_surplus_revisions(self._cluster, decided)


def _beside(trouble: Trouble | None) -> Trouble | None:
    return replace(trouble, is_beside=True) if trouble is not None else None


async def _attempt(decided: Decided, *steps: Step) -> Trouble | None:
    """Take the steps until one is refused."""
    try:
        for step in steps:
            await step(decided)
    except SpecError as error:
        return Trouble("InvalidSpec", str(error))
    except ConflictError as error:
        return Trouble("Conflict", str(error))
    except AdmissionDenied as error:
        return Trouble("Refused", str(error))
    return None


async def _despite(decided: Decided, *steps: Step) -> Trouble | None:
    """Take the steps until one goes wrong, also where a pass would end and be tried again."""
    try:
        return await _attempt(decided, *steps)
    except ChangedUnderneath:
        return None  # the next pass sees what there is now
    except DependencyError as error:
        return Trouble(reason_of(error), str(error))
