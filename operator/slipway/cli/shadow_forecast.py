"""Whether answers are compared before the steps, why, and how long that takes. Pure."""

from dataclasses import dataclass
from datetime import datetime

from slipway.api.modeldeployment import ModelDeploymentSpec, Schedule, ShadowState, Strategy
from slipway.cli.objects import ModelDeployment, ShadowComparison
from slipway.policy.analysis.forecast import ExpectedTraffic
from slipway.policy.analysis.pairs.forecast import ExpectedPairs, forecast_pairs
from slipway.policy.analysis.pairs.need import find_ban, find_need, leaves_it_open


@dataclass(frozen=True, slots=True)
class ShadowForecast:
    """Whether copies of requests are answered before the steps, and what that is to bring."""

    is_on: bool
    why: str
    per_second: float = 0.0
    """Pairs of answers."""
    seconds: float = 0.0
    """How much longer answers are compared."""
    first_weight: int = 0
    """Weight up to which the pairs rule harm out, or are to, in percent; 0: at none."""
    awaits_person: bool = False
    """Whether nothing follows by itself: strategy Shadow."""
    depends_on_check: bool = False
    """Whether it is off after all where a model keeps state or streams its answers."""


def forecast_shadow(
    md: ModelDeployment,
    spec: ModelDeploymentSpec,
    schedule: Schedule | None,
    traffic: ExpectedTraffic,
    now: datetime,
    *,
    steps_seconds: float | None,
) -> ShadowForecast:
    """Return what the rollout under way has decided, or what the next one would.

    `steps_seconds` are those of the steps alone; None: they do not end at this traffic.
    """
    known = md.rollout.shadow if md.candidate is not None else None
    if known is not None and known.state != ShadowState.COMPARING:
        return ShadowForecast(
            is_on=False,
            why=known.message if known.state == ShadowState.OFF else f"over: {known.message}",
            first_weight=known.first_weight,
        )

    is_on, why = _choose(spec, traffic, steps_seconds)
    if known is not None:
        is_on, why = True, "answers are being compared"
    if not is_on:
        return ShadowForecast(is_on=False, why=why)
    expected = forecast_pairs(spec, schedule, traffic)
    return ShadowForecast(
        is_on=True,
        why=why,
        per_second=expected.per_second,
        seconds=_seconds_left(md, known, expected, now),
        first_weight=expected.first_weight,
        awaits_person=spec.rollout.strategy is Strategy.SHADOW,
        depends_on_check=known is None and leaves_it_open(spec.rollout),
    )


def _choose(
    spec: ModelDeploymentSpec, traffic: ExpectedTraffic, steps_seconds: float | None
) -> tuple[bool, str]:
    """Return whether the spec and the traffic ask for it, and why, in words."""
    rollout = spec.rollout
    ban = find_ban(rollout)
    if ban is not None:
        return False, ban
    if leaves_it_open(rollout):
        return find_need(spec, traffic.per_second, steps_seconds)
    is_for_looking = rollout.strategy is Strategy.SHADOW
    return True, "rollout.strategy is Shadow" if is_for_looking else "rollout.shadow.mode is On"


def _seconds_left(
    md: ModelDeployment, known: ShadowComparison | None, expected: ExpectedPairs, now: datetime
) -> float:
    if known is None or known.since is None:
        return expected.seconds
    spent = md.rollout.active_seconds_at(now) - known.since_active_seconds
    return max(0.0, expected.seconds - spent)
