"""One model in seven kinds of places: one digest, one image."""

from collections.abc import Iterator

import pytest
from slipway.api.request import AccessRequest, SourceRequest

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench, a_model, a_tar
from tests.contract.registry.hub import Hub
from tests.contract.registry.stores import Store, Versitygw
from tests.contract.registry.test_artifact import TAR, push, titled

pytestmark = pytest.mark.stores

MODEL = {
    "digits/1/model.onnx": a_model(),
    "digits/config.pbtxt": b"max_batch_size: 8\n",
    "digits/labels.txt": b"zero\none\n",
}
INSIDE = {name.removeprefix("digits/"): data for name, data in MODEL.items()}


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with stores.running_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with stores.running_azurite(tmp_path_factory.mktemp("azurite")) as store:
        yield store


@pytest.fixture
def hub() -> Iterator[str]:
    hub = Hub()
    hub.push("main", INSIDE)
    with servers.serving(hub) as server:
        yield f"http://{server.host}"


def test_the_same_files_are_the_same_image_wherever_they_lie(
    bench: Bench, versitygw: Versitygw, azurite: Store, hub: str
) -> None:
    s3 = versitygw.store()
    for store in (s3, azurite):
        store.put(MODEL)
    versitygw.allow_everybody()
    push(bench.registry, [(TAR, data, titled(name)) for name, data in INSIDE.items()])
    for name, data in MODEL.items():
        path = bench.places.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    bench.shelf.files["/digits.tar.gz"] = a_tar(MODEL)

    def source(uri: str, **access: object) -> SourceRequest:
        asked = AccessRequest.model_validate(access)
        return SourceRequest(uri=uri, allow_plain_http=True, access=asked)

    key = {"secret": "key", "region": stores.REGION}
    places = {
        "web": source(bench.shelf.url("/digits.tar.gz")),
        "claim": source("pvc://models/digits/"),
        "s3": source(s3.uri("digits/"), endpoint=s3.address, **key),
        "gs": source(f"gs://{stores.BUCKET}/digits/", endpoint=s3.address, anonymous=True),
        "az": source(azurite.uri("digits"), endpoint=azurite.address, **key),
        "hf": source("hf://acme/digits", endpoint=hub),
        "oci": source(
            f"oci://{bench.registry}/models/digits:3", endpoint=f"http://{bench.registry}"
        ),
    }

    made = {}
    for place, request in places.items():
        secret = {**s3.secret, **azurite.secret}
        stores.mount_secret(bench.places.source_secret, secret)
        result = bench.package("x", source=request, repository=f"{bench.registry}/made/{place}")
        assert result.error is None, (place, result.error)
        made[place] = (result.model_digest, str(result.image).partition("@")[2])

    assert len(set(made.values())) == 1, made
