"""One model in all nine kinds of sources: one digest, one image."""

from collections.abc import Iterator

import pytest
from slipway.api.request import AccessRequest, SourceRequest
from slipway.jobs.sources.fetch import SCHEMES

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench, a_model, a_tar
from tests.contract.registry.hub import Hub
from tests.contract.registry.model_registry import Registry
from tests.contract.registry.stores import Store, Versitygw
from tests.contract.registry.test_artifact import TAR, image_layer, push, titled

pytestmark = pytest.mark.stores

MODEL = {
    "digits/1/model.onnx": a_model(),
    "digits/config.pbtxt": b"max_batch_size: 8\n",
    "digits/labels.txt": b"zero\none\n",
}
LAYER = "application/vnd.oci.image.layer.v1.tar"
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


@pytest.fixture
def models() -> Iterator[str]:
    registry = Registry()
    registry.add(INSIDE, "champion")
    with servers.serving(registry) as server:
        yield f"http://{server.host}"


def test_the_same_files_are_the_same_image_wherever_they_lie(
    bench: Bench, versitygw: Versitygw, azurite: Store, hub: str, models: str
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
    push(bench.registry, [(LAYER, image_layer(INSIDE), {})], repository="cars/digits")
    authority, certificate = servers.make_chain(bench.folder)
    bench.places.source_ca.mkdir()
    (bench.places.source_ca / "ca.crt").write_bytes(authority.read_bytes())

    def source(uri: str, **access: object) -> SourceRequest:
        asked = AccessRequest.model_validate(access)
        return SourceRequest(uri=uri, allow_plain_http=True, access=asked)

    key = {"secret": "key", "region": stores.REGION}
    places = {
        "http": source(bench.shelf.url("/digits.tar.gz")),
        "pvc": source("pvc://models/digits/"),
        "s3": source(s3.uri("digits/"), endpoint=s3.address, **key),
        "gs": source(f"gs://{stores.BUCKET}/digits/", endpoint=s3.address, anonymous=True),
        "az": source(azurite.uri("digits"), endpoint=azurite.address, **key),
        "hf": source("hf://acme/digits", endpoint=hub),
        "mlflow": source("mlflow://digits@champion", endpoint=models),
        "oci": source(
            f"oci://{bench.registry}/models/digits:3", endpoint=f"http://{bench.registry}"
        ),
        "oci-image": source(
            f"oci://{bench.registry}/cars/digits:3", endpoint=f"http://{bench.registry}"
        ),
    }

    made = {}
    secret = {**s3.secret, **azurite.secret, "token": "for the web"}
    with servers.serving(bench.shelf, certificate) as secure:
        address = f"https://{secure.host}/digits.tar.gz"
        places["https"] = source(address, secret="key", ca_config_map="ca")  # noqa: S106 - names
        for place, request in places.items():
            stores.mount_secret(bench.places.source_secret, secret)
            result = bench.package("x", source=request, repository=f"{bench.registry}/made/{place}")
            assert result.error is None, (place, result.error)
            made[place] = (result.model_digest, str(result.image).partition("@")[2])

    assert {request.uri.partition("://")[0] for request in places.values()} == set(SCHEMES)
    assert len(set(made.values())) == 1, made
