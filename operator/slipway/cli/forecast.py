"""How long a rollout takes, step by step, as the operator's own judge would decide it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from slipway.api.modeldeployment import AnalysisMode, ModelDeploymentSpec
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Manifest
from slipway.cli.objects import ModelDeployment
from slipway.cli.request_rate import RequestRate
from slipway.cli.wire import dump
from slipway.policy.analysis.forecast import ExpectedTraffic, looks_to_pass
from slipway.policy.analysis.study import plan_at
from slipway.policy.ladder import Rung, list_rungs

EPOCH = "2026-01-01T00:00:00.000Z"
CANDIDATE, STABLE = "0" * 8, "1" * 8


@dataclass(frozen=True, slots=True)
class Leg:
    """One step of the forecast."""

    name: str
    weight: int
    per_second: float
    """Requests to the candidate."""
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
        """How much longer it takes; None: forever."""
        if self.state == "passed":
            return 0.0
        if self.evidence_seconds is None:
            return None
        return max(0.0, max(self.evidence_seconds, self.hold_seconds) - self.spent_seconds)

    @property
    def requests(self) -> int | None:
        """Requests to the candidate that the evidence takes; None: more than will come."""
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
        """From now, or from the first weight, to the promotion; None: forever."""
        parts = [leg.seconds for leg in self.legs]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    @property
    def is_too_late(self) -> bool:
        """Whether the deadline comes before the bake."""
        before = [leg.seconds for leg in self.legs if leg.name != "bake"]
        known = [part for part in before if part is not None]
        return len(known) < len(before) or sum(known) > self.deadline_seconds


def parse_spec(manifest: Manifest) -> ModelDeploymentSpec:
    """Return the spec with the operator's defaults.

    Raises:
        CliError: the spec is not valid for this version of the program.

    """
    try:
        return ModelDeploymentSpec.model_validate(manifest.get("spec"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])

        raise CliError(
            f"spec.{where}: {first['msg']}; is the operator of another version?"
        ) from error


def forecast_json(found: Forecast) -> Manifest:
    """Return the stable JSON form, with what is computed."""
    legs = [{**dump(leg), "seconds": leg.seconds, "requests": leg.requests} for leg in found.legs]
    whole: Manifest = dump(found)
    return {**whole, "seconds": found.seconds, "isTooLate": found.is_too_late, "legs": legs}


def forecast_rollout(
    md: ModelDeployment, spec: ModelDeploymentSpec, rate: RequestRate, now: datetime
) -> Forecast:
    """Return how long each step takes, for a candidate that is as good as stable."""
    rungs = list_rungs(spec.rollout) if md.stable is not None else ()
    legs = tuple(_forecast_leg(md, spec, rung, rate, now) for rung in rungs)

    return Forecast(
        namespace=md.namespace,
        name=md.name,
        version=md.version,
        per_second=rate.per_second,
        source=rate.source,
        error_ratio=rate.error_ratio,
        deadline_seconds=spec.rollout.deadline_seconds,
        on_inconclusive=spec.rollout.analysis.on_inconclusive.value,
        legs=legs,
    )


def _forecast_leg(
    md: ModelDeployment, spec: ModelDeploymentSpec, rung: Rung, rate: RequestRate, now: datetime
) -> Leg:
    is_bake = rung.number > len(spec.rollout.steps)
    current = md.rollout.acked_weight if md.candidate is not None else 0
    state = "passed" if rung.weight < current else "now" if rung.weight == current else "ahead"
    evidence = 0 if is_bake and spec.rollout.steps else _evidence_seconds(spec, rung, rate)

    return Leg(
        name="bake" if is_bake else str(rung.number),
        weight=rung.weight,
        per_second=rate.per_second * rung.weight / 100,
        evidence_seconds=evidence,
        hold_seconds=spec.rollout.bake_seconds if is_bake else rung.hold_seconds,
        needs_approval=rung.needs_approval,
        state=state,
        spent_seconds=md.rollout.step_seconds_at(now) if state == "now" else 0.0,
    )


def _evidence_seconds(spec: ModelDeploymentSpec, rung: Rung, rate: RequestRate) -> int | None:
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
    traffic = ExpectedTraffic(rate.per_second, rate.error_ratio, rate.latency)
    interval = analysis.interval_seconds
    most = max(1, 10 * spec.rollout.deadline_seconds // interval)
    looks = looks_to_pass(plan, traffic, interval, most)
    return None if looks is None else looks * interval
