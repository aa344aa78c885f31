"""The last values of each metric while this program watches; the status keeps only the newest."""

from datetime import datetime

from slipway.cli.objects import ModelDeployment

MAX_VALUES = 40


class SparklineHistory:
    """The candidate's values of each metric, for one rollout."""

    def __init__(self) -> None:
        self._rollout: datetime | None = None
        self._seen: dict[str, list[tuple[datetime, float]]] = {}

    def record(self, md: ModelDeployment) -> dict[str, tuple[float, ...]]:
        """Take in what the status says; return the values by metric, the newest last."""
        if md.rollout.started_at != self._rollout:
            self._rollout, self._seen = md.rollout.started_at, {}

        for metric in md.rollout.metrics:
            if metric.candidate is None or metric.last_check is None:
                continue
            known = self._seen.setdefault(metric.name, [])
            if not known or known[-1][0] != metric.last_check:
                known.append((metric.last_check, metric.candidate))
                del known[:-MAX_VALUES]
        return {name: tuple(value for _, value in known) for name, known in self._seen.items()}
