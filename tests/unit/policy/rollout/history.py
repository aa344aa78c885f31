"""The recorded history of rollouts with one switch, and the promises that each moment keeps."""

from dataclasses import dataclass, field

from slipway.api.modeldeployment import Stage
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts

from tests.unit.policy.world import DecisionWorld


@dataclass(frozen=True)
class Moment:
    """What was there before a pass, by version; `stable` and `stage` are after it."""

    weights: dict[str, int]
    """As any proxy runs them: the highest."""
    ready: dict[str, int]
    wanted: dict[str, int]
    stable: str | None
    stage: Stage


@dataclass
class RecordedWorld(DecisionWorld):
    """A world that remembers every moment, and fails at the first that breaks a promise.

    I1 to I4, I8, I11 and I12 are asked of every decision by the world itself; here are those that
    need more than one decision: whoever has requests has pods that are ready (I2), and the way back
    has its pods until the promotion (I10).
    """

    keeps_way_back: bool = True
    """Strategy BlueGreen; Recreate has no pods to go back to."""
    replicas: int = 1
    moments: list[Moment] = field(default_factory=list)

    def reconcile(self, *, kill_after: int | None = None, facts: Facts | None = None) -> Decision:
        decision = super().reconcile(kill_after=kill_after, facts=facts)
        stable, rollout = self.md.status.stable, self.md.status.rollout
        running: dict[str, int] = {}
        for _, weights, _ in self.acked.values():
            for name, weight in self._named(weights).items():
                running[name] = max(weight, running.get(name, 0))
        self.moments.append(
            Moment(
                running,
                {self.versions[name]: it.ready for name, it in self.workloads.items()},
                {self.versions[name]: it.wanted for name, it in self.workloads.items()},
                stable.version if stable is not None else None,
                rollout.stage if rollout is not None else Stage.IDLE,
            )
        )
        self.check(self.moments[-1])
        return decision

    def check(self, moment: Moment) -> None:
        for version, weight in moment.weights.items():
            ready = moment.ready.get(version, 0)
            assert not weight or ready, f"I2: {version} has {weight}% and no pod that is ready"
            is_whole = weight < 100 or moment.stage is not Stage.BAKING
            assert is_whole or ready >= self.replicas, f"I2: {version} has {ready} ready"
        if self.keeps_way_back and moment.stage is Stage.BAKING and moment.stable is not None:
            ready = moment.ready[moment.stable]
            assert ready >= self.replicas, f"I10: {moment.stable} has {ready} to go back to"
