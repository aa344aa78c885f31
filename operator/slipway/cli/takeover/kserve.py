"""An InferenceService of KServe that runs Triton."""

from collections.abc import Mapping
from typing import Any

from slipway.cli.takeover.pod import take_source, take_template
from slipway.cli.takeover.takeover import UNKNOWN_SOURCE, Takeover, begin_takeover

SCALED_BY_RESOURCE = {"cpu": "CPU", "memory": "Memory"}
READ = {
    "canaryTrafficPercent",
    "containers",
    "maxReplicas",
    "minReplicas",
    "model",
    "scaleMetric",
    "scaleTarget",
    "triton",
}


def import_inference_service(old: Mapping[str, Any]) -> Takeover:
    """Return the draft for an InferenceService; its pods are made by KServe and named by it."""
    draft = begin_takeover(old)
    draft.put("model.name", old["metadata"]["name"])
    predictor = old["spec"]["predictor"]
    model = predictor.get("model") or predictor.get("triton") or {}

    pod = {key: value for key, value in predictor.items() if key not in READ}
    container = {"name": "kserve-container", "image": "tritonserver", **_container(model)}
    template = {"spec": {**pod, "containers": [container]}}
    # Where the model lies is said by the InferenceService itself.
    take_template(draft, template, "spec.predictor", finds_source=False)
    if "image" not in model:
        draft.spec["server"].pop("image")

    if "storageUri" in model:
        take_source(draft, model["storageUri"])
    else:
        draft.put("model.source.uri", UNKNOWN_SOURCE)
        draft.leave("spec.predictor.model", "no storageUri: set model.source.uri")

    _take_scaling(draft, predictor)
    _leave_the_rest(draft, old["spec"], model)
    return draft


def _container(model: Mapping[str, Any]) -> dict[str, Any]:
    names = ("image", "args", "command", "env", "resources", "volumeMounts")
    return {name: model[name] for name in names if name in model}


def _take_scaling(draft: Takeover, predictor: Mapping[str, Any]) -> None:
    """Take over the bounds; KServe's default metric is the requests in flight, as ours."""
    smallest = predictor.get("minReplicas", 1)
    if smallest == 0:
        draft.leave("spec.predictor.minReplicas", "0: a ModelDeployment keeps one replica")
    draft.put("scaling.minReplicas", max(1, smallest))
    draft.put("scaling.maxReplicas", predictor.get("maxReplicas") or None)

    target, metric = predictor.get("scaleTarget"), predictor.get("scaleMetric", "concurrency")
    if target is None:
        return
    if metric == "concurrency":
        draft.put("scaling.target.concurrency", target)
    elif metric in SCALED_BY_RESOURCE:
        draft.put("scaling.engine", "HPA")
        draft.put("scaling.target.resource", SCALED_BY_RESOURCE[metric])
        draft.put("scaling.target.utilizationPercent", target)
    else:
        draft.leave(
            "spec.predictor.scaleMetric", f"{metric}: concurrency, cpu and memory are taken"
        )


def _leave_the_rest(draft: Takeover, spec: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    for part in ("transformer", "explainer"):
        if part in spec:
            reason = "a pod of its own; put it into an ensemble of the model, or keep it in front"
            draft.leave(f"spec.{part}", reason)
    runtime = model.get("runtime", "")
    if runtime and "triton" not in runtime:
        draft.leave("spec.predictor.model.runtime", f"{runtime}: Slipway serves by Triton")
    if model.get("storage"):
        draft.leave("spec.predictor.model.storage", "name the Secret in credentialsSecretRef")
    if "canaryTrafficPercent" in spec["predictor"]:
        reason = "a rollout raises the weight by itself; spec.rollout.steps gives the weights"
        draft.leave("spec.predictor.canaryTrafficPercent", reason)
