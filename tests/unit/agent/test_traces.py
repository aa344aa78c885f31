import pytest
from slipway.agent.main import traces_from_environment
from slipway.api import names
from slipway.render import router
from slipway.render.router import RouterSpec
from slipway.render.traces import ENDPOINT_VARIABLE, RouterTraces
from slipway.settings import TracingSettings

POD = {"POD_NAME": "slipway-router-0", "POD_NAMESPACE": "vision"}


def told(tracing: TracingSettings) -> dict[str, str]:
    """Return the variables that the agent of a rendered router has."""
    *_, deployment = router.render_router("vision", "uid", RouterSpec("a", "e", tracing=tracing))
    (agent,) = deployment["spec"]["template"]["spec"]["initContainers"]
    return POD | {each["name"]: each["value"] for each in agent["env"] if "value" in each}


@pytest.mark.parametrize("percent", [0, 0.0001, 1, 100])
def test_the_agent_reads_what_its_pod_is_told(
    monkeypatch: pytest.MonkeyPatch, percent: float
) -> None:
    endpoint = "http://collector.observability:4318"
    for name, value in told(TracingSettings(endpoint=endpoint, sampling_percent=percent)).items():
        monkeypatch.setenv(name, value)
    assert traces_from_environment() == RouterTraces(
        endpoint=endpoint, sampling_percent=percent, namespace="vision", pod="slipway-router-0"
    )


def test_without_an_address_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(TracingSettings(sampling_percent=100))
    assert found.keys() == {*POD, names.LIVE_PORT_VARIABLE}
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    assert traces_from_environment() is None
