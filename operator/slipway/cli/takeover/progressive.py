"""Rollouts of Argo and Canaries of Flagger: the workload, and the steps of its canary."""

from collections.abc import Iterable, Mapping
from typing import Any

from slipway.cli.takeover.deployment import import_deployment, take_surroundings
from slipway.cli.takeover.pod import take_template
from slipway.cli.takeover.takeover import UNKNOWN_SOURCE, Takeover, begin_takeover
from slipway.cli.time_format import parse_duration

MOST_STEPS = 20
JUDGED = "errors and latency are judged beside stable; more: rollout.analysis.metrics"


def import_rollout(old: Mapping[str, Any], around: Iterable[Mapping[str, Any]]) -> Takeover:
    """Return the draft for a Rollout of Argo with a pod template of its own or a workloadRef."""
    spec, others = old["spec"], list(around)
    if "template" in spec:
        draft = begin_takeover(old)
        take_template(draft, spec["template"], "spec.template")
        take_surroundings(draft, old, others)
    else:
        draft = _import_target(old, spec["workloadRef"], others)

    strategy = spec.get("strategy", {})
    if "canary" in strategy:
        _take_argo_steps(draft, strategy["canary"])
    if "blueGreen" in strategy:
        _take_argo_switch(draft, strategy["blueGreen"])
    return draft


def import_canary(old: Mapping[str, Any], around: Iterable[Mapping[str, Any]]) -> Takeover:
    """Return the draft for a Canary of Flagger, by the Deployment that it is about."""
    spec = old["spec"]
    draft = _import_target(old, spec["targetRef"], list(around))
    analysis = spec.get("analysis", {})
    weights = analysis.get("stepWeights") or _climb(analysis)
    hold = seconds_of(analysis.get("interval", "1m"))
    _put_steps(draft, [{"weight": weight, "holdSeconds": hold} for weight in weights])

    for name in ("metrics", "webhooks", "match", "iterations"):
        if name in analysis:
            reason = JUDGED if name == "metrics" else "see docs/metrics-and-hooks.md"
            draft.leave(f"spec.analysis.{name}", reason)
    if "service" in spec:
        draft.leave("spec.service", "Slipway's Service has the ports 8000 and 8001")
    return draft


def seconds_of(duration: object) -> int:
    """Return the seconds of ``90``, ``90s``, ``5m`` or ``1h30m``; 0 for anything else."""
    return int(parse_duration(str(duration)) or 0)


def _import_target(
    old: Mapping[str, Any], target: Mapping[str, Any], around: list[Mapping[str, Any]]
) -> Takeover:
    """Return the draft for the Deployment that an object refers to."""
    for other in around:
        if (other["kind"], other["metadata"]["name"]) == (target["kind"], target["name"]):
            draft = import_deployment(other, around)
            draft.origin = f"{old['kind']}/{old['metadata']['name']}"
            return draft
    draft = begin_takeover(old)
    draft.put("model.source.uri", UNKNOWN_SOURCE)
    draft.leave("spec", f"{target['kind']}/{target['name']} was not found, so nothing of its pods")
    return draft


def _climb(analysis: Mapping[str, Any]) -> list[int]:
    step, most = analysis.get("stepWeight", 0), analysis.get("maxWeight", 0)
    return list(range(step, most + 1, step)) if step > 0 else []


def _take_argo_steps(draft: Takeover, canary: Mapping[str, Any]) -> None:
    """Take over weights and pauses; one without an end is an approval of what follows it."""
    steps: list[dict[str, Any]] = []
    waits = False
    for number, step in enumerate(canary.get("steps", ())):
        pause = step.get("pause")
        if "setWeight" in step:
            approval = {"approval": "Required"} if waits else {}
            steps.append({"weight": step["setWeight"], **approval})
            waits = False
        elif pause is None:
            reason = "weights and pauses are taken; " + JUDGED
            draft.leave(f"spec.strategy.canary.steps[{number}] ({', '.join(step)})", reason)
        elif pause and "duration" in pause and steps:
            held = steps[-1].get("holdSeconds", 0)
            steps[-1]["holdSeconds"] = held + seconds_of(pause["duration"])
        else:
            waits = True
    if waits:
        draft.leave("spec.strategy.canary.steps", "a pause after the last weight: approve a weight")
    _put_steps(draft, steps)

    for name in ("analysis", "trafficRouting", "canaryService", "stableService"):
        if name in canary:
            reason = JUDGED if name == "analysis" else "Slipway's router splits the traffic"
            draft.leave(f"spec.strategy.canary.{name}", reason)


def _take_argo_switch(draft: Takeover, switch: Mapping[str, Any]) -> None:
    """Take the one switch; the time for which the old pods stay is that of the bake."""
    draft.put("rollout.strategy", "BlueGreen")
    if switch.get("autoPromotionEnabled") is False:
        draft.put("rollout.approval", "Required")
    if "scaleDownDelaySeconds" in switch:
        draft.put("rollout.bakeSeconds", switch["scaleDownDelaySeconds"])

    taken = {"autoPromotionEnabled", "scaleDownDelaySeconds"}
    for name in switch:
        if name not in taken:
            reason = JUDGED if "Analysis" in name else "the Services are NAME and NAME-preview"
            draft.leave(f"spec.strategy.blueGreen.{name}", reason)


def _put_steps(draft: Takeover, steps: list[dict[str, Any]]) -> None:
    """Keep what a ModelDeployment takes: weights from 1 to 99, strictly increasing."""
    kept: list[dict[str, Any]] = []
    for step in steps:
        last = kept[-1]["weight"] if kept else 0
        if last < step["weight"] < 100:  # noqa: PLR2004 -- percent
            kept.append(step)
        elif kept and step["weight"] == last:
            kept[-1] = {**kept[-1], **step}
    if len(kept) > MOST_STEPS:
        draft.leave("steps", f"{len(kept)} steps: the first {MOST_STEPS} are taken")
    draft.put("rollout.steps", kept[:MOST_STEPS])
