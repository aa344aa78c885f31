"""Models of MLflow's registry: an alias as its version, its own layout as ONNX, every refusal."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_PERMANENT, EXIT_TRANSIENT, PackageResult

from tests.contract.registry import model_registry, servers, stores
from tests.contract.registry.bench import Bench, Shelf, a_model
from tests.contract.registry.model_registry import OWN_FILES, RealRegistry, Registry

HIDDEN = "a-secret-that-no-message-shows"
CHAMPION = "mlflow://digits@champion"


@pytest.fixture
def registry_of_models() -> Iterator[tuple[Registry, str]]:
    registry = Registry()
    with servers.serving(registry) as server:
        yield registry, f"http://{server.host}"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with model_registry.running_mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.stores)])
def either(request: pytest.FixtureRequest) -> tuple[Callable[..., str], str]:
    """How to log a model, and the tracking server's address: of MLflow, and of our own."""
    if request.param == "real":
        real: RealRegistry = request.getfixturevalue("real")
        return real.log, real.address
    registry, address = request.getfixturevalue("registry_of_models")
    return registry.log, address


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path) -> Bench:
    return Bench("registry.invalid", shelf, tmp_path)


def fetch(
    bench: Bench,
    endpoint: str | None,
    uri: str = CHAMPION,
    secret: dict[str, str] | None = None,
    **access: Any,
) -> PackageResult:
    if secret is not None:
        stores.mount_secret(bench.places.source_secret, secret)
        access = {"secret": "mlflow-key", **access}
    asked = AccessRequest(endpoint=endpoint, **access)
    order = SourceRequest(uri=uri, allow_plain_http=True, access=asked)
    result = bench.package("m", source=order, mode=PackageMode.FETCH)
    assert result.error is None or HIDDEN not in result.error.message
    return result


def error_of(result: PackageResult) -> tuple[str, str]:
    assert result.error is not None
    return result.error.reason, result.error.message


class TestOfBothServers:
    def test_a_logged_model_has_the_digest_that_its_graph_has_everywhere(
        self, bench: Bench, either: tuple[Callable[..., str], str]
    ) -> None:
        log, address = either
        log(a_model(), name="same")
        bench.shelf.files["/model.onnx"] = a_model()
        expected = bench.package("/model.onnx", mode=PackageMode.FETCH)

        result = fetch(bench, address, "mlflow://same@champion")

        assert (bench.exit_code, result.error, result.format) == (EXIT_OK, None, "ONNX")
        assert result.model_digest == expected.model_digest

    def test_an_alias_that_moves_has_other_bytes_and_leaves_the_version_as_it_was(
        self, bench: Bench, either: tuple[Callable[..., str], str]
    ) -> None:
        log, address = either
        log(a_model(), name="moves")
        before = fetch(bench, address, "mlflow://moves@champion")
        log(a_model(8), name="moves")

        after = fetch(bench, address, "mlflow://moves@champion")
        frozen = fetch(bench, address, str(before.origin))

        assert (before.origin, after.origin) == ("mlflow://moves/1", "mlflow://moves/2")
        assert before.model_digest != after.model_digest
        assert (frozen.error, frozen.model_digest) == (None, before.model_digest)

    @pytest.mark.parametrize(
        ("uri", "says"),
        [
            ("mlflow://nothing@champion", "there is no model 'nothing' with alias 'champion'"),
            ("mlflow://known@nothing", "there is no model 'known' with alias 'nothing'"),
            ("mlflow://known/9", "there is no model 'known' with version 9"),
        ],
    )
    def test_what_is_not_there_is_named(
        self, bench: Bench, either: tuple[Callable[..., str], str], uri: str, says: str
    ) -> None:
        log, address = either
        log(a_model(), name="known")

        reason, message = error_of(fetch(bench, address, uri))

        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_NOT_FOUND)
        assert says in message


@pytest.mark.stores
def test_files_in_an_object_store_are_read_there(
    bench: Bench, real: RealRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "versitygw"
    folder.mkdir()
    with stores.running_versitygw(folder) as gateway:
        s3 = gateway.store()
        s3.put({"model.onnx": a_model(), **OWN_FILES}, "mlflow/7/")
        real.register(s3.uri("mlflow/7"), "elsewhere")
        secret = {**s3.secret, "MLFLOW_S3_ENDPOINT_URL": s3.address, "AWS_REGION": stores.REGION}

        result = fetch(bench, real.address, "mlflow://elsewhere@champion", secret)

    assert (result.error, result.format, result.origin) == (None, "ONNX", "mlflow://elsewhere/1")


class TestWhoMayNot:
    @pytest.mark.parametrize(
        "secret",
        [
            {"MLFLOW_TRACKING_TOKEN": HIDDEN},
            {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": HIDDEN},
        ],
    )
    def test_the_keys_that_mlflow_knows_let_one_in(
        self, bench: Bench, registry_of_models: tuple[Registry, str], secret: dict[str, str]
    ) -> None:
        registry, address = registry_of_models
        registry.log(a_model())
        if "MLFLOW_TRACKING_TOKEN" in secret:
            registry.token = HIDDEN
        else:
            registry.password = HIDDEN

        assert fetch(bench, address, secret=secret).error is None

    def test_a_secret_may_have_the_address_too(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.log(a_model())

        assert fetch(bench, None, secret={"MLFLOW_TRACKING_URI": address}).error is None

    def test_without_credentials_the_keys_are_named(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.token = HIDDEN

        reason, message = error_of(fetch(bench, address))

        assert reason == Reason.SOURCE_REFUSED
        assert "the tracking server asks for credentials (401)" in message
        assert "a Secret with MLFLOW_TRACKING_TOKEN" in message

    def test_a_wrong_token_is_named_by_its_secret(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.token = "other"  # noqa: S105 - of the test

        _, message = error_of(fetch(bench, address, secret={"MLFLOW_TRACKING_TOKEN": HIDDEN}))

        assert "Secret mlflow-key may not read model 'digits'" in message

    def test_a_server_that_nobody_named_is_asked_for(self, bench: Bench) -> None:
        assert "found no tracking server, expected" in error_of(fetch(bench, None))[1]

    def test_a_server_without_tls_needs_leave(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        access = AccessRequest(endpoint=registry_of_models[1])
        source = SourceRequest(uri=CHAMPION, access=access)

        result = bench.package("m", source=source, mode=PackageMode.FETCH)

        assert "found an endpoint with http and no digest" in error_of(result)[1]


class TestTrouble:
    def test_a_busy_server_and_a_broken_file_are_waited_for(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.log(a_model())
        registry.statuses, registry.cut_after = [503, 429], [10]

        assert fetch(bench, address).error is None

    def test_a_server_that_stays_away_is_tried_again_later(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.statuses = [503] * 6

        reason, message = error_of(fetch(bench, address))

        assert (bench.exit_code, reason) == (EXIT_TRANSIENT, Reason.SOURCE_UNAVAILABLE)
        assert "found status 503, 6 times in a row" in message

    def test_a_version_that_is_still_being_registered_is_waited_for(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.log(a_model())
        registry.status = "PENDING_REGISTRATION"

        reason, _ = error_of(fetch(bench, address))

        assert (bench.exit_code, reason) == (EXIT_TRANSIENT, Reason.SOURCE_UNAVAILABLE)

    @pytest.mark.parametrize(
        ("place", "says"),
        [
            ("file:///mlruns/1/model", "the files are at file:, which nobody else can read"),
            ("mlflow-artifacts://other.example/1/m", "behind another server, other.example"),
            ("mlflow-artifacts:/1/../../etc", "the artifacts' path contains '..'"),
        ],
    )
    def test_files_that_cannot_be_read_from_here_are_said_to_be_elsewhere(
        self, bench: Bench, registry_of_models: tuple[Registry, str], place: str, says: str
    ) -> None:
        registry, address = registry_of_models
        registry.places["digits", registry.log(a_model())] = place

        reason, message = error_of(fetch(bench, address))

        assert (reason, says in message) == (Reason.SOURCE_REFUSED, True), message

    def test_a_server_that_does_not_know_its_own_name_is_told_how_to_start(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        registry.knows_its_name = False

        _, message = error_of(fetch(bench, address))

        assert f"start it with --allowed-hosts {address.partition('//')[2]} (403)" in message

    def test_something_else_than_mlflow_is_named(self, bench: Bench) -> None:
        bench.shelf.files["/api/2.0/mlflow/registered-models/alias"] = b"<html>"
        address = bench.shelf.url("")

        reason, message = error_of(fetch(bench, address))

        assert reason == Reason.SOURCE_REFUSED
        assert f"found an answer that is not MLflow's at {address}" in message


class TestLayouts:
    def test_files_beside_the_graph_are_kept_and_mlflows_own_are_not(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        model = {"model.onnx": a_model(), "labels.txt": b"zero\none\n"}
        own = {**OWN_FILES, "metadata/MLmodel": b"", "code/train.py": b""}
        registry.add({**model, **own}, "champion")
        registry.add(model, "plain")

        logged = fetch(bench, address)
        plain = fetch(bench, address, "mlflow://digits@plain")

        assert (logged.error, plain.error) == (None, None)
        assert logged.model_digest == plain.model_digest

    def test_of_the_flavour_triton_the_directory_of_its_data_is_served(
        self, bench: Bench, registry_of_models: tuple[Registry, str]
    ) -> None:
        registry, address = registry_of_models
        repository = {"1/model.onnx": a_model(), "config.pbtxt": b"max_batch_size: 8\n"}
        description = b"flavors: {triton: {data: digits, triton_version: 2.51.0}}\n"
        files = {f"digits/{name}": data for name, data in repository.items()}
        registry.add({**files, "MLmodel": description}, "champion")
        registry.add(repository, "plain")

        logged = fetch(bench, address)
        plain = fetch(bench, address, "mlflow://digits@plain")

        assert (logged.error, plain.error) == (None, None)
        assert logged.model_digest == plain.model_digest

    @pytest.mark.parametrize(
        ("description", "says"),
        [
            (
                b"flavors: {sklearn: {}, python_function: {}}\n",
                "python_function, sklearn, expected",
            ),
            (b"flavors: {onnx: {data: other.onnx}}\n", "names the data 'other.onnx', and they are"),
            (b"flavors: {onnx: {}}\n", "found flavors.onnx.data 'None', expected a path"),
            (b"flavors: [\n", "MLmodel is not YAML with a map of flavors"),
            (b"- 1\n", "MLmodel is not YAML with a map of flavors"),
        ],
    )
    def test_a_model_that_is_no_onnx_is_refused_by_its_flavours(
        self,
        bench: Bench,
        registry_of_models: tuple[Registry, str],
        description: bytes,
        says: str,
    ) -> None:
        registry, address = registry_of_models
        registry.add({"MLmodel": description, "model.onnx": a_model()}, "champion")

        reason, message = error_of(fetch(bench, address))

        assert (reason, says in message) == (Reason.SOURCE_REFUSED, True), message
