"""Where the files of a registered model are read, and whose keys are shown there."""

from pathlib import Path

import pytest
from slipway.errors import JobFailure
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.mlflow_store import access_artifact_store

from tests.unit.jobs.sources.test_access import VALUE, an_access

S3_KEYS = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": VALUE}
TOKEN = {"MLFLOW_TRACKING_TOKEN": VALUE}
SERVER = "https://mlflow.example.com"


def a_registry(folder: Path, keys: dict[str, str] | None = None, **asked: str) -> SourceAccess:
    return an_access(folder, "mlflow://digits@champion", keys=keys, endpoint=SERVER, **asked)


@pytest.mark.parametrize(
    ("place", "uri", "account"),
    [
        ("s3://models/0/models/m-1/artifacts", "s3://models/0/models/m-1/artifacts", None),
        ("gs://models/a b", "gs://models/a%20b", None),
        ("wasbs://models@acme.blob.core.windows.net/1/m", "az://models/1/m", "acme"),
        ("abfss://models@acme.dfs.core.windows.net/1/m", "az://models/1/m", "acme"),
    ],
)
def test_an_address_of_the_registry_is_one_of_a_source(
    tmp_path: Path, place: str, uri: str, account: str | None
) -> None:
    store = access_artifact_store(a_registry(tmp_path), place)

    assert (store.request.uri, store.asked.account) == (uri, account)


@pytest.mark.parametrize(
    "place", ["file:///mlruns/1", "dbfs:/mlruns/1", "wasbs://acme.example/1", "s3:///1", "/mlruns"]
)
def test_an_address_in_no_object_store_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(JobFailure, match="which nobody else can read"):
        access_artifact_store(a_registry(tmp_path), place)


def test_the_tracking_servers_address_is_not_the_stores(tmp_path: Path) -> None:
    keys = {**S3_KEYS, "MLFLOW_S3_ENDPOINT_URL": "https://minio.example.com"}

    assert access_artifact_store(a_registry(tmp_path), "s3://models/1").asked.endpoint is None
    store = access_artifact_store(a_registry(tmp_path, keys), "s3://models/1")
    assert store.asked.endpoint == "https://minio.example.com"


@pytest.mark.parametrize(("keys", "secret"), [(TOKEN, None), ({**TOKEN, **S3_KEYS}, "key")])
def test_a_secret_for_the_server_alone_leaves_the_store_to_the_pods_identity(
    tmp_path: Path, keys: dict[str, str], secret: str | None
) -> None:
    access = a_registry(tmp_path, keys, service_account="reader")

    assert access_artifact_store(access, "s3://models/1").asked.secret == secret


def test_without_an_identity_the_keys_that_the_store_needs_are_named(tmp_path: Path) -> None:
    store = access_artifact_store(a_registry(tmp_path, TOKEN), "s3://models/1")

    with pytest.raises(JobFailure, match="Secret key has no key AWS_ACCESS_KEY_ID"):
        store.require(("AWS_ACCESS_KEY_ID",))
