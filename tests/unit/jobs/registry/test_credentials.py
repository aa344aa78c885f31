import base64
import json
from pathlib import Path

import pytest
from slipway.errors import RegistryRefused
from slipway.jobs.registry.credentials import Keyring, load_keyring


def basic(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


def secret(folder: Path, auths: object, name: str = ".dockerconfigjson") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"auths": auths}))
    return folder


def found(keyring: Keyring, image: str) -> str | None:
    credential = keyring.find(image)
    return credential.authorization if credential else None


def test_user_and_password_and_their_encoded_form_are_the_same(tmp_path: Path) -> None:
    first = load_keyring([secret(tmp_path / "a", {"h.example": {"auth": basic("me:pw")}})])
    second = load_keyring(
        [secret(tmp_path / "b", {"h.example": {"username": "me", "password": "pw"}})]
    )

    assert found(first, "h.example/app") == f"Basic {basic('me:pw')}"
    assert first == second


@pytest.mark.parametrize(
    ("key", "image", "fits"),
    [
        ("h.example", "h.example/team/app", True),
        ("https://h.example", "h.example/app", True),
        ("https://h.example/v2/", "h.example/app", True),
        ("h.example:5000", "h.example:5000/app", True),
        ("h.example", "h.example:5000/app", False),
        ("h.example", "h.example.evil.example/app", False),
        ("example", "h.example/app", False),
        ("h.example/team", "h.example/team/app", True),
        ("h.example/team", "h.example/teammate/app", False),
        ("https://index.docker.io/v1/", "docker.io/library/ubuntu", True),
        ("registry-1.docker.io", "docker.io/team/app", True),
    ],
)
def test_a_credential_is_for_its_own_host_and_path(
    tmp_path: Path, key: str, image: str, fits: bool
) -> None:
    keyring = load_keyring([secret(tmp_path, {key: {"auth": basic("me:pw")}})])

    assert (found(keyring, image) is not None) is fits


def test_the_narrowest_counts_and_among_equals_the_first(tmp_path: Path) -> None:
    keyring = load_keyring(
        [
            secret(tmp_path / "1", {"h.example": {"auth": basic("wide:1")}}),
            secret(tmp_path / "2", {"h.example/team": {"auth": basic("narrow:1")}}),
            secret(tmp_path / "3", {"h.example": {"auth": basic("late:1")}}),
            tmp_path / "absent",
        ]
    )

    assert found(keyring, "h.example/team/app") == f"Basic {basic('narrow:1')}"
    assert found(keyring, "h.example/other") == f"Basic {basic('wide:1')}"


@pytest.mark.parametrize(
    "auths", [None, [], {"h": {"auth": "not base64!"}}, {"h": {"username": "me"}}], ids=str
)
def test_a_secret_that_cannot_be_read_is_named_but_not_shown(tmp_path: Path, auths: object) -> None:
    with pytest.raises(RegistryRefused) as refused:
        load_keyring([secret(tmp_path, auths)])

    assert str(tmp_path) in str(refused.value)
    assert "not base64!" not in str(refused.value)


def test_a_credential_never_prints_itself(tmp_path: Path) -> None:
    keyring = load_keyring([secret(tmp_path, {"h.example": {"auth": basic("me:pw")}})])

    assert basic("me:pw") not in repr(keyring)
