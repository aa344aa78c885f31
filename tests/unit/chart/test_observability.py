"""Dashboard and alerts: every query asks for metrics and labels that exist."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins, runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.install.helm import CHART, ROOT

PAGE = (ROOT / "docs/metrics.md").read_text()
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count")}
FROM_THE_TARGET = {"pod", "namespace"}
"""Labels that Prometheus adds."""
FROM_THE_SERVERS = {"modeldeployment", "revision", "modeldeployment_version"}
"""Labels that Triton's PodMonitor adds."""
NAMES = r"(?:slipway|process|nv|container)_\w+"
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}


def exposed() -> dict[str, set[str]]:
    """Return the labels of every series, as the page has them, which a test holds to the truth."""
    row = re.compile(rf"^\| `({NAMES})` \| (\w+) \| ([\w, ]*)\| ", re.MULTILINE)
    found: dict[str, set[str]] = {name: set() for name in PROCESS}
    found["up"] = FROM_THE_TARGET | FROM_THE_SERVERS
    for name, type_, labels in row.findall(PAGE):
        suffixes = SUFFIXES[type_] if name.startswith("slipway_") else ("",)
        for suffix in suffixes:
            found[name + suffix] = set(re.findall(r"\w+", labels)) | FROM_THE_TARGET | {"le"}
    return found


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "files/dashboard.json").read_text())
    return loaded


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def queries_of_the_dashboard() -> list[str]:
    return sorted({text for text in strings(dashboard()) if re.search(NAMES, text)})


def queries_of_the_alerts() -> list[str]:
    text = (CHART / "templates/rules.yaml").read_text()
    found = re.findall(r"expr: (.+)", text)
    assert len(found) == text.count("- alert:")
    return found


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    for name, inside in re.findall(rf"\b({NAMES}|up(?={{))(\{{[^}}]*\}})?", query):
        yield name, set(re.findall(r"(\w+)(?:=~|!~|!=|=)", inside))


@pytest.mark.parametrize("query", [*queries_of_the_dashboard(), *queries_of_the_alerts()])
def test_a_query_asks_for_what_exists(query: str) -> None:
    known = exposed()
    found = list(selectors(query))
    assert found
    for name, labels in found:
        assert name in known, f"{name} is not exposed"
        assert labels <= known[name], f"{name} has no label {labels - known[name]}"

    grouped = {
        label
        for inside in re.findall(r"(?:by|on|group_left) \(([\w, ]*)\)", query)
        for label in re.findall(r"\w+", inside)
    }
    assert grouped <= set().union(*(known[name] for name, _ in found))


def test_every_panel_has_a_place_and_a_number_of_its_own() -> None:
    panels = dashboard()["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_metric_of_an_object_is_on_the_dashboard() -> None:
    shown = {name for query in queries_of_the_dashboard() for name, _ in selectors(query)}
    about = {
        name
        for name, labels in exposed().items()
        if {"name", "revision"} & labels and not name.endswith("_count")
    }
    left_out = {
        "slipway_modeldeployment_generation_behind",
        "slipway_rollout_step",
        "slipway_rollout_steps",
        "slipway_rollout_started_timestamp_seconds",
    }

    assert about - shown == left_out


def lost(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """Yield what was written and is not what was read."""
    if isinstance(written, dict) and isinstance(read, dict):
        for name, value in written.items():
            yield from lost(value, read.get(name), f"{path}/{name}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, pair in enumerate(zip(written, read, strict=True)):
            yield from lost(*pair, f"{path}/{number}")
    elif written != read:
        yield path


def test_grafana_knows_every_field_panel_and_unit() -> None:
    plugins.register_default_plugins()
    written = dashboard()
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    of_the_data_source = re.compile(r"/(annotations/list/\d/titleFormat|templating/.+/definition)")
    assert [path for path in lost(written, read) if not of_the_data_source.fullmatch(path)] == []

    known = {value for value in vars(units).values() if isinstance(value, str)}
    for panel in written["panels"]:
        if panel["type"] == "row":
            continue
        assert runtime.panelcfg_config(panel["type"]) is not None, panel["type"]
        assert panel["fieldConfig"]["defaults"].get("unit", "short") in known, panel["title"]


def test_a_panel_about_others_says_what_is_to_be_scraped() -> None:
    for panel in dashboard()["panels"]:
        asked = " ".join(target["expr"] for target in panel.get("targets", ()))
        described = panel.get("description", "")
        if "nv_" in asked:
            assert "metrics.serverMonitor" in described, panel["title"]
        if "container_" in asked:
            assert "/metrics/cadvisor" in described, panel["title"]


def test_dashboard_is_found_by_the_label_that_grafanas_chart_looks_for() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["metrics"]["dashboard"]["labels"] == {"grafana_dashboard": "1"}
