"""Some of the zoo, as `make faults` tries all of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.faults import detector, digits, tickets
from tests.contract.faults.rehearsal import Caught
from tests.contract.faults.trial import Range, ranging
from tests.contract.faults.version import Version
from tests.pages import ROOT

FAULTS = {version.name: version for version in detector.FAULTS}
FAMILIES = (digits, tickets, detector)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    with ranging(detector.family(), tmp_path_factory.mktemp("faults")) as place:
        yield place


@pytest.mark.parametrize(
    ("name", "caught"),
    [
        ("batch limit", Caught.SIGNATURE),
        ("unit change", Caught.GOLDEN_SET),
        ("threshold", Caught.SHADOW),
    ],
)
def test_a_fault_that_raises_no_error_is_caught_before_any_user(
    place: Range, name: str, caught: Caught
) -> None:
    ending = place.roll_out(FAULTS[name])

    assert (ending.caught, ending.served) == (caught, ())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train the digits for a moment: what they read does not matter."""
    monkeypatch.setattr(digits, "EPOCHS", 1)
    digits.train.cache_clear()
    yield
    digits.train.cache_clear()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("version", [*digits.FAULTS, *tickets.FAULTS, *detector.FAULTS], ids=str)
def test_a_fault_is_another_model_than_stable(tmp_path: Path, version: Version) -> None:
    module = next(each for each in FAMILIES if version in each.FAULTS)

    assert written(version, tmp_path / "fault") != written(module.STABLE, tmp_path / "stable")


def written(version: Version, folder: Path) -> dict[str, bytes]:
    """Return the files of a version, by name: where they lie is no difference."""
    folder.mkdir()
    version.write(folder)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def test_the_page_has_every_version() -> None:
    page = (ROOT / "docs/silent-faults.md").read_text()
    faults = [version for module in FAMILIES for version in module.FAULTS]
    good = [version for module in FAMILIES for version in module.GOOD]

    assert (len(faults), len(good)) == (24, 24)
    assert [each for each in (*faults, *good) if f"{each.name}: {each.what}" not in page] == []
