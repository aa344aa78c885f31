import configparser
from pathlib import Path

from tests.images import machine

LISTED = """\
global.index-url='https://global.example/simple'
global.cert='/somewhere/ca.pem'
install.user='true'
:env:.index-url='https://user:pa%ss@env.example/simple'
:env:.find-links='/a /b'
"""


def test_a_variable_counts_more_than_a_file() -> None:
    assert machine.pip_options(LISTED)["index-url"] == "https://user:pa%ss@env.example/simple"


def test_only_the_way_to_packages_is_carried_over() -> None:
    assert set(machine.pip_options(LISTED)) == {"index-url", "find-links"}


def test_a_list_of_links_is_read_back_as_it_was() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(machine.pip_config({"find-links": "/a\n/b", "retries": "3"}))

    assert parser["global"]["find-links"].split() == ["/a", "/b"]
    assert parser["global"]["retries"] == "3"


def test_build_steps_see_this_machine_and_nobody_else_sees_its_way_to_packages(
    tmp_path: Path,
) -> None:
    volumes = machine.needs_of_build_steps(tmp_path)
    written = tmp_path / "pip.conf"

    assert volumes[str(written)] == "/etc/pip.conf"
    assert written.stat().st_mode & 0o077 == 0
    assert volumes["/etc/resolv.conf"] == "/etc/resolv.conf"
