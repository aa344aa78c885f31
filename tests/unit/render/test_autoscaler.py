"""The HorizontalPodAutoscaler of a revision."""

import pytest
from slipway.api.modeldeployment import Scaling
from slipway.render.autoscaler import AutoscalerSpec, render_autoscaler
from slipway.render.owner import Owner

OWNER = Owner("digits", "vision", "uid-digits")


def rendered(least: int = 1, **scaling: object) -> dict[str, object]:
    wire = {"maxReplicas": 8, "engine": "HPA", **scaling}
    spec = AutoscalerSpec(OWNER, "0a1b2c3d", Scaling.model_validate(wire), least)
    found: dict[str, object] = render_autoscaler(spec)["spec"]
    return found


def test_it_scales_the_revisions_deployment_on_cpu_by_default() -> None:
    spec = rendered()
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "digits-0a1b2c3d",
    }

    target = {"type": "Utilization", "averageUtilization": 70}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def test_memory_is_the_other_resource() -> None:
    spec = rendered(target={"resource": "Memory", "utilizationPercent": 80})
    target = {"type": "Utilization", "averageUtilization": 80}
    metric = {"type": "Resource", "resource": {"name": "memory", "target": target}}
    assert spec["metrics"] == [metric]


@pytest.mark.parametrize(("least", "most"), [(1, 8), (5, 8), (9, 9)])
def test_the_rollouts_floor_is_the_least(least: int, most: int) -> None:
    spec = rendered(least)
    assert (spec["minReplicas"], spec["maxReplicas"]) == (least, most)


def test_it_goes_down_after_the_same_window_as_the_builtin_engine() -> None:
    spec = rendered(downSeconds=120)
    assert spec["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 120}}
