import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from slipway.bundle.archive import Archive, BundleError, blob_path
from slipway.bundle.load import Loaded
from slipway.bundle.main import install_command

from tests.unit.release.release_of_crumbs import NAMES, PROGRAM, write_bundle


def run(bundle: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle as its user does: in another directory, with nothing installed."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(bundle), *arguments],
        cwd=bundle.parent,
        env={"PATH": os.environ["PATH"], "HOME": str(bundle.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bundle_runs_where_no_library_is_installed(tmp_path: Path) -> None:
    done = run(write_bundle(tmp_path), "list")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [*NAMES, PROGRAM]


def test_the_same_release_is_the_same_bundle_byte_for_byte(tmp_path: Path) -> None:
    first, second = write_bundle(tmp_path / "a"), write_bundle(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_programs_are_unpacked_as_programs(tmp_path: Path) -> None:
    done = run(write_bundle(tmp_path), "unpack", "out")
    assert done.stdout.split() == [f"out/{PROGRAM}"]
    assert (tmp_path / "out" / PROGRAM).stat().st_mode & 0o777 == 0o755


def test_a_bundle_that_was_cut_off_says_so(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    cut = tmp_path / "cut"
    cut.write_bytes(bundle.read_bytes()[:-100])
    done = run(bundle, "list", SLIPWAY_BUNDLE=str(cut))
    assert done.returncode == 1
    assert "is cut off or damaged: download it again" in done.stderr


def test_a_manifest_with_other_bytes_is_refused(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    with ZipFile(write_bundle(tmp_path)) as whole, ZipFile(changed, "w") as target:
        manifest = Archive(whole).artifacts()[0].digest
        for name in whole.namelist():
            data = whole.read(name)
            target.writestr(name, data + b" " if name == blob_path(manifest) else data)
    with ZipFile(changed) as opened, pytest.raises(BundleError, match=f"{manifest} is damaged"):
        Archive(opened).manifest(manifest)


def test_nothing_is_written_outside_of_the_directory(tmp_path: Path) -> None:
    bundle = tmp_path / "hostile"
    with ZipFile(bundle, "w") as archive:
        archive.writestr("release/files/../../escaped", "x")
    with ZipFile(bundle) as opened, pytest.raises(BundleError, match="outside of the directory"):
        list(Archive(opened).unpack(tmp_path / "out"))


def test_the_command_names_every_image_by_its_digest(tmp_path: Path) -> None:
    command = install_command(_loaded(tmp_path, NAMES), plain_http=False)
    assert "oci://registry.example.com/charts/slipway --version 0.1.0" in command
    assert "--set image.repository=registry.example.com/slipway/operator" in command
    assert "--set router.envoyImage=registry.example.com/slipway/envoy@sha256:" in command
    assert "--plain-http" not in command


def test_a_bundle_without_an_image_that_the_chart_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="lacks slipway/envoy"):
        install_command(_loaded(tmp_path, (NAMES[0], NAMES[2])), plain_http=False)


def test_a_user_without_a_password_is_told_where_it_is_read_from(tmp_path: Path) -> None:
    done = run(write_bundle(tmp_path), "load", "registry.example.com", "--user", "robot")
    assert done.returncode == 1
    assert "--user needs the password in SLIPWAY_REGISTRY_PASSWORD" in done.stderr


def _loaded(directory: Path, names: tuple[str, ...]) -> dict[str, Loaded]:
    with ZipFile(write_bundle(directory, names)) as opened:
        return {
            artifact.repository: Loaded(artifact, f"registry.example.com/{artifact.repository}", 0)
            for artifact in Archive(opened).artifacts()
        }
