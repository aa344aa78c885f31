"""Writes what was decided, in the order that loses no request, and nothing that is so already.

Capacity first, then weights, then what removes pods; what prepares the next revision comes last.
Only traffic that goes back to the revision that served it so far waits for nothing: it is written
whatever else is refused. An object without a route has no traffic to keep: there the Job comes
first, because it takes longest.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.reasons import Reason, Why
from slipway.api.times import to_wire
from slipway.errors import (
    AdmissionDenied,
    ChangedUnderneath,
    ConflictError,
    DependencyError,
    PortsExhausted,
    SpecError,
)
from slipway.policy.facts import RouteFact
from slipway.policy.rollout.rolling_back import brings_back
from slipway.reconcile.autoscalers import AutoscalerWriter
from slipway.reconcile.budgets import BudgetWriter
from slipway.reconcile.decided import Decided, Trouble
from slipway.reconcile.guard import Guard
from slipway.reconcile.jobs import JobWriter
from slipway.reconcile.old_revisions import delete_surplus_revisions
from slipway.reconcile.outages import reason_of
from slipway.reconcile.ports import Cluster, HookSource
from slipway.reconcile.previews import PreviewWriter
from slipway.reconcile.revisions import RevisionWriter
from slipway.reconcile.routes import RouteWriter
from slipway.reconcile.scaled_objects import ScaledObjectWriter
from slipway.reconcile.writer import ObjectWriter
from slipway.settings import Settings

WriteStep = Callable[[Decided], Awaitable[None]]
Steps = tuple[WriteStep, ...]


class Executor:
    """Turns decisions into writes."""

    def __init__(
        self,
        cluster: Cluster,
        hooks: HookSource,
        settings: Settings,
        *,
        routes_of: Callable[[str], Sequence[RouteFact]],
        epoch: Callable[[], str],
        guard: Guard,
    ) -> None:
        """`routes_of` returns the ModelRoutes of a namespace, as far as they are known."""
        self._cluster = cluster
        self._hooks = hooks
        self._guard = guard

        writer = ObjectWriter(cluster)
        self._autoscalers = AutoscalerWriter(cluster, writer)
        self._scaled_objects = ScaledObjectWriter(cluster, writer)
        self._revisions = RevisionWriter(cluster, writer, settings)
        self._routes = RouteWriter(cluster, writer, settings, routes_of, epoch)
        self._jobs = JobWriter(cluster, writer, settings)
        self._budgets = BudgetWriter(cluster, writer)
        self._previews = PreviewWriter(cluster, writer)

    async def make_revision(self, decided: Decided) -> Trouble | None:
        """Make the revision that was decided; return why it was refused, if it was."""
        return _secondary(await _attempt(decided, self._revisions.make))

    async def execute(self, decided: Decided) -> Trouble | None:
        """Write everything but the status; return what was refused, if anything.

        Raises:
            DependencyError: the pass ends here, and the next one finds out what is left to do.

        """
        # Without a route no request can be lost, and the package Job takes longest: it starts now.
        has_route = decided.facts.route is not None
        early = None if has_route else await self._prepare_next(decided)

        if brings_back(decided.decision, decided.facts):
            trouble = await self._bring_back(decided)
        else:
            trouble = await self._advance(decided)
        if trouble is not None:
            return trouble

        # Only now: a Job that admission refuses must not come before traffic that has to go back.
        return await self._prepare_next(decided) if has_route else early

    async def _advance(self, decided: Decided) -> Trouble | None:
        """Take every step, until one is refused: what follows would rest on it."""
        # Later passes rest on an outcome: it is stored before anything follows from it.
        outcome: Steps = (self._store_outcomes,)

        # `replicas` has one writer at a time, and capacity comes before the weight that needs it.
        traffic: Steps = (
            *self._give_capacity,
            self._routes.write,
        )

        # Pods go after the weight that sent them requests.
        rest: Steps = (
            self._revisions.stop,
            self._jobs.remove,
            self._delete_surplus,
            self._ask_hooks,
        )
        return await _attempt(decided, *outcome, *traffic, *rest)

    async def _bring_back(self, decided: Decided) -> Trouble | None:
        """Take the same steps; the weights and the outcome wait for none of the others.

        What else was refused is secondary: the decision is written, and the status must tell of it.
        """
        # Stable gets back the capacity that it lacks, as far as the cluster lets it.
        short = await _attempt_anyway(decided, *self._give_capacity)

        # The weights come before the outcome: a rejection that cannot be stored delays no request.
        refused = await _attempt(decided, self._routes.write_weights, self._store_outcomes)
        if refused is not None:
            return refused

        # Each of the others is tried, whatever becomes of the one before.
        others: Steps = (
            self._routes.write_client_service,
            self._revisions.stop,
            self._jobs.remove,
            self._delete_surplus,
            self._ask_hooks,
        )
        failed = [await _attempt_anyway(decided, step) for step in others]
        troubles = (trouble for trouble in (short, *failed) if trouble is not None)
        return _secondary(next(troubles, None))

    @property
    def _give_capacity(self) -> Steps:
        """Steps that hand `replicas` over from one writer to the next, and raise what is short."""
        return (
            self._autoscalers.remove,
            self._scaled_objects.remove,
            self._revisions.run,
            self._autoscalers.write,
            self._scaled_objects.write,
        )

    async def _prepare_next(self, decided: Decided) -> Trouble | None:
        """Take the steps that no request depends on yet."""
        return _secondary(
            await _attempt(
                decided,
                self._revisions.make,
                self._jobs.start,
                self._budgets.write,
                self._previews.write,
            )
        )

    async def write_status(
        self, namespace: str, name: str, status: Manifest, *, resource_version: str
    ) -> None:
        """Replace the status; the version that was read is a precondition."""
        manifest = kinds.MODEL_DEPLOYMENT.manifest(namespace, name, status=status)
        await self._cluster.apply_status(manifest, resource_version=resource_version)

    async def _store_outcomes(self, decided: Decided) -> None:
        for end in decided.decision.outcomes:
            known = decided.facts.revisions[end.revision]
            outcome = f"{end.outcome.value}@{to_wire(decided.now)}"
            await self._cluster.annotate(
                kinds.CONTROLLER_REVISION,
                decided.namespace,
                known.meta.name,
                uid=known.meta.uid,
                annotations={names.ANNOTATION_OUTCOME: outcome},
            )

    async def _delete_surplus(self, decided: Decided) -> None:
        await delete_surplus_revisions(self._cluster, decided)

    async def _ask_hooks(self, decided: Decided) -> None:
        for call in decided.decision.calls:
            await self._guard.ask(
                f"ask hook {call.hook.name} of {call.namespace}/{call.name}",
                partial(self._hooks.ask, call),
            )


def _secondary(trouble: Trouble | None) -> Trouble | None:
    return trouble.as_secondary() if trouble is not None else None


async def _attempt(decided: Decided, *steps: WriteStep) -> Trouble | None:
    """Take the steps until one is refused."""
    try:
        for step in steps:
            await step(decided)
    except SpecError as error:
        return Trouble(Why(Reason.INVALID_SPEC, str(error)))
    except ConflictError as error:
        return Trouble(Why(Reason.CONFLICT, str(error)))
    except PortsExhausted as error:
        return Trouble(Why(Reason.NO_FREE_PORT, str(error)))
    except AdmissionDenied as error:
        return Trouble(Why(Reason.REFUSED, str(error)))
    return None


async def _attempt_anyway(decided: Decided, *steps: WriteStep) -> Trouble | None:
    """Take the steps until one fails; an error that would end the pass is returned as trouble."""
    try:
        return await _attempt(decided, *steps)
    except ChangedUnderneath:
        return None  # the next pass sees what exists by then
    except DependencyError as error:
        return Trouble(Why(reason_of(error), str(error)))
