"""The recorded objects, as the command line reads them."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from slipway.cli.objects import ModelDeployment
from slipway.cli.read import read
from slipway.cli.text import Screen, paint

RECORDED = Path(__file__).parent / "recorded"
ALL = sorted(path.stem for path in RECORDED.glob("*.json"))


@dataclass(frozen=True, slots=True)
class Recording:
    now: datetime
    manifest: dict[str, Any]

    @property
    def md(self) -> ModelDeployment:
        return read(self.manifest)


def recording(name: str) -> Recording:
    raw = json.loads((RECORDED / f"{name}.json").read_text())
    return Recording(datetime.fromisoformat(raw["now"]), raw["object"])


def say(*words: str) -> str:
    return " ".join(["kubectl slipway", *words, "digits -n vision"])


def plain(screen: Screen) -> str:
    return paint(screen, colours=False)
