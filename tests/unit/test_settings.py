"""The settings file: read once, and what is wrong is said with the setting's name."""

from pathlib import Path

import pytest
from slipway.errors import SettingsError
from slipway.settings import ADDRESS_VARIABLE, IPFamily, Settings, load_settings


def written(directory: Path, text: str) -> Path:
    path = directory / "settings.yaml"
    path.write_text(text)
    return path


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == Settings()


@pytest.mark.parametrize(
    ("address", "family"),
    [("10.244.1.7", IPFamily.V4), ("fd00:10:244::7", IPFamily.V6), (None, IPFamily.V4)],
)
def test_pods_have_addresses_of_the_operators_own_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None, family: IPFamily
) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    if address is not None:
        monkeypatch.setenv(ADDRESS_VARIABLE, address)

    assert load_settings(written(tmp_path, "")).pod_ip_family is family


def test_settings_are_camel_case(tmp_path: Path) -> None:
    text = "operatorImage: slipway:1\nsources: {allowPlainHTTP: true}\nrouter: {replicas: 3}\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.sources.allow_plain_http
    assert settings.router.replicas == 3
    assert settings.operator_image == "slipway:1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workers: 0", ["workers", "greater than or equal to 1", "found 0"]),
        ("router: {replicas: many}", ["router.replicas", "found 'many'"]),
        ("lease: {durationSeconds: 500}", ["lease.durationSeconds", "found 500"]),
        (
            "lease: {durationSeconds: 10}",
            ["durationSeconds is 10", "more than 10", "writeWindowSeconds 7"],
        ),
        ("audit: {sinks: [{name: a}]}", ["audit.sinks.0", "neither", "one of url and urlFile"]),
        (
            "audit: {sinks: [{name: a, url: 'http://a', urlFile: /a}]}",
            ["audit.sinks.0", "both", "one of url and urlFile"],
        ),
        (
            "audit: {sinks: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]}",
            ["sinks has 'a' twice", "each name once"],
        ),
        ("audit: {sinks: [{name: a, url: 'ftp://a'}]}", ["audit.sinks.0.url", "found 'ftp://a'"]),
        (
            "lease: {renewSeconds: 7}",
            ["renewSeconds is 7", "less than writeWindowSeconds", "may not write"],
        ),
        ("lease: {writeWindowSeconds: 12}", ["durationSeconds is 15", "writeWindowSeconds 12"]),
        ("registries: [{host: a}, {}]", ["registries.1.host", "Field required"]),
        ("operator_imag: x", ["operator_imag", "not permitted"]),
        ("[1, 2]", ["valid dictionary"]),
        ("a: [", ["settings.yaml"]),
        ("tracing: {endpoint: 'collector:4317'}", ["tracing.endpoint", "found 'collector:4317'"]),
        ("tracing: {samplingPercent: 101}", ["tracing.samplingPercent", "found 101"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_the_namespace_of_the_pod_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overlay of kustomize moves the Lease's Role, but cannot change what the file says."""
    path = written(tmp_path, "namespace: slipway-system")
    assert load_settings(path).namespace == "slipway-system"
    monkeypatch.setenv("POD_NAMESPACE", "elsewhere")
    assert load_settings(path).namespace == "elsewhere"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        load_settings(tmp_path / "nowhere.yaml")
