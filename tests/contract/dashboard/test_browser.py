"""What a person sees and does in the browser; the pictures of docs/dashboard.md are drawn here."""

import copy
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from slipway.api.names import ANNOTATION_ACTION, ANNOTATION_ACTION_REASON
from slipway.cli.changes import Change
from slipway.cli.main import ACTIONS
from slipway.cli.object_events import ObjectEvent
from slipway.cli.objects import parse_model_deployment

from tests.contract.dashboard.conftest import Served, Window
from tests.contract.dashboard.story import (
    now_to_second,
    recorded,
    rejected_by_cases,
    rollout_in_progress,
)
from tests.install.helm import ROOT
from tests.unit.cli.recordings import ALL

pytestmark = pytest.mark.dashboard

PICTURES = ROOT / "docs/pictures"
DIGITS = "/rollouts/vision/digits"
FACES = "/rollouts/vision/faces"
HOSTILE = "<img src=x onerror=document.title='owned'>"
MANY = 1_000
WIDEST = """() => [...document.querySelectorAll("main *")]
  .filter((each) => each.getBoundingClientRect().right > 391 && !each.closest(".scroll"))
  .map((each) => `${each.tagName}.${each.className}#${each.id}`).slice(0, 9).join(" ")"""
FIRST_PAINTS = """() => new Promise((found) => new PerformanceObserver((list) => {
  const [rows] = list.getEntriesByName("rows");
  const [page] = performance.getEntriesByName("first-contentful-paint");
  if (rows) found([page?.startTime ?? rows.startTime, rows.startTime]);
}).observe({type: "mark", buffered: true}))"""
"""Milliseconds from the start of the navigation to the first paint, and to that of rows."""


@pytest.fixture
def fleet(served: Served) -> Served:
    """Every recorded stage, and one rollout with its history."""
    for name in ALL:
        served.tell(recorded(name))
    for at, manifest in rollout_in_progress():
        served.tell(manifest, at)
    served.tell(rejected_by_cases())
    now = now_to_second()
    told = ObjectEvent("RolloutStarted", "version 2 beside version 1", at=now - timedelta(hours=1))
    served.tell_event(("vision", "digits"), "digits.1", told)
    return served


def draw(page: Page, name: str, *, whole: bool = False) -> None:
    """Take the picture that the documentation shows."""
    PICTURES.mkdir(exist_ok=True)
    page.wait_for_timeout(400)  # the charts' own animation frame
    page.screenshot(path=PICTURES / f"{name}.png", full_page=whole, animations="disabled")


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.usefixtures("fleet")
def test_the_fleet_is_filtered_and_sorted_and_remembers_it(window: Window) -> None:
    page = window.open()
    expect(page.locator("#counted")).to_have_text(
        f"{len(ALL) + 2} of {len(ALL) + 2} ModelDeployments"
    )
    assert_accessible(page)
    draw(page, "dashboard-fleet")

    page.get_by_label("rolling out").check()
    expect(page.locator("tbody tr")).to_have_count(7)
    page.get_by_role("button", name="Weight").click()
    page.get_by_role("button", name="Weight").click()
    expect(page.locator("tbody tr").first).to_contain_text("80%")
    page.reload()
    expect(page.locator("tbody tr").first).to_contain_text("80%")
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Weight ↓")


def test_a_row_changes_as_soon_as_the_object_does(fleet: Served, window: Window) -> None:
    page = window.open("/")
    row = page.locator("tr", has=page.get_by_role("link", name="digits", exact=True))
    expect(row).to_contain_text("25%")
    changed = copy.deepcopy(fleet.state["objects"]["digits"])
    changed["status"]["candidate"]["weight"] = 50
    fleet.tell(changed)

    expect(row).to_contain_text("50%")


@pytest.mark.usefixtures("fleet")
def test_the_keyboard_is_enough(window: Window) -> None:
    page = window.open()
    page.keyboard.press("/")
    page.keyboard.type("awaiting")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-verb=approve]")

    page.locator("[data-verb=approve]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#reason")).to_be_focused()
    page.keyboard.type("seen")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    expect(page.locator("[data-verb=approve]")).to_be_focused()


@pytest.mark.usefixtures("fleet")
def test_a_rollout_shows_its_evidence(window: Window) -> None:
    page = window.open(DIGITS)
    expect(page.locator(".rungs .now")).to_contain_text("25%")
    expect(page.locator(".metric .u-wrap").first).to_be_visible()
    expect(page.locator(".told")).to_contain_text("25% at every proxy")
    assert_accessible(page)
    draw(page, "dashboard-rollout")

    page.locator("#evidence").scroll_into_view_if_needed()
    page.locator("#evidence").screenshot(path=PICTURES / "dashboard-evidence.png")


def test_a_chart_grows_while_one_looks(fleet: Served, window: Window) -> None:
    page = window.open(DIGITS)
    errors = page.locator(".metric", has_text="errors").first
    expect(errors).to_contain_text("counted")
    changed = copy.deepcopy(fleet.state["objects"]["digits"])
    for metric in changed["status"]["rollout"]["analysis"]:
        metric["samples"] = 987_654
    fleet.tell(changed)

    expect(errors).to_contain_text("987,654")


@pytest.mark.usefixtures("fleet")
def test_cases_that_disagree_are_shown(window: Window) -> None:
    page = window.open(FACES)
    row = page.locator("#golden tbody tr").first

    expect(row).to_contain_text("17")
    expect(row).to_contain_text("image [1, 64]: 0, 0, 3, 13")
    expect(row).to_contain_text("argmax 3, expected 8")
    page.set_viewport_size({"width": 1280, "height": 1000})
    assert_accessible(page)
    draw(page, "dashboard-rejected")


@pytest.mark.parametrize(
    ("role", "allowed"), [("viewer", []), ("approver", ["approve"]), ("owner", [*ACTIONS])]
)
def test_everybody_may_what_their_role_says(
    fleet: Served, window: Window, role: str, allowed: list[str]
) -> None:
    fleet.grant(role)
    page = window.open("/rollouts/vision/awaiting-approval")
    page.locator("#actions summary").click()
    free = page.locator("#actions button:not([aria-disabled])")

    assert sorted(free.all_inner_texts()) == sorted(allowed)
    assert_accessible(page)
    if role == "viewer":
        page.locator("[data-verb=approve]").press("Enter")
        expect(page.locator("dialog")).to_contain_text("needs the right to patch modeldeployments")
        expect(page.locator("dialog button[type=submit]")).to_be_disabled()


def test_an_approval_asks_for_a_reason_shows_its_command_and_is_done(
    fleet: Served, window: Window
) -> None:
    fleet.grant("approver")
    page = window.open("/rollouts/vision/awaiting-approval")
    page.locator("[data-verb=approve]").click()
    page.locator("#reason").fill("errors as on stable; it's fine")
    expect(page.locator("dialog .command")).to_have_text(
        "kubectl slipway approve awaiting-approval -n vision "
        "--reason='errors as on stable; it'\"'\"'s fine'"
    )
    assert_accessible(page)
    draw(page, "dashboard-approve")
    page.locator("dialog button[type=submit]").click()
    expect(page.locator("dialog .said")).to_have_text("approve by approver: Done")

    written = fleet.state["objects"]["awaiting-approval"]["metadata"]["annotations"]
    assert written[ANNOTATION_ACTION].startswith("approve@")
    number = written[ANNOTATION_ACTION].rpartition("#")[2]
    assert written[ANNOTATION_ACTION_REASON] == f"errors as on stable; it's fine#{number}"


def test_texts_of_the_cluster_are_never_run(fleet: Served, window: Window) -> None:
    manifest = recorded("progressing", called="hostile")
    for claim in manifest["status"]["conditions"]:
        claim["message"] = HOSTILE
    for metric in manifest["status"]["rollout"]["analysis"]:
        metric.update(name=HOSTILE, message=HOSTILE)
    manifest["status"]["candidate"]["version"] = HOSTILE
    fleet.tell(manifest)
    page = window.open("/rollouts/vision/hostile")

    expect(page.locator(".message")).to_have_text(HOSTILE)
    assert page.locator("main img").count() == 0
    assert page.title() == "vision/hostile · Slipway"


def test_without_the_token_there_is_nothing_to_see(fleet: Served, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(fleet.address)

    expect(page.locator("#outage")).to_contain_text("The token is missing", timeout=60_000)
    assert page.locator("tbody tr").count() == 0
    context.close()


def test_dark_is_the_systems_and_can_be_chosen(fleet: Served, browser: Browser) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 1280, "height": 800})
    page = Window(fleet, context).open(DIGITS)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert_accessible(page)
    draw(page, "dashboard-dark")
    theme = page.locator("#theme")
    theme.click()
    theme.click()
    expect(theme).to_have_text("Theme: light")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    context.close()


def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    fleet: Served, browser: Browser
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    window = Window(fleet, context)
    for path, name in (("/", "fleet"), (DIGITS, "rollout"), (FACES, "rejected")):
        page = window.open(path)
        if path == FACES:
            page.locator("#golden").scroll_into_view_if_needed()
            page.locator("#golden").evaluate("(it) => it.scrollIntoView()")
        draw(page, f"dashboard-phone-{name}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, page.evaluate(WIDEST)
        assert_accessible(page)
    context.close()


def test_a_thousand_models_are_there_at_once(
    served: Served, window: Window, capsys: pytest.CaptureFixture[str]
) -> None:
    base = recorded("idle")
    for number in range(MANY):
        manifest = copy.deepcopy(base)
        name, namespace = f"model-{number:04}", f"team-{number % 9}"
        manifest["metadata"].update(name=name, namespace=namespace)
        served.pages.fleet.apply_change(Change(parse_model_deployment(manifest)), now_to_second())

    figures = []
    for _ in range(9):  # each in a tab of its own: a reload first takes the old rows down
        page = window.open()
        figures.append(page.evaluate(FIRST_PAINTS))
        expect(page.locator("tbody tr")).to_have_count(MANY)
        page.close()
    with capsys.disabled():
        for what, column in (("page", 0), ("rows", 1)):
            shown = ", ".join(f"{figure[column]:.0f}" for figure in figures)
            print(f"\n{MANY} models: first paint of the {what} after {shown} ms")
