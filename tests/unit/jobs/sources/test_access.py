"""Secrets as the kubelet mounts them, private authorities, and what is said without them."""

from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.http import Proxy
from slipway.jobs.sources.access import SourceAccess, SourceMounts
from slipway.jobs.sources.store_settings import azure_settings, google_settings, s3_settings

VALUE = "a-value-that-no-message-shows"


def an_access(
    folder: Path, uri: str = "s3://models/1/", *, keys: dict[str, str] | None = None, **asked: str
) -> SourceAccess:
    for name, value in (keys or {}).items():
        (folder / "secret").mkdir(exist_ok=True)
        (folder / "secret" / name).write_text(f"{value}\n")
    if keys is not None:
        asked = {"secret": "key", **asked}
    request = SourceRequest(uri=uri, access=AccessRequest(**asked))
    return SourceAccess(request, SourceMounts(folder, folder / "secret", folder / "ca"))


def refusal(access: SourceAccess, names: tuple[str, ...]) -> str:
    with pytest.raises(JobFailure) as refused:
        access.require(names)
    assert refused.value.reason == Reason.SOURCE_REFUSED
    assert VALUE not in str(refused.value)
    return str(refused.value)


def test_a_key_is_found_under_any_spelling(tmp_path: Path) -> None:
    access = an_access(tmp_path, keys={"aws_access-keyId": VALUE})

    assert access.find(("AWS_ACCESS_KEY_ID",)) == VALUE


def test_the_kubelets_own_links_are_no_keys(tmp_path: Path) -> None:
    access = an_access(tmp_path, keys={"..data": VALUE, "other": VALUE})

    assert refusal(access, ("token",)).endswith("has no key token (found other)")


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "Secret key is missing in the namespace" in refusal(
        an_access(tmp_path, keys={}), ("token",)
    )


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        JobFailure, match=r"ConfigMap company-ca is missing or has no key 'ca\.crt'"
    ):
        an_access(tmp_path, ca_config_map="company-ca").ca_file()


def test_a_secret_may_carry_the_authority(tmp_path: Path) -> None:
    access = an_access(tmp_path, keys={"ca.crt": "pem", "token": VALUE})

    assert access.ca_file() == tmp_path / "secret" / "ca.crt"


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({}, {"virtual_hosted_style_request": True, "default_region": "us-east-1"}),
        (
            {"endpoint": "https://minio:9000", "region": "eu-1"},
            {
                "virtual_hosted_style_request": False,
                "endpoint": "https://minio:9000",
                "region": "eu-1",
            },
        ),
    ],
)
def test_a_bucket_is_named_in_the_path_of_an_endpoint(
    tmp_path: Path, asked: dict[str, str], settings: dict[str, object]
) -> None:
    assert s3_settings(an_access(tmp_path, keys=None, **asked), "models") == settings


def test_an_endpoint_may_name_a_bucket_in_its_host(tmp_path: Path) -> None:
    access = an_access(tmp_path, endpoint="https://s3.example")
    asked = access.asked.model_copy(update={"path_style": False})
    request = access.request.model_copy(update={"access": asked})

    settings = s3_settings(SourceAccess(request, access.mounts), "models")

    assert settings["endpoint"] == "https://models.s3.example"


def test_endpoint_and_region_of_a_secret_count(tmp_path: Path) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": VALUE,
        "AWS_S3_ENDPOINT": "minio:9000",
        "AWS_DEFAULT_REGION": "eu-1",
    }

    settings = s3_settings(an_access(tmp_path, keys=keys), "models")

    assert (settings["endpoint"], settings["region"]) == ("https://minio:9000", "eu-1")


def test_an_endpoint_without_tls_needs_leave(tmp_path: Path) -> None:
    with pytest.raises(JobFailure, match="found an endpoint with http and no digest"):
        s3_settings(an_access(tmp_path, endpoint="http://minio:9000"), "models")


@pytest.mark.parametrize(
    ("keys", "settings"),
    [
        ({"AZURE_STORAGE_ACCESS_KEY": VALUE}, {"account_key": VALUE}),
        ({"AZURE_STORAGE_SAS_TOKEN": f"?{VALUE}"}, {"sas_key": VALUE}),
        (
            {"AZ_CLIENT_ID": "a", "AZ_CLIENT_SECRET": VALUE, "AZ_TENANT_ID": "c"},
            {"client_id": "a", "client_secret": VALUE, "tenant_id": "c"},
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=ours;AccountKey={VALUE}=="},
            {"account_key": f"{VALUE}=="},
        ),
    ],
)
def test_secrets_for_azure_work_as_they_are(
    tmp_path: Path, keys: dict[str, str], settings: dict[str, str]
) -> None:
    access = an_access(tmp_path, "az://models/1/", keys=keys, account="ours")

    assert azure_settings(access) == {"account_name": "ours", **settings}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"type": "external_account"}', "has type 'external_account', expected service_account"),
        (VALUE, "has type None"),
    ],
)
def test_a_key_file_of_google_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    access = an_access(
        tmp_path, "gs://models/1/", keys={"gcloud-application-credentials.json": text}
    )

    with pytest.raises(JobFailure, match=says) as refused:
        google_settings(access)

    assert VALUE not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://models.example/1", True),
        ("https://127.0.0.1:9000/1", False),
        ("http://minio.storage.svc:9000/1", False),
        ("http://svc/1", False),
        ("http://mysvc/1", True),
        ("https://10.1.2.3/1", False),
        ("https://11.1.2.3/1", True),
        ("https://a.internal/1", False),
    ],
)
def test_a_proxy_is_left_out_for_hosts_domains_and_networks(url: str, fits: bool) -> None:
    proxy = Proxy("http://proxy:3128", ["127.0.0.1", ".svc", "10.0.0.0/8", "*.internal"])

    assert proxy.fits(url) is fits
