"""How long a rollout takes, step by step: the policy's ladder, and the judge itself. Pure."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from slipway.api.modeldeployment import AnalysisMode, ModelDeploymentSpec
from slipway.cli.objects import ModelDeployment
from slipway.cli.problems import Problem
from slipway.cli.read import Manifest
from slipway.cli.traffic import Measured
from slipway.cli.wire import wire
from slipway.policy.analysis.forecast import Expected, looks_to_pass
from slipway.policy.analysis.study import plan_at
from slipway.policy.ladder import Rung, rungs_of

EPOCH = "2026-01-01T00:00:00.000Z"
CANDIDATE, STABLE = "0" * 8, "1" * 8


@dataclass(frozen=True, slots=True)
class Leg:
    """One step of the forecast."""

    name: str
    weight: int
    per_second: float
    """Requests of the candidate."""
    evidence_seconds: int | None
    """Until every metric passes; None: never at this traffic."""
    hold_seconds: int = 0
    needs_approval: bool = False
    state: str = "ahead"
    """``passed``, ``now`` or ``ahead``."""
    spent_seconds: float = 0.0
    """Of the step under way."""

    @property
    def seconds(self) -> float | None:
        """How much longer it takes; None: for ever."""
        if self.state == "passed":
            return 0.0
        if self.evidence_seconds is None:
            return None
        return max(0.0, max(self.evidence_seconds, self.hold_seconds) - self.spent_seconds)

    @property
    def requests(self) -> int | None:
        """Requests of the candidate that the evidence takes."""
        if self.evidence_seconds is None:
            return None
        return round(self.evidence_seconds * self.per_second)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The whole rollout."""

    namespace: str
    name: str
    version: str
    per_second: float
    source: str
    error_ratio: float
    deadline_seconds: int
    on_inconclusive: str
    legs: tuple[Leg, ...]

    @property
    def seconds(self) -> float | None:
        """From now, or from the first weight, to the promotion; None: for ever."""
        parts = [leg.seconds for leg in self.legs]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    @property
    def is_too_late(self) -> bool:
        """Whether the deadline comes before the bake."""
        before = [leg.seconds for leg in self.legs if leg.name != "bake"]
        known = [part for part in before if part is not None]
        return len(known) < len(before) or sum(known) > self.deadline_seconds


def spec_of(manifest: Manifest) -> ModelDeploymentSpec:
    """Return the spec with the operator's defaults.

    Raises:
        Problem: it is none of this version's.

    """
    try:
        return ModelDeploymentSpec.model_validate(manifest.get("spec"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(
            f"spec.{where}: {first['msg']}; is this program of another version?"
        ) from error


def as_json(found: Forecast) -> Manifest:
    """Return the stable JSON form: what is computed is in it."""
    legs = [{**wire(leg), "seconds": leg.seconds, "requests": leg.requests} for leg in found.legs]
    whole: Manifest = wire(found)
    return {**whole, "seconds": found.seconds, "isTooLate": found.is_too_late, "legs": legs}


def forecast(
    md: ModelDeployment, spec: ModelDeploymentSpec, measured: Measured, now: datetime
) -> Forecast:
    """Return how long each step takes, for a candidate that is as good as stable."""
    rungs = rungs_of(spec.rollout) if md.stable is not None else ()
    legs = tuple(_leg(md, spec, rung, measured, now) for rung in rungs)
    return Forecast(
        namespace=md.namespace,
        name=md.name,
        version=md.version,
        per_second=measured.per_second,
        source=measured.source,
        error_ratio=measured.error_ratio,
        deadline_seconds=spec.rollout.deadline_seconds,
        on_inconclusive=spec.rollout.analysis.on_inconclusive.value,
        legs=legs,
    )


def _leg(
    md: ModelDeployment, spec: ModelDeploymentSpec, rung: Rung, measured: Measured, now: datetime
) -> Leg:
    is_bake = rung.number > len(spec.rollout.steps)
    at = md.rollout.acked_weight if md.candidate is not None else 0
    state = "passed" if rung.weight < at else "now" if rung.weight == at else "ahead"
    evidence = 0 if is_bake and spec.rollout.steps else _evidence(spec, rung, measured)
    return Leg(
        name="bake" if is_bake else str(rung.number),
        weight=rung.weight,
        per_second=measured.per_second * rung.weight / 100,
        evidence_seconds=evidence,
        hold_seconds=spec.rollout.bake_seconds if is_bake else rung.hold_seconds,
        needs_approval=rung.needs_approval,
        state=state,
        spent_seconds=md.rollout.active_in_step(now) if state == "now" else 0.0,
    )


def _evidence(spec: ModelDeploymentSpec, rung: Rung, measured: Measured) -> int | None:
    """Return the seconds until the judge lets a good candidate go on."""
    analysis = spec.rollout.analysis
    if analysis.mode is AnalysisMode.OFF:
        return 0
    plan = plan_at(
        spec,
        rung.weight,
        route="forecast",
        candidate=CANDIDATE,
        stable=STABLE,
        step=EPOCH,
        number=rung.number,
    )
    traffic = Expected(measured.per_second, measured.error_ratio, measured.latency)
    interval = analysis.interval_seconds
    most = max(1, 10 * spec.rollout.deadline_seconds // interval)
    looks = looks_to_pass(plan, traffic, interval, most)
    return None if looks is None else looks * interval
