import json
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic.alias_generators import to_camel
from slipway.api.chart import Values
from slipway.settings import Tunables

from tests.install.helm import CHART, ROOT
from tests.install.release import Images, cluster_values

TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
FREE = {"resources", "labels", "annotations"}
"""Values whose keys are the user's."""
IMAGES = Images("r/operator@sha256:" + "a" * 64, "r/envoy@sha256:" + "b" * 64, "r/triton:1")


def test_schema_knows_exactly_the_values_that_exist() -> None:
    assert set(known(SCHEMA)) - {"global"} == set(given(VALUES))


def test_types_and_values_have_the_same_defaults() -> None:
    given_defaults = Values.model_validate(VALUES)
    assert given_defaults == Values(resources=given_defaults.resources)


def test_chart_passes_on_every_setting() -> None:
    template = (CHART / "templates/_helpers.tpl").read_text()
    [passed] = re.findall(r"pick \.Values ((?:\"\w+\" )+)", template)
    names = [to_camel(name) for name in Tunables.model_fields]

    assert sorted(passed.split()) == sorted(f'"{name}"' for name in names)


def test_schema_accepts_the_defaults_and_the_values_of_the_test_cluster() -> None:
    jsonschema.validate(VALUES, SCHEMA)
    jsonschema.validate(cluster_values(IMAGES, "registry.local:5000"), SCHEMA)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"replica": 3}, id="a misspelt value"),
        pytest.param({"lease": {"durationSecond": 10}}, id="a misspelt value further down"),
        pytest.param({"registries": [{"host": "r", "plainHttp": True}]}, id="in a list"),
        pytest.param({"image": {"digest": "latest"}}, id="a digest that is none"),
        pytest.param({"image": {"repository": "r.example/op:1"}}, id="a tag in the repository"),
        pytest.param({"image": {"repository": "op:1"}}, id="a tag without a host"),
        pytest.param({"router": {"imagePullSecrets": ["pull"]}}, id="a secret that is no object"),
        pytest.param({"router": {"replicas": "2"}}, id="text for a number"),
    ],
)
def test_schema_refuses(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA)


@pytest.mark.parametrize(
    "name", ["", "op", "r.example/a/op", "r.example:5000/op", "10.0.0.2:5000/a"]
)
def test_schema_takes_an_image_wherever_it_lies(name: str) -> None:
    jsonschema.validate({"image": {"repository": name}}, SCHEMA)


def test_every_value_says_what_it_means() -> None:
    lines = TEXT.splitlines()
    silent = [
        line
        for before, line in pairwise(lines)
        if is_value(line) and not before.strip().startswith("# -- ")
    ]

    assert silent == []


def test_chart_and_package_have_the_same_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {chart["version"], chart["appVersion"]} == {project["version"]}


def is_value(line: str) -> bool:
    """Whether the line gives a value; `requests` and `limits` are parts of one."""
    key, _, rest = line.strip().partition(":")
    if not line or line.lstrip().startswith("#") or key in {"requests", "limits"}:
        return False
    return bool(rest) or key == "resources"


def known(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}{name}"
        if name not in FREE:
            yield from known(child, f"{path}{name}.")


def given(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{path}{name}"
        if isinstance(value, dict) and name not in FREE:
            yield from given(value, f"{path}{name}.")
