"""How a source is reached: the spec, the operator's stores and its proxy."""

from typing import Any

import pytest
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.request import AccessRequest
from slipway.errors import SpecError
from slipway.policy.identity import resolve
from slipway.policy.source_access import is_open_to_change, resolve_access
from slipway.settings import (
    JobSettings,
    ModelPodSettings,
    ProxySettings,
    Settings,
    SourceSettings,
    StoreSettings,
)

from tests.builders import a_model_deployment

MINIO = StoreSettings(
    name="minio",
    prefixes=["s3://models/"],
    endpoint="http://minio.storage:9000",
    region="eu-1",
    credentials_secret="minio-reader",  # noqa: S106 - a name
    ca_config_map="company-ca",
)
EVERYTHING = StoreSettings(name="aws", prefixes=["s3://"], service_account_name="reader")
DIGEST = "sha256:" + "ab" * 32


def a_source(uri: str = "s3://models/digits/3/", **fields: Any) -> ModelDeployment:
    return a_model_deployment(model={"source": {"uri": uri, **fields}})


def access_of(
    md: ModelDeployment, *stores: StoreSettings, proxy: str = "", namespace: str = "vision"
) -> AccessRequest | None:
    settings = Settings(
        sources=SourceSettings(stores=list(stores)),
        jobs=JobSettings(proxy=ProxySettings(url=proxy, no_proxy=[".svc"])),
    )
    return resolve_access(md.spec.model.source, namespace, settings)


def test_an_address_that_says_it_all_needs_nothing() -> None:
    assert access_of(a_source("https://models.example/1.onnx"), MINIO, proxy="") is None


def test_a_claim_is_reached_by_no_store_and_no_proxy() -> None:
    assert access_of(a_source("pvc://models/1"), MINIO, proxy="http://proxy:1") is None


def test_the_store_with_the_longest_prefix_says_how_it_is_reached() -> None:
    access = access_of(a_source(), EVERYTHING, MINIO)

    assert access == AccessRequest(
        store="minio",
        secret="minio-reader",  # noqa: S106 - a name
        endpoint="http://minio.storage:9000",
        region="eu-1",
        ca_config_map="company-ca",
    )


def test_a_tracking_server_is_a_store_of_the_platform() -> None:
    server = StoreSettings(
        name="registry", prefixes=["mlflow://"], endpoint="https://mlflow.example.com"
    )

    access = access_of(a_source("mlflow://digits@champion"), server)

    assert access == AccessRequest(store="registry", endpoint="https://mlflow.example.com")


def test_a_store_may_be_named_that_has_another_prefix_or_none() -> None:
    access = access_of(a_source("s3://other/1/", store="minio"), EVERYTHING, MINIO)

    assert access is not None
    assert access.store == "minio"


def test_what_the_spec_says_comes_first() -> None:
    md = a_source(
        connection={"region": "us-1", "endpoint": "https://other.example"},
        credentialsSecretRef={"name": "mine"},
    )

    access = access_of(md, MINIO)

    assert access is not None
    assert (access.region, access.endpoint, access.secret) == (
        "us-1",
        "https://other.example",
        "mine",
    )
    assert access.ca_config_map == "company-ca"


@pytest.mark.parametrize(
    "fields",
    [
        {"connection": {"anonymous": True}},
        {"serviceAccountName": "me"},
        {"credentialsSecretRef": {"name": "mine"}},
    ],
)
def test_credentials_come_from_one_side_only(fields: dict[str, Any]) -> None:
    both = MINIO.model_copy(update={"service_account_name": "theirs"})

    access = access_of(a_source(**fields), both)

    assert access is not None
    assert access.secret != "minio-reader"  # noqa: S105 - a name
    assert access.service_account != "theirs"


def test_a_store_is_for_its_namespaces() -> None:
    private = MINIO.model_copy(update={"namespaces": ["speech"]})

    assert access_of(a_source(), private) is None
    assert access_of(a_source(), private, namespace="speech") is not None


def test_the_proxy_is_that_of_the_spec_else_the_store_else_all_jobs() -> None:
    store = MINIO.model_copy(update={"proxy": "http://store:1"})
    md, own = a_source(), a_source(connection={"proxy": "http://own:1"})

    found = [
        access_of(own, store, proxy="http://jobs:1"),
        access_of(md, store, proxy="http://jobs:1"),
        access_of(md, MINIO, proxy="http://jobs:1"),
    ]

    assert [access.proxy for access in found if access] == [
        "http://own:1",
        "http://store:1",
        "http://jobs:1",
    ]
    assert all(access.no_proxy == [".svc"] for access in found if access)


@pytest.mark.parametrize("field", ["source", "goldenSet"])
def test_a_store_that_does_not_exist_is_refused_with_those_that_do(field: str) -> None:
    source = {"uri": "s3://models/1/"}
    model = {"source": source, field: {**source, "store": "minoi"}}
    md = a_model_deployment(model=model)

    with pytest.raises(SpecError) as refused:
        resolve(md, Settings(sources=SourceSettings(stores=[MINIO, EVERYTHING])))

    assert refused.value.path == f"spec.model.{field}.store"
    assert "found 'minoi'" in refused.value.problem
    assert "minio, aws" in refused.value.problem


@pytest.mark.parametrize("field", ["source", "goldenSet"])
def test_an_account_that_pods_must_not_name_is_none_for_jobs_either(field: str) -> None:
    source = {"uri": "s3://models/1/"}
    model = {"source": source, field: {**source, "serviceAccountName": "admin"}}

    with pytest.raises(SpecError, match="serviceAccountName: the operator's settings forbid"):
        resolve(
            a_model_deployment(model=model),
            Settings(model_pods=ModelPodSettings(forbid=["serviceAccountName"])),
        )


@pytest.mark.parametrize(
    ("md", "is_open"),
    [
        (a_source("http://models.example/1.onnx"), True),
        (a_source("http://models.example/1.onnx", digest=DIGEST), False),
        (a_source("https://models.example/1.onnx"), False),
        (a_source("s3://x/", connection={"endpoint": "http://minio:9000"}), True),
        (a_source("s3://models/", connection={"endpoint": "http://mine:9000"}), True),
        (a_source("s3://models/1/"), False),
    ],
)
def test_plain_http_needs_a_pin_or_the_administrators_word(
    md: ModelDeployment, is_open: bool
) -> None:
    settings = Settings(sources=SourceSettings(stores=[MINIO]))

    assert is_open_to_change(md.spec.model.source, "vision", settings) is is_open


def test_two_stores_of_one_name_stop_the_operator() -> None:
    with pytest.raises(ValueError, match="'minio' twice"):
        SourceSettings(stores=[MINIO, MINIO])
