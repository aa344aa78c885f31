"""What serves before Slipway comes: objects as their own projects' pages show them."""

from typing import Any

Manifest = dict[str, Any]


def triton(**more: Any) -> Manifest:
    return {
        "name": "triton",
        "image": "nvcr.io/nvidia/tritonserver:26.07-py3",
        "args": ["tritonserver", "--model-repository=s3://models/digits", "--http-port=8000"],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "ports": [{"containerPort": 8000}],
        **more,
    }


def pod(*containers: Manifest, **more: Any) -> Manifest:
    return {
        "metadata": {"labels": {"app": "digits"}, "annotations": {"team": "vision"}},
        "spec": {"containers": list(containers or (triton(),)), **more},
    }


def deployment(template: Manifest | None = None, **spec: Any) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "digits",
            "namespace": "vision",
            "labels": {"app.kubernetes.io/version": "3"},
        },
        "spec": {"replicas": 2, "template": template or pod(), **spec},
    }


def service(name: str = "digits", port: int = 8000) -> Manifest:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "vision"},
        "spec": {"selector": {"app": "digits"}, "ports": [{"port": port}]},
    }


def autoscaler(**metric: Any) -> Manifest:
    resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "digits"},
            "minReplicas": 2,
            "maxReplicas": 6,
            "metrics": [metric or {"type": "Resource", "resource": resource}],
        },
    }


def inference_service(**predictor: Any) -> Manifest:
    model = {
        "modelFormat": {"name": "onnx"},
        "runtime": "kserve-tritonserver",
        "storageUri": "gs://models/digits",
        "resources": {"requests": {"cpu": "1"}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {"predictor": {"model": model, "minReplicas": 1, "maxReplicas": 3, **predictor}},
    }


def rollout(*steps: Manifest, **more: Any) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {"replicas": 2, "strategy": {"canary": {"steps": list(steps)}}, **more},
    }


def canary(**analysis: Any) -> Manifest:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits"},
            "service": {"port": 8000},
            "analysis": {"interval": "30s", "threshold": 5, **analysis},
        },
    }
