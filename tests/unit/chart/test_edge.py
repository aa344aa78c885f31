"""The edge profile: values for one small node, and what the operator makes of them."""

import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml
from slipway.api.kinds import DEPLOYMENT, POD_DISRUPTION_BUDGET
from slipway.policy.canonical_input import read_quantity
from slipway.render.router import RouterSpec, render_router
from slipway.settings import Tunables

from tests.install.helm import CHART, ROOT
from tests.unit.chart.test_values import SCHEMA

EDGE: dict[str, Any] = yaml.safe_load((CHART / "values-edge.yaml").read_text())
SETTINGS = Tunables.model_validate({key: EDGE[key] for key in ("lease", "workers", "router")})
MIB = 2**20
PAGE = (ROOT / "docs/tasks/edge.md").read_text()


def memory(resources: dict[str, dict[str, str]], kind: str) -> float:
    found = read_quantity(resources[kind]["memory"])
    assert found is not None
    return float(found / MIB)


def router() -> list[dict[str, Any]]:
    spec = RouterSpec(
        agent_image="agent",
        envoy_image="envoy",
        replicas=SETTINGS.router.replicas,
        concurrency=SETTINGS.router.concurrency,
        pods=SETTINGS.router,
    )
    return list(render_router("vision", "uid", spec))


def test_the_chart_takes_it() -> None:
    jsonschema.validate(EDGE, SCHEMA)


def test_there_is_one_of_each_and_nothing_is_written_at_rest() -> None:
    assert (EDGE["replicas"], EDGE["router"]["replicas"]) == (1, 1)
    assert SETTINGS.lease.single_replica


def test_no_pod_is_deleted_for_a_node_that_the_api_server_does_not_hear_from() -> None:
    [deployment] = [one for one in router() if one["kind"] == DEPLOYMENT.kind]
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    of_models = yaml.safe_load(shown)["spec"]["server"]["pod"]["tolerations"]
    for tolerations in (
        EDGE["tolerations"],
        deployment["spec"]["template"]["spec"]["tolerations"],
        of_models,
    ):
        forever = {each["key"] for each in tolerations if each["effect"] == "NoExecute"}

        assert forever == {"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"}
        assert not any("tolerationSeconds" in each for each in tolerations)


def test_a_router_of_one_pod_holds_up_no_drain() -> None:
    kinds = {manifest["kind"] for manifest in router()}

    assert DEPLOYMENT.kind in kinds
    assert POD_DISRUPTION_BUDGET.kind not in kinds


def test_what_it_may_take_stands_on_the_page() -> None:
    [deployment] = [one for one in router() if one["kind"] == DEPLOYMENT.kind]
    pod = deployment["spec"]["template"]["spec"]
    parts = [container["resources"] for container in (*pod["initContainers"], *pod["containers"])]
    requests = sum(memory(part, "requests") for part in (EDGE["resources"], *parts))
    limits = sum(memory(part, "limits") for part in (EDGE["resources"], *parts))

    assert len(parts) == 2
    assert f"request {requests:.0f} MiB, and use {limits:.0f} MiB at most" in PAGE
