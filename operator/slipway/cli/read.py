"""The edge: kubectl's JSON → `slipway.cli.objects`. Tolerant: what is missing keeps its default.

An older or newer operator must not break this program, and neither must a hostile string: whatever
a terminal would obey is taken out here.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from slipway.api.names import ANNOTATION_ACTION
from slipway.cli import objects
from slipway.cli.times import moment

Manifest = dict[str, Any]

DEFAULT_STEPS = (objects.Step(5), objects.Step(25), objects.Step(50))
ACTION_ID = re.compile(r"#(\d{1,16})$")


class Fields:
    """A JSON object of which any field may be missing or of another type."""

    def __init__(self, raw: object) -> None:
        self._raw: Manifest = raw if isinstance(raw, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._raw)

    def has(self, key: str) -> bool:
        """Return whether the field is there."""
        return key in self._raw

    def sub(self, *keys: str) -> "Fields":
        """Return the object below; empty where there is none."""
        found: Any = self._raw
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return Fields(found)

    def each(self, key: str) -> Iterator["Fields"]:
        """Return the objects of a list."""
        found = self._raw.get(key)
        return (Fields(item) for item in (found if isinstance(found, list) else ()))

    def text(self, key: str, default: str = "") -> str:
        """Return printable text."""
        found = self._raw.get(key)
        return printable(str(found)) if isinstance(found, str | int | float) else default

    def whole(self, key: str, default: int = 0) -> int:
        """Return a whole number."""
        found = self._raw.get(key)
        return int(found) if isinstance(found, int | float) else default

    def number(self, key: str) -> float | None:
        """Return a number, or None."""
        found = self._raw.get(key)
        return float(found) if isinstance(found, int | float) else None

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return the numbers of a list."""
        found = self._raw.get(key)
        items = found if isinstance(found, list) else ()
        return tuple(float(item) for item in items if isinstance(item, int | float))

    def flag(self, key: str) -> bool:
        """Return whether the field is true."""
        return self._raw.get(key) is True

    def moment(self, key: str) -> datetime | None:
        """Return a moment, or None."""
        return moment(self.text(key))

    def texts(self) -> dict[str, str]:
        """Return all fields that are text."""
        return {key: printable(value) for key, value in self._raw.items() if isinstance(value, str)}


def printable(text: str) -> str:
    """Return the text on one line, without what a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def read(manifest: Manifest) -> objects.ModelDeployment:
    """Return the ModelDeployment that kubectl printed."""
    whole = Fields(manifest)
    meta, spec, status = whole.sub("metadata"), whole.sub("spec"), whole.sub("status")
    last = _last_action(status.sub("lastAction"))
    refused = _last_action(status.sub("refusedAction"))
    return objects.ModelDeployment(
        namespace=meta.text("namespace"),
        name=meta.text("name"),
        version=spec.sub("model").text("version"),
        generation=meta.whole("generation"),
        observed_generation=status.whole("observedGeneration"),
        created_at=meta.moment("creationTimestamp"),
        policy=_policy(spec),
        replicas=_replicas(spec.sub("scaling")),
        stable=_revision(status.sub("stable")),
        candidate=_revision(status.sub("candidate")),
        rollout=_rollout(status.sub("rollout")),
        conditions=tuple(_condition(entry) for entry in status.each("conditions")),
        history=tuple(_history(entry) for entry in status.each("history")),
        last_rollback=_last_rollback(status.sub("lastRollback")),
        last_action=last,
        refused_action=refused,
        pending_action=_pending(meta.sub("annotations"), last, refused),
        hold=status.sub("hold").text("reason"),
        endpoints=status.sub("endpoints").texts(),
    )


def _policy(spec: Fields) -> objects.Policy:
    rollout = spec.sub("rollout")
    analysis = rollout.sub("analysis")
    usual = objects.Policy()
    steps = tuple(
        objects.Step(
            entry.whole("weight"), entry.whole("holdSeconds"), entry.text("approval") == "Required"
        )
        for entry in rollout.each("steps")
    )
    return objects.Policy(
        steps=steps if rollout.has("steps") else DEFAULT_STEPS,
        bake_seconds=rollout.whole("bakeSeconds", usual.bake_seconds),
        bake_control_percent=rollout.whole("bakeControlPercent", usual.bake_control_percent),
        deadline_seconds=rollout.whole("deadlineSeconds", usual.deadline_seconds),
        mode=analysis.text("mode", usual.mode),
        interval_seconds=analysis.whole("intervalSeconds", usual.interval_seconds),
        min_samples=analysis.whole("minSamples", usual.min_samples),
        on_inconclusive=analysis.text("onInconclusive", usual.on_inconclusive),
        automatic_rollback=spec.sub("rollback").text("automatic") != "Disabled",
        paused=spec.flag("paused"),
    )


def _replicas(entry: Fields) -> objects.Replicas:
    usual = objects.Replicas()
    return objects.Replicas(
        engine=entry.text("engine", usual.engine),
        min_replicas=entry.whole("minReplicas", usual.min_replicas),
        max_replicas=entry.whole("maxReplicas") or None,
        replicas=entry.whole("replicas") or None,
    )


def _revision(entry: Fields) -> objects.Revision | None:
    if not entry:
        return None
    return objects.Revision(
        revision=entry.text("revision"),
        version=entry.text("version"),
        weight=entry.whole("weight"),
        ready_replicas=entry.whole("readyReplicas"),
        since=entry.moment("since"),
        image=entry.text("image"),
        digest=entry.text("digest"),
        scaling=_scaling(entry.sub("scaling")),
    )


def _scaling(entry: Fields) -> objects.Scaling | None:
    if not entry:
        return None
    return objects.Scaling(
        desired=entry.whole("desired"),
        current=entry.whole("current"),
        signal=entry.text("signal"),
        value=entry.number("value"),
        target=entry.number("target"),
        bound_by=entry.text("boundBy"),
        message=entry.text("message"),
    )


def _hook(entry: Fields) -> objects.Hook:
    return objects.Hook(
        name=entry.text("name"),
        step=entry.whole("step"),
        verdict=entry.text("verdict"),
        reason=entry.text("reason"),
        retry_at=entry.moment("retryAt"),
    )


def _rollout(entry: Fields) -> objects.Rollout:
    return objects.Rollout(
        stage=entry.text("stage", "Idle"),
        underlying=entry.text("underlying"),
        step=entry.whole("step"),
        steps=entry.whole("steps"),
        attempt=entry.whole("attempt", 1),
        acked_weight=entry.whole("ackedWeight"),
        started_at=entry.moment("startedAt"),
        step_started_at=entry.moment("stepStartedAt"),
        step_active_seconds=entry.whole("stepActiveSeconds"),
        active_seconds=entry.whole("activeSeconds"),
        clock_at=entry.moment("clockAt"),
        retry_at=entry.moment("retryAt"),
        paused=entry.flag("paused"),
        unjudged=entry.text("unjudged"),
        skipped=entry.text("skipped"),
        cause=entry.text("cause"),
        message=entry.text("message"),
        metrics=tuple(_metric(metric) for metric in entry.each("analysis")),
        hooks=tuple(_hook(hook) for hook in entry.each("hooks")),
    )


def _metric(entry: Fields) -> objects.Metric:
    return objects.Metric(
        name=entry.text("name"),
        verdict=entry.text("verdict"),
        reason=entry.text("reason"),
        message=entry.text("message"),
        candidate=entry.number("candidate"),
        stable=entry.number("baseline"),
        limit=entry.number("limit"),
        samples=entry.whole("samples"),
        stable_samples=entry.whole("baselineSamples"),
        role=entry.text("role", "Required"),
        since=entry.moment("since"),
        last_check=entry.moment("lastCheck"),
        looks=entry.numbers("looks"),
    )


def _condition(entry: Fields) -> objects.Condition:
    return objects.Condition(
        type=entry.text("type"),
        status=entry.text("status"),
        reason=entry.text("reason"),
        message=entry.text("message"),
        since=entry.moment("lastTransitionTime"),
    )


def _history(entry: Fields) -> objects.HistoryEntry:
    return objects.HistoryEntry(
        version=entry.text("version"),
        outcome=entry.text("outcome"),
        revision=entry.text("revision"),
        reason=entry.text("reason"),
        unjudged=entry.text("unjudged"),
        at=entry.moment("at"),
    )


def _last_rollback(entry: Fields) -> objects.LastRollback | None:
    if not entry:
        return None
    return objects.LastRollback(
        from_=entry.text("from"),
        to=entry.text("to"),
        trigger=entry.text("trigger"),
        metric=entry.text("metric"),
        decided_at=entry.moment("decidedAt"),
        traffic_restored_at=entry.moment("trafficRestoredAt"),
    )


def _last_action(entry: Fields) -> objects.LastAction | None:
    if not entry:
        return None
    return objects.LastAction(
        id=entry.whole("id"),
        verb=entry.text("verb"),
        by=entry.text("by", "unverified"),
        result=entry.text("result"),
        at=entry.moment("at"),
    )


def _pending(
    annotations: Fields, last: objects.LastAction | None, refused: objects.LastAction | None
) -> objects.Pending | None:
    text = annotations.text(ANNOTATION_ACTION)
    found = ACTION_ID.search(text)
    if found is None or (last is not None and int(found[1]) <= last.id):
        return None
    if refused is not None and int(found[1]) == refused.id:
        return None
    return objects.Pending(id=int(found[1]), text=text)
