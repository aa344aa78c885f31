"""API keys as a Secret has them."""

import subprocess

from slipway.agent.keys import describe_keys, read_keys

from tests.pages import ROOT
from tests.tokens import hash_key


def test_names_and_hashes_are_read_in_an_order_that_stays() -> None:
    keys, broken = read_keys({"web": hash_key("b"), "ci": hash_key("a") + b"\n"})
    assert keys == (("ci", hash_key("a").decode()), ("web", hash_key("b").decode()))
    assert broken == ()


def test_what_is_no_hash_is_named_and_never_shown() -> None:
    plain = {
        "plain": b"my-key",
        "md5": b"$apr1$abc$def",
        "short": b"{SHA}abc=",
        "two": hash_key("a") + b"\nx:" + hash_key("b"),
        "bytes": b"\xff\xfe",
        "empty": b"",
    }
    keys, broken = read_keys({"ci": hash_key("a"), **plain})
    assert [name for name, _ in keys] == ["ci"]
    assert broken == ("bytes", "empty", "md5", "plain", "short", "two")
    said = describe_keys(len(keys), broken)
    assert said.startswith("bytes, empty, md5, plain, short and 1 more: expected {SHA}")
    assert "my-key" not in said


def test_a_thousand_keys_are_a_thousand_callers() -> None:
    keys, broken = read_keys({f"team-{number}": hash_key(str(number)) for number in range(1000)})
    assert (len(keys), broken) == (1000, ())


def test_the_page_shows_how_to_make_a_hash_that_is_taken() -> None:
    page = (ROOT / "docs/callers.md").read_text()
    [recipe] = [line for line in page.splitlines() if line.startswith("HASH=")]
    script = f'KEY=secret; {recipe}; printf %s "$HASH"'
    made = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert made == hash_key("secret")
