from pathlib import Path

from slipway.agent.files import Files


def test_the_same_version_is_written_once(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert files.write("cds.json", {"version_info": "a", "resources": []})
    first = (tmp_path / "cds.json").stat().st_ino
    assert not files.write("cds.json", {"version_info": "a", "resources": []})
    assert (tmp_path / "cds.json").stat().st_ino == first


def test_a_new_version_replaces_the_file_by_rename(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write("cds.json", {"version_info": "a", "resources": []})
    with (tmp_path / "cds.json").open() as reader:
        files.write("cds.json", {"version_info": "b", "resources": []})
        assert '"a"' in reader.read()

    assert files.versions == {"cds.json": "b"}
    assert [path.name for path in tmp_path.iterdir()] == ["cds.json"]


def test_a_file_from_before_a_restart_is_left_alone(tmp_path: Path) -> None:
    Files(tmp_path).write("cds.json", {"version_info": "a", "resources": []})
    again = Files(tmp_path)
    assert not again.write("cds.json", {"version_info": "a", "resources": []})
    assert again.versions == {"cds.json": "a"}


def test_a_broken_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "cds.json").write_text("{")
    assert Files(tmp_path).write("cds.json", {"version_info": "a", "resources": []})
