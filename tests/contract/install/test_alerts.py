"""The alerts and the dashboard's queries, as Prometheus itself understands and answers them."""

import asyncio
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.install import scraped
from tests.install import base, helm

PROMTOOL = shutil.which("promtool")

pytestmark = [
    pytest.mark.skipif(helm.find_helm() is None, reason="no Helm: on PATH, or from 'make cluster'"),
    pytest.mark.skipif(PROMTOOL is None, reason="no promtool on PATH: Debian's prometheus has it"),
]

OF = 'namespace="vision",name="digits"'
UNAVAILABLE = f'slipway_modeldeployment_condition{{{OF},type="Available",reason="NothingServes"}}'
UNROUTED = f'slipway_modeldeployment_condition{{{OF},type="RouteProgrammed",reason="Awaiting"}}'
STAGE = f'slipway_modeldeployment_stage{{{OF},stage="Starting"}}'
LEADER = 'slipway_is_leader{namespace="%s",pod="%s"}'
REVISION = 'revision="0badcafe",version="2"'

ALL = {"namespace": ".*", "model": ".*", "__rate_interval": "1m", "__range": "1m"}
VALUES_OF = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")

Series = Mapping[str, str]
"""Values of each series, one a minute, as promtool writes them."""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = {**base.VALUES, "metrics": {"rules": {"enabled": True}}}
    text = helm.template(values, show_only=("templates/rules.yaml",))
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(text)["spec"]))
    return path


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def tell(rules: Path, series: Series, **asked: Any) -> None:
    """Have promtool compare what is asked with what it finds."""
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": given, **asked}
    path = rules.parent / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [test]}))
    promtool("test", "rules", str(path))


def alerting(rules: Path, series: Series, minute: int, alert: str, *labels: str) -> None:
    """Expect exactly one alert, of these labels, or without any none."""
    expected: Sequence[Mapping[str, Any]] = ()
    if labels:
        (found,) = (
            rule
            for group in yaml.safe_load(rules.read_text())["groups"]
            for rule in group["rules"]
            if rule["alert"] == alert
        )
        given = dict(label.split("=") for label in labels)
        summary = found["annotations"]["summary"]
        for name, value in given.items():
            summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
        expected = [
            {"exp_labels": {**found["labels"], **given}, "exp_annotations": {"summary": summary}}
        ]

    test = {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": list(expected)}
    tell(rules, series, alert_rule_test=[test])


def stable(values: str) -> Series:
    return {f'slipway_modeldeployment_info{{{OF},role="stable",{REVISION}}}': values}


def test_prometheus_takes_the_rules(rules: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", str(rules))


def test_a_slow_first_start_pages_nobody(rules: Path) -> None:
    series = {UNAVAILABLE: "0x60", UNROUTED: "0x60", STAGE: "1x60"}
    alerting(rules, series, 60, "SlipwayModelUnavailable")
    alerting(rules, series, 60, "SlipwayRouteNotProgrammed")


def test_a_model_that_served_and_does_not_any_more_pages(rules: Path) -> None:
    series = {UNAVAILABLE: "0x60", **stable("1x60")}
    alerting(rules, series, 1, "SlipwayModelUnavailable")
    labels = ("namespace=vision", "name=digits", "type=Available", "reason=NothingServes")
    alerting(rules, series, 3, "SlipwayModelUnavailable", *labels)


def test_another_releases_leader_is_none_of_ours(rules: Path) -> None:
    ours, theirs = LEADER % (helm.NAMESPACE, "a"), LEADER % ("other-system", "b")
    alerting(rules, {ours: "1x10", theirs: "0x10"}, 10, "SlipwayNoLeader")
    alerting(rules, {ours: "0x10", theirs: "1x10"}, 10, "SlipwayNoLeader", "severity=critical")
    gone = f"namespace={helm.NAMESPACE}"
    alerting(rules, {theirs: "1x10"}, 10, "SlipwayNoLeader", gone)


def test_the_first_bug_is_told(rules: Path) -> None:
    series = {'slipway_passes_total{kind="Router",result="bug"}': "0 0 0 1 1 1"}
    alerting(rules, series, 2, "SlipwayBugs")
    alerting(rules, series, 5, "SlipwayBugs", "kind=Router")


def test_a_kind_that_cannot_be_listed_is_told(rules: Path) -> None:
    series = {'slipway_sweep_failures{kind="Pod",namespace="vision",pod="a"}': "1x20"}
    alerting(rules, series, 20, "SlipwayCannotRead", "kind=Pod", "namespace=vision")


def test_an_event_that_a_sink_did_not_get_is_told(rules: Path) -> None:
    series = {
        'slipway_audit_events_total{sink="archive",result="delivered"}': "0 5 9 9 9",
        'slipway_audit_events_total{sink="archive",result="refused"}': "0 0 0 0 1",
        'slipway_audit_events_total{sink="chat",result="expired"}': "0 0 0 0 0",
    }
    alerting(rules, series, 3, "SlipwayAuditDropped")
    alerting(rules, series, 4, "SlipwayAuditDropped", "sink=archive")


def test_whoever_has_to_approve_is_told_how(rules: Path) -> None:
    approval = f'slipway_modeldeployment_stage{{{OF},stage="AwaitingApproval"}}'
    alerting(rules, {approval: "1 stale _ _"}, 3, "SlipwayAwaitingApproval")
    labels = ("namespace=vision", "name=digits", "stage=AwaitingApproval")
    alerting(rules, {approval: "1x5"}, 2, "SlipwayAwaitingApproval", *labels)


def dashboard(**chosen: str) -> dict[str, Any]:
    """Return the dashboard as Grafana fills it in; without a choice it asks for all."""
    text = (helm.CHART / "files/dashboard.json").read_text()
    for name, value in {**ALL, **chosen}.items():
        text = text.replace(f"${name}", value)
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def queries(title: str) -> list[str]:
    loaded = dashboard()
    panels = [*loaded["panels"], *loaded["annotations"]["list"]]
    (found,) = (one for one in panels if title in {one.get("title"), one.get("name")})
    return [target["expr"] for target in found.get("targets", [found])]


@pytest.mark.parametrize("role", ["stable", "candidate", None])
def test_the_dashboard_shows_where_every_object_stands(rules: Path, role: str | None) -> None:
    series = {STAGE: "1x5"}
    if role:
        series[f'slipway_modeldeployment_info{{{OF},role="{role}",{REVISION}}}'] = "1x5"
    (query,) = queries("Where they stand")
    shown = STAGE if role is None else f'{{{OF},stage="Starting",{REVISION}}}'
    expected = [{"labels": shown, "value": 1}]
    test = {"expr": query, "eval_time": "3m", "exp_samples": expected}
    tell(rules, series, promql_expr_test=[test])


def test_an_objects_first_roll_back_is_marked(rules: Path) -> None:
    series = {f"slipway_last_rollback_timestamp_seconds{{{OF}}}": "_ _ _ 150x60"}
    (query,) = queries("Roll backs")
    shown = [{"labels": f"{{{OF}}}", "value": 30}]
    tests = [
        {"expr": query, "eval_time": at, "exp_samples": samples}
        for at, samples in (("2m", []), ("3m", shown), ("10m", []))
    ]
    tell(rules, series, promql_expr_test=tests)


def by_revision(answer: Sequence[tuple[Mapping[str, str], float]]) -> dict[str, float]:
    for labels, _ in answer:
        assert labels.items() >= {"namespace": "vision", "modeldeployment": "digits"}.items()
    return {labels["revision"]: value for labels, value in answer}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scraped.Prometheus]:
    if scraped.PROMETHEUS is None:
        pytest.skip("no prometheus on PATH: Debian has it")
    operator = asyncio.run(scraped.an_operator())
    with scraped.scraping(tmp_path_factory.mktemp("prometheus"), operator) as prometheus:
        yield prometheus


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param({}, id="all"),
        pytest.param({"namespace": "(speech|vision)", "model": "digits"}, id="chosen"),
    ],
)
def test_every_query_of_the_dashboard_has_an_answer(
    prometheus: scraped.Prometheus, chosen: dict[str, str]
) -> None:
    loaded = dashboard(**chosen)
    asked = [
        target["expr"] for panel in loaded["panels"] for target in panel.get("targets", ())
    ] + [one["expr"] for one in loaded["annotations"]["list"]]
    for variable in loaded["templating"]["list"]:
        if variable["type"] == "query":
            found = VALUES_OF.fullmatch(variable["query"]["query"])
            assert found is not None
            asked.append(f"count by ({found['label']}) ({found['series']})")

    assert len(asked) > 60
    silent = [
        query
        for query in asked
        if not any(math.isfinite(value) for _, value in prometheus.ask(query))
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("Triton: waiting in the queue, mean", [0.295 / 20]),
        ("Triton: computing, mean", [0.427 / 20, 131 / 20, 0.768 / 20]),
        ("GPU in use, mean of a pod", [0.25]),
        ("GPU memory, fullest GPU", [974_913_536]),
    ],
)
def test_what_a_server_exposes_is_shown_by_revision(
    prometheus: scraped.Prometheus, title: str, values: Sequence[float]
) -> None:
    for query, value in zip(queries(title), values, strict=True):
        shown = by_revision(prometheus.ask(query))
        assert shown == pytest.approx(dict.fromkeys(scraped.SERVERS, value))


@pytest.mark.parametrize(
    ("title", "of_a_container"),
    [
        ("Processor, mean of a pod", "rate(container_cpu_usage_seconds_total{%s}[1m])"),
        ("Memory, largest pod", "container_memory_working_set_bytes{%s}"),
    ],
)
def test_what_the_kubelet_exposes_of_pods_is_shown_by_revision(
    prometheus: scraped.Prometheus, title: str, of_a_container: str
) -> None:
    [query] = queries(title)
    for revision, pod in scraped.SERVERS.items():
        server = of_a_container % f'pod="{pod}",container="triton"'
        shown = by_revision(prometheus.ask(f"({query}) / scalar({server})"))
        assert shown[revision] == pytest.approx(1)
        assert len(shown) == len({round(share, 6) for share in shown.values()}) == 2


def test_the_dashboard_says_how_a_fault_was_found_and_taken_back(
    prometheus: scraped.Prometheus,
) -> None:
    [ended] = [prometheus.ask(query) for query in queries("Rollouts by outcome")]
    assert [labels for labels, _ in ended] == [{"outcome": "RolledBack"}]
    for title, label in (
        ("Rollout time", {"outcome": "RolledBack"}),
        ("Detection time", {"stage": "Progressing"}),
        ("Rollback time", {"to": "Stable"}),
    ):
        for query in queries(title):
            assert [labels for labels, _ in prometheus.ask(query)] == [label]
