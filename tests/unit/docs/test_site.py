"""The site: every page has a place in its navigation, and links out of docs/ lead to pages."""

import re
from collections.abc import Iterable

import pytest
import yaml

from tests.pages import ROOT
from tests.site.sources import MOST_SHOWN, PAGES, move_links, page_of, show_files

CONFIG = (ROOT / "mkdocs.yml").read_text()
WITHOUT_PLACE = re.compile(r"decisions/0\d+-")


def places(entry: object) -> set[str]:
    if isinstance(entry, str):
        return {entry}
    below = entry.values() if isinstance(entry, dict) else entry
    assert isinstance(below, Iterable)
    return {place for value in below for place in places(value)}


def test_every_page_has_one_place_in_the_navigation() -> None:
    navigation = places(yaml.safe_load(CONFIG[CONFIG.index("\nnav:") :])["nav"])
    names = {page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")}
    pages = {name for name in names if not WITHOUT_PLACE.match(name)}

    assert navigation == pages | set(PAGES.values())


def test_tasks_come_first() -> None:
    [home, tasks, *_] = yaml.safe_load(CONFIG[CONFIG.index("\nnav:") :])["nav"]

    assert (list(home), list(tasks)) == (["Home"], ["Tasks"])


@pytest.mark.parametrize(
    ("source", "text", "moved"),
    [
        ("README.md", "[a](docs/install.md#signed)", "[a](install.md#signed)"),
        ("README.md", "[a](CHANGELOG.md)", "[a](changelog.md)"),
        ("docs/tasks/edge.md", "[a](../install.md)", "[a](../install.md)"),
        ("docs/tasks/edge.md", "[a](../../README.md#limits)", "[a](../overview.md#limits)"),
        ("docs/api.md", "[a](../crds)", "[a](files/crds.md)"),
        ("docs/api.md", "[a](#spec) [b](https://x.example/)", "[a](#spec) [b](https://x.example/)"),
        ("docs/api.md", "```yaml\na: [b](../crds)\n```", "```yaml\na: [b](../crds)\n```"),
    ],
)
def test_links_lead_to_pages_of_the_site(source: str, text: str, moved: str) -> None:
    assert move_links(text, source, page_of(source), lambda _: None) == moved


def test_what_is_linked_outside_of_docs_is_asked_for_once_it_is_no_page() -> None:
    wanted: list[str] = []
    text = "[a](../crds) [b](../README.md) [c](api.md) [d](../charts/slipway/values.yaml)"
    move_links(text, "docs/install.md", "install.md", wanted.append)

    assert wanted == ["crds", "charts/slipway/values.yaml"]


def test_a_folder_is_shown_with_its_files_and_a_large_one_is_offered() -> None:
    offered: list[str] = []
    page = show_files(ROOT, "crds", offered.append)

    assert offered == ["crds/slipway.dev_modeldeployments.yaml"]
    assert "(crds-slipway.dev_modeldeployments.yaml)" in page
    assert "## crds/slipway.dev_modelroutes.yaml\n\n````yaml\n" in page
    assert len(page) < 2 * MOST_SHOWN
