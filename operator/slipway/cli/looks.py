"""Remembers the analysis' last looks while this program watches; status keeps only the newest."""

from datetime import datetime

from slipway.cli.objects import ModelDeployment

MOST = 40


class Looks:
    """The candidate's numbers of each metric, for one rollout."""

    def __init__(self) -> None:
        self._rollout: datetime | None = None
        self._seen: dict[str, list[tuple[datetime, float]]] = {}

    def note(self, md: ModelDeployment) -> dict[str, tuple[float, ...]]:
        """Take in what the status says; return the numbers by metric, the newest last."""
        if md.rollout.started_at != self._rollout:
            self._rollout, self._seen = md.rollout.started_at, {}
        for metric in md.rollout.metrics:
            if metric.candidate is None or metric.last_check is None:
                continue
            known = self._seen.setdefault(metric.name, [])
            if not known or known[-1][0] != metric.last_check:
                known.append((metric.last_check, metric.candidate))
                del known[:-MOST]
        return {name: tuple(value for _, value in known) for name, known in self._seen.items()}
