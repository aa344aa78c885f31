"""The recorded objects as the command line reads them, and the screens that it makes of them."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from slipway.cli.forecast import forecast_rollout, parse_spec
from slipway.cli.objects import ModelDeployment, parse_model_deployment
from slipway.cli.request_rate import take_given_rate
from slipway.cli.text import Screen, paint_screen
from slipway.cli.views.description import format_description
from slipway.cli.views.forecast_table import format_forecast
from slipway.cli.views.next_steps import list_next_steps

from tests.install.helm import ROOT

RECORDED = Path(__file__).parent / "recorded"
SCREENS = Path(__file__).parent / "screens"
DOCS = ROOT / "docs"
COMMAND = "python -m tests.unit.cli.record"
"""Records everything anew: objects, screens and the page."""
WIDTH = 100
ALL = sorted(path.stem for path in RECORDED.glob("*.json"))


@dataclass(frozen=True, slots=True)
class Recording:
    now: datetime
    manifest: dict[str, Any]

    @property
    def md(self) -> ModelDeployment:
        return parse_model_deployment(self.manifest)

    def screen(self, width: int = WIDTH) -> str:
        return plain(format_description(self.md, self.now, command_line, width=width))

    def next_steps(self) -> list[str]:
        return list_next_steps(self.md, self.now, command_line)

    def plan(self, per_second: float, width: int = WIDTH) -> str:
        rate = take_given_rate(per_second, self.md)
        forecast = forecast_rollout(self.md, parse_spec(self.manifest), rate, self.now)
        return plain(format_forecast(forecast, width=width))


def recording(name: str) -> Recording:
    raw = json.loads((RECORDED / f"{name}.json").read_text())
    return Recording(datetime.fromisoformat(raw["now"]), raw["object"])


def command_line(*words: str) -> str:
    return " ".join(["kubectl slipway", *words, "digits -n vision"])


def plain(screen: Screen) -> str:
    return paint_screen(screen, colours=False)


def excerpt(name: str, *starts: str) -> str:
    """Return the paragraphs of a screen that begin with one of these, as a page shows them."""
    paragraphs = recording(name).screen().rstrip("\n").split("\n\n")
    return "\n\n".join(it for it in paragraphs if it.lstrip().startswith(starts)) + "\n"


def screens_of_pages() -> dict[Path, dict[str, str]]:
    """Return what commands print, by page and command line."""
    describe = command_line("describe")
    return {
        DOCS / "cli.md": {
            describe: recording("progressing").screen(),
            f"{command_line('plan')} --rps=20": recording("progressing").plan(20.0),
        },
        DOCS / "golden-sets.md": {
            describe: excerpt("rejected-by-golden-set", "vision/", "METRIC"),
        },
        DOCS / "tasks/approve-from-chat.md": {
            describe: excerpt("awaiting-approval", "vision/", "VERSION", "METRIC", "next"),
        },
        DOCS / "tasks/little-traffic.md": {
            describe: excerpt("shadowing", "vision/", "shadow", "METRIC", "next"),
        },
        DOCS / "tasks/why-rejected.md": {
            describe: excerpt("rejected", "vision/", "VERSION", "METRIC", "next", "rollback"),
        },
    }


def page_with_screens(page: str, screens: dict[str, str]) -> str:
    """Return a page with its screens as the command line prints them now."""
    for command, screen in screens.items():
        first, last = f"```console\n$ {command}\n", "```\n"
        before, found, after = page.partition(first)
        assert found, f"no page shows `{command}`"
        page = before + first + screen + last + after.partition(last)[2]
    return page
