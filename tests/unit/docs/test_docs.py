"""Pages: their links, commands and examples hold, and their lines are written for people."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from inspect import getsource
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from slipway.api.chart import values_schema
from slipway.api.golden import GoldenFile
from slipway.api.modeldeployment import ModelDeploymentSpec, Tolerance
from slipway.cli.main import ACTIONS, COMMANDS
from slipway.policy import invariants
from slipway.policy.action_grammar import VERBS
from slipway.policy.analysis.wording import compare_shares, odds_against
from slipway.policy.statistics.dispersion import ENOUGH
from slipway.policy.statistics.eprocess import Pair

from tests.pages import PAGES, ROOT, Block, blocks, document_of, model_deployment_of

LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LONGEST_LINE = 120
GENERATED = ("docs/api.md", "docs/reasons.md")
BAD_EXAMPLES = "CONTRIBUTING.md"
"""Shows how not to write, too."""
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_written_page = pytest.mark.parametrize(
    "page",
    [page for page in PAGES if str(page.relative_to(ROOT)) not in GENERATED],
    ids=lambda page: str(page.relative_to(ROOT)),
)


@pytest.fixture(scope="module")
def schema_of_values() -> str:
    return values_schema()


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(re.sub(r"`[^`\n]*`", "", page.read_text())):
        target = page.parent / path if path else page

        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {path}#{anchor}"


@each_page
def test_make_targets_that_are_named_exist(page: Path) -> None:
    commands = re.findall(r"(?:^|`)make ([a-z][a-z0-9 -]*)", page.read_text(), re.MULTILINE)
    named = {word for command in commands for word in command.split("  ")[0].split()}

    assert named <= TARGETS


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.name)
def test_examples_in_yaml_are_valid(block: Block, schema_of_values: str) -> None:
    """What CEL says of them is asked of an API server, in tests/contract/kube/test_pages.py."""
    manifest, document = model_deployment_of(block), document_of(block)
    if manifest is not None:
        given = manifest["spec"]
        understood = ModelDeploymentSpec.model_validate(given).wire()
        assert set(paths_in(given)) <= set(paths_in(understood))
    elif document.keys() == {"outputs"}:
        GoldenFile.model_validate(document)
    elif "receivers" in document:  # tests/contract/notifications has an Alertmanager read it
        assert document["route"]["receiver"] in {it["name"] for it in document["receivers"]}
    else:
        jsonschema.validate(document, json.loads(schema_of_values))


@each_page
def test_settings_that_helm_is_given_on_the_command_line_are_in_the_schema(
    page: Path, schema_of_values: str
) -> None:
    for path in re.findall(r"--set(?:-string)?[ =]([\w.]+)=", page.read_text()):
        known: Any = json.loads(schema_of_values)
        for key in path.split("."):
            known = known.get("properties", {}).get(key)
            assert known is not None, f"{page.name}: the chart has no value {path}"


@each_page
def test_subcommands_of_the_plugin_that_prose_names_exist(page: Path) -> None:
    named = re.findall(r"`kubectl slipway ([a-z-]+)", prose_of(page))

    assert set(named) <= {*COMMANDS, *ACTIONS}


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.name)
def test_examples_in_json_are_json(block: Block) -> None:
    json.loads(block.text)


@each_written_page
def test_prose_fits_on_a_screen(page: Path) -> None:
    prose = [line for line in prose_of(page).splitlines() if not line.startswith(("|", "<"))]

    assert [line for line in prose if len(line) > LONGEST_LINE] == []


@each_written_page
def test_percents_have_no_space(page: Path) -> None:
    assert page.name == BAD_EXAMPLES or not re.findall(r"\d %", prose_of(page))


def test_quickstart_explains_every_action() -> None:
    text = (ROOT / "docs/quickstart.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)

    assert set(re.findall(r"`([a-z]+)", " ".join(rows))) == VERBS


def test_analysis_names_the_bayes_factor_that_a_fail_needs() -> None:
    text = " ".join((ROOT / "docs/analysis.md").read_text().split())

    assert f"Bayes factor of {math.exp(ENOUGH):.0f}" in text


def test_analysis_shows_lines_as_the_operator_writes_them() -> None:
    text = " ".join((ROOT / "docs/analysis.md").read_text().split())
    pair = Pair(n_c=310, k_c=12, n_s=5900, k_s=57)
    limit = 1.25 * pair.k_s / pair.n_s + Tolerance().absolute
    since = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)

    assert compare_shares("errors", pair, limit, since) in text
    assert (
        f"evidence {odds_against(math.log(143))} against the candidate "
        f"(rolls back at {odds_against(math.log(100))})"
    ) in text


def test_invariants_that_are_checked_on_every_decision_are_told_from_the_others() -> None:
    page = (ROOT / "docs/invariants.md").read_text()
    checked, others = page.split("## Kept by design and by tests")
    numbers = re.compile(r"^\* \*\*(I\d+) ", re.MULTILINE)

    assert set(numbers.findall(checked)) == set(re.findall(r"\b(I\d+):", getsource(invariants)))
    assert {*numbers.findall(checked), *numbers.findall(others)} == {f"I{n}" for n in range(1, 13)}


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    folders = "operator|tests|charts|manifests|docs|crds"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", prose_of(page))

    assert [path for path in named if not (ROOT / path).exists()] == []


def prose_of(page: Path) -> str:
    """Return a page without its blocks of code and output."""
    return FENCED.sub("", page.read_text())


def paths_in(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all fields below a value; elements of lists are told apart."""
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = ((f"[{number}]", item) for number, item in enumerate(value))

    for key, child in children:
        yield f"{path}.{key}"
        yield from paths_in(child, f"{path}.{key}")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings}
