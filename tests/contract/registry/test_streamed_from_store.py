"""Large models go from an object store to the registry: in order, nothing twice, nothing mixed."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_TRANSIENT, PackageResult
from slipway.jobs.http import Backoff
from slipway.jobs.sources.streaming import AHEAD_BYTES

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench
from tests.contract.registry.stores import BadWay, Store, Versitygw
from tests.contract.registry.test_stores import LARGE, LOST_BYTES, large, lost_bytes
from tests.contract.registry.test_streamed import copied, digest_of

pytestmark = pytest.mark.stores

OTHER = random.Random(8).randbytes(len(LARGE))


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with stores.running_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with stores.running_azurite(tmp_path_factory.mktemp("azurite")) as store:
        yield store


@pytest.fixture(params=["s3", "az"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "az":
        found: Store = request.getfixturevalue("azurite")
    else:
        found = request.getfixturevalue("versitygw").store()
    found.put(large(LARGE), "large/")
    return found


@pytest.fixture
def way(store: Store) -> Iterator[tuple[BadWay, Store]]:
    host, _, path = store.address.partition("://")[2].partition("/")
    way = BadWay(host)
    with servers.serving(way) as server:
        address = f"http://{server.host}" + (f"/{path}" if path else "")
        yield way, Store(address, store.scheme, store.writer, store.secret)


def package(bench: Bench, store: Store, **changes: Any) -> PackageResult:
    stores.mount_secret(bench.places.source_secret, store.secret)
    access = AccessRequest(secret="key", endpoint=store.address, region=stores.REGION)  # noqa: S106 - a name
    source = SourceRequest(uri=store.uri("large/"), allow_plain_http=True, access=access)
    return bench.package("large/", source=source, **changes)


def expected_digest(bench: Bench) -> str:
    """Digest of the image that the same files give from a claim."""
    for name, data in large(LARGE).items():
        path = bench.places.source / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    result = bench.package("pvc://claim/model", repository=f"{bench.registry}/models/claim")
    return digest_of(result)


def test_a_prefix_is_streamed_into_the_image_that_a_claim_gives_and_then_known(
    bench: Bench, store: Store
) -> None:
    fresh = f"{bench.registry}/models/{store.scheme}"

    first, again = (package(bench, store, repository=fresh) for _ in range(2))

    assert (bench.exit_code, first.error, again.error) == (EXIT_OK, None, None)
    assert "stream" in first.seconds
    assert copied(bench.places.scratch) < 64 * 1024
    assert digest_of(first) == expected_digest(bench)
    assert (again.image, again.reused) == (first.image, True)
    assert "stream" not in again.seconds


@pytest.mark.parametrize("seed", range(3))
def test_connections_that_break_at_random_bytes_fetch_nothing_twice(
    bench: Bench, way: tuple[BadWay, Store], seed: int
) -> None:
    trouble, store = way
    chance = random.Random(seed)
    bench.backoff = Backoff(attempts=60, first_seconds=0.001, most_seconds=0.01)
    trouble.cut_after = [chance.randrange(AHEAD_BYTES // 8) for _ in range(50)]
    fresh = f"{bench.registry}/models/cut-{store.scheme}-{seed}"

    result = package(bench, store, repository=fresh)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert "stream" in result.seconds
    assert digest_of(result) == expected_digest(bench)
    assert not trouble.cut_after
    assert lost_bytes(trouble.asked) <= 50 * LOST_BYTES


def test_a_store_that_stays_away_ends_the_attempt_not_the_job(
    bench: Bench, way: tuple[BadWay, Store]
) -> None:
    trouble, store = way
    trouble.cut_after = [0] * 10_000
    fresh = f"{bench.registry}/models/away-{store.scheme}"

    result = package(bench, store, repository=fresh)

    assert bench.exit_code == EXIT_TRANSIENT
    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_UNAVAILABLE


def test_a_model_that_is_replaced_meanwhile_is_never_mixed(
    bench: Bench, way: tuple[BadWay, Store]
) -> None:
    trouble, store = way
    trouble.after = {10_000_000: lambda: store.put(large(OTHER), "large/")}
    fresh = f"{bench.registry}/models/replaced-{store.scheme}"

    result = package(bench, store, repository=fresh)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert copied(bench.places.scratch) >= len(OTHER)
    found = bench.pull(result.image or "").file("models/digits/1/model.pt")
    assert found == OTHER


def test_an_upload_that_breaks_off_reads_the_store_again_from_there(
    bench: Bench, store: Store
) -> None:
    gate = servers.Gate(bench.registry, cut_uploads_after=[20_000_000, 5_000_000])
    fresh = f"{bench.registry}/models/upload-{store.scheme}"

    with servers.serving(gate) as server:
        setting = bench.order("large/").registries[0].model_copy(update={"endpoint": server.host})
        result = package(bench, store, repository=fresh, registries=[setting])

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert digest_of(result) == expected_digest(bench)
