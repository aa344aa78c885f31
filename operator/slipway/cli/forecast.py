"""How long a rollout takes, step by step, as the operator's own judge would decide it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from slipway.api.modeldeployment import ModelDeploymentSpec, Schedule, Window
from slipway.api.reasons import Reason
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Manifest
from slipway.cli.objects import ModelDeployment
from slipway.cli.request_rate import RequestRate
from slipway.cli.shadow_forecast import ShadowForecast, forecast_shadow
from slipway.cli.window_forecast import WindowForecast, forecast_windows, wait_for_windows
from slipway.cli.wire import dump
from slipway.policy.analysis.forecast import ExpectedTraffic
from slipway.policy.analysis.schedule import choose_schedule, seconds_to_pass
from slipway.policy.ladder import Rung, find_deadline, find_first_rung, list_rungs
from slipway.policy.weights import ALL

BAKE = "bake"
FOLLOWED = 10
"""Times the deadline that the evidence of a step is followed."""


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
    """``passed``, ``now``, ``ahead``, or ``skipped``: the pairs allow a larger weight."""
    spent_seconds: float = 0.0
    """Of the step under way."""
    waits_seconds: float | None = 0.0
    """For a window to open, before it begins; None: none ever opens."""

    @property
    def seconds(self) -> float | None:
        """How much longer it takes; None: forever."""
        if self.state in {"passed", "skipped"}:
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
    are_steps_chosen: bool
    """From the request rate; else they are those of the spec."""
    legs: tuple[Leg, ...]
    """None where nobody judges: the first revision, or one that goes straight to 100%."""
    unjudged: str = ""
    """Who or what skips the evidence of the rollout under way."""
    shadow: ShadowForecast | None = None
    """None: there is nothing to compare with."""
    windows: WindowForecast | None = None
    """None: it may move at any time."""
    turn: str = ""
    """Why it waits for its turn; empty: it does not."""
    switch: str = ""
    """The strategy, where it has one switch and no steps."""

    @property
    def seconds(self) -> float | None:
        """From now, or from the first weight, to the promotion; None: forever."""
        parts = [leg.seconds for leg in self.legs]
        parts += [self.windows.waits_seconds] if self.windows is not None else []
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    @property
    def is_too_late(self) -> bool:
        """Whether the deadline comes before the bake; waiting for windows does not count."""
        before = [leg.seconds for leg in self.legs if leg.name != BAKE]
        if self.switch:  # its bake is where the evidence comes from
            before += [leg.evidence_seconds for leg in self.legs if leg.name == BAKE]
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
    md: ModelDeployment,
    spec: ModelDeploymentSpec,
    rate: RequestRate,
    now: datetime,
    *,
    places: int | None = None,
) -> Forecast:
    """Return how long each step takes, for a candidate that is as good as stable.

    What the spec leaves open is what the rollout under way has, or what the next one would get.
    `places` are those that both revisions share, where there is no room beside stable's.
    """
    traffic = ExpectedTraffic(rate.per_second, rate.error_ratio, rate.latency)
    schedule = _fixed_schedule(md) or choose_schedule(spec, traffic)
    most = FOLLOWED * find_deadline(spec.rollout, schedule)

    # Evidence comes from the steps: after them the bake needs none of its own.
    unjudged = md.rollout.unjudged if md.candidate is not None else ""
    is_judged = md.stable is not None and not unjudged
    rungs = list_rungs(spec.rollout, schedule, places) if is_judged else ()
    judged = [rung for rung in rungs if not rung.is_bake] or rungs[-1:]
    legs = [_make_leg(md, rung, rate.per_second, now) for rung in rungs]
    for rung in judged:
        seconds = seconds_to_pass(spec, schedule, rung, traffic, most)
        number = rungs.index(rung)
        legs[number] = replace(legs[number], evidence_seconds=seconds)

    shadow = None
    if rungs:
        alone = _seconds_of_steps(legs)
        shadow = forecast_shadow(md, spec, schedule, traffic, now, steps_seconds=alone)
        legs = _begin_with_pairs(legs, rungs, shadow)
    legs, windows = _await_windows(legs, spec.rollout.windows, now)
    return Forecast(
        namespace=md.namespace,
        name=md.name,
        version=md.version,
        per_second=rate.per_second,
        source=rate.source,
        error_ratio=rate.error_ratio,
        deadline_seconds=find_deadline(spec.rollout, schedule),
        on_inconclusive=spec.rollout.analysis.on_inconclusive.value,
        are_steps_chosen=spec.rollout.chooses_steps,
        switch=spec.rollout.strategy.value if spec.rollout.switches_once else "",
        legs=tuple(legs),
        unjudged=unjudged,
        shadow=shadow,
        windows=windows,
        turn=_find_turn(md),
    )


def _await_windows(
    legs: Sequence[Leg], windows: Sequence[Window], now: datetime
) -> tuple[list[Leg], WindowForecast | None]:
    """Return the legs with how long each waits for a window, and what the windows cost in all."""
    if not windows or not legs:
        return list(legs), None
    begun = [(leg.seconds, leg.state == "ahead" and leg.weight > 0) for leg in legs]
    waited = wait_for_windows(windows, begun, now)
    waiting = [
        replace(leg, waits_seconds=seconds)
        for leg, seconds in zip(legs, waited.before[:-1], strict=True)
    ]
    return waiting, forecast_windows(windows, waited, now)


def _find_turn(md: ModelDeployment) -> str:
    found = md.condition("Reconciling")
    waits = found is not None and found.reason == Reason.AWAITING_TURN
    return found.message if found is not None and waits else ""


def _fixed_schedule(md: ModelDeployment) -> Schedule | None:
    """Return the schedule of the rollout under way; None: there is none, or it is not chosen."""
    found = md.rollout.schedule
    if md.candidate is None or found is None:
        return None
    return Schedule(weights=list(found.weights), deadline_seconds=found.deadline_seconds)


def _seconds_of_steps(legs: Sequence[Leg]) -> float | None:
    """Return what the steps take from the first one on, without the bake; None: forever."""
    total = 0.0
    for leg in legs:
        if leg.name == BAKE:
            break
        if leg.evidence_seconds is None:
            return None
        total += max(leg.evidence_seconds, leg.hold_seconds)
    return total


def _begin_with_pairs(
    legs: Sequence[Leg], rungs: Sequence[Rung], shadow: ShadowForecast
) -> list[Leg]:
    """Return the legs with the comparison first, and without the steps that it makes needless."""
    first = find_first_rung(rungs, shadow.first_weight).weight
    kept = [
        replace(leg, state="skipped", evidence_seconds=0)
        if leg.state == "ahead" and rung.weight < first
        else leg
        for leg, rung in zip(legs, rungs, strict=True)
    ]
    if shadow.first_weight >= ALL:  # then nothing waits for a verdict on users' requests
        kept = [replace(leg, evidence_seconds=0) if leg.name == BAKE else leg for leg in kept]
    if not shadow.is_on:
        return kept
    comparing = Leg(
        name="shadow",
        weight=0,
        per_second=shadow.per_second,
        evidence_seconds=round(shadow.seconds),
    )
    return [comparing, *kept]


def _make_leg(md: ModelDeployment, rung: Rung, requests_per_second: float, now: datetime) -> Leg:
    """Return the leg of a weight, without the time that its evidence takes."""
    current = md.rollout.acked_weight if md.candidate is not None else 0
    state = "passed" if rung.weight < current else "now" if rung.weight == current else "ahead"
    return Leg(
        name=BAKE if rung.is_bake else str(rung.number),
        weight=rung.weight,
        per_second=requests_per_second * rung.weight / 100,
        evidence_seconds=0,
        hold_seconds=rung.hold_seconds,
        needs_approval=rung.needs_approval,
        state=state,
        spent_seconds=md.rollout.step_seconds_at(now) if state == "now" else 0.0,
    )
