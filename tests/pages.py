"""The blocks of README and docs that readers copy, for the tests that try them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from slipway.api.kinds import MODEL_DEPLOYMENT
from slipway.api.modeldeployment import ModelDeploymentSpec

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<not_run>[^\n]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
COMMENT = re.compile(r"(^|\s+)#\s.*$")
RUN_BY = {
    "make ": "tests/unit/docs/test_console.py",
    "find ": "tests/unit/docs/test_console.py",
    "kubectl slipway ": "tests/unit/cli/test_pages.py",
    "kubectl ": "tests/contract/install/test_pages.py",
    "helm uninstall ": "tests/contract/install/test_pages.py",
}
"""Who runs the commands of a console, by how they begin; the first one that fits."""
CUT_DIGEST = re.compile(r"sha256:[0-9a-f]+…")
DIGEST = "sha256:" + "0f" * 32


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: Path
    line: int
    text: str
    not_run: str
    """Why no test runs it, from the mark before it; empty: without a mark."""

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a console, without comments; of a session with prompts, what is typed."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        bare = (COMMENT.sub("", line).strip() for line in lines)
        return [command for line in bare for command in line.split(" && ") if command]


def blocks(language: str) -> list[Block]:
    """All blocks of a language, such as ``yaml``, page by page."""
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["text"],
            found["not_run"] or "",
        )
        for page in PAGES
        for text in [page.read_text()]
        for found in BLOCK.finditer(text)
        if found["language"] == language
    ]


def consoles() -> list[Block]:
    """The blocks of commands that tests run: all but those that are marked."""
    return [block for block in blocks("console") if not block.not_run]


def runner_of(command: str) -> str:
    """The test file that runs a command; empty: none does."""
    return next((path for start, path in RUN_BY.items() if command.startswith(start)), "")


def commands_run_by(path: str) -> list[str]:
    """The different commands that a test file must run, in the order of the pages."""
    commands = [command for block in consoles() for command in block.commands]
    here = str(Path(path).resolve().relative_to(ROOT))
    return list(dict.fromkeys(command for command in commands if runner_of(command) == here))


def document_of(block: Block) -> dict[str, Any]:
    """What a YAML block says; a digest that the page cuts short is given its length."""
    read: dict[str, Any] = yaml.safe_load(CUT_DIGEST.sub(DIGEST, block.text))
    return read


def model_deployment_of(block: Block) -> dict[str, Any] | None:
    """The whole ModelDeployment that a YAML block shows all or a part of; None: another thing.

    A part starts at ``spec``, or at a key below it. What it leaves out is as short as can be.
    """
    document = document_of(block)
    if document.get("kind") == MODEL_DEPLOYMENT.kind:
        return document
    if document.keys() <= {field.alias or name for name, field in FIELDS.items()}:
        document = {"spec": document}
    return _merged(SMALLEST, document) if document.keys() == {"spec"} else None


FIELDS = ModelDeploymentSpec.model_fields
SMALLEST: dict[str, Any] = {
    "apiVersion": MODEL_DEPLOYMENT.api_version,
    "kind": MODEL_DEPLOYMENT.kind,
    "metadata": {"name": "digits"},
    "spec": {"model": {"version": "1", "source": {"uri": "https://models.example/1.onnx"}}},
}


def _merged(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    made = dict(whole)
    for key, value in part.items():
        known = made.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        made[key] = _merged(known, value) if both else value  # type: ignore[arg-type]
    return made
