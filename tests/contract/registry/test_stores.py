"""Models in object stores: one digest wherever they lie, and every trouble named."""

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_PERMANENT, EXIT_TRANSIENT, PackageResult
from slipway.jobs.http import Backoff
from slipway.jobs.sources.parts import PART_BYTES

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench, Shelf, a_model, a_tar
from tests.contract.registry.servers import RecordingServer
from tests.contract.registry.stores import Asked, BadWay, Store, Versitygw

pytestmark = pytest.mark.stores

MODEL = {"1/model.onnx": a_model(), "config.pbtxt": b"max_batch_size: 8\n"}
LARGE = random.Random(7).randbytes(40 * 2**20 + 12345)
"""Three parts, the last one short."""


TENSORS = b"""input [{ name: "INPUT__0" data_type: TYPE_FP32 dims: [3] }]
output [{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] }]"""
LOST_BYTES = 2**20
"""Most bytes that are on their way when a connection breaks."""


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with stores.running_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(versitygw: Versitygw) -> Store:
    store = versitygw.store()
    store.put(MODEL, "digits/3/")
    store.put({"digits.tar.gz": a_tar(MODEL), "plain.onnx": a_model()})
    store.put(large(LARGE), "large/")
    return store


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with stores.running_azurite(tmp_path_factory.mktemp("azurite")) as store:
        store.put(MODEL, "digits/3/")
        store.put({"digits.tar.gz": a_tar(MODEL), "plain.onnx": a_model()})
        yield store


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path) -> Bench:
    return Bench("registry.invalid", shelf, tmp_path)


def large(data: bytes) -> dict[str, bytes]:
    """A model whose file may be anything."""
    return {"1/model.pt": data, "config.pbtxt": TENSORS}


def fetched(bench: Bench) -> bytes:
    """What came of the file of a large model."""
    return (bench.places.scratch / "download" / "1" / "model.pt").read_bytes()


def fetch(
    bench: Bench, store: Store, path: str, secret: dict[str, str] | None = None, **access: Any
) -> PackageResult:
    """Run a Job in Fetch mode, with the store's own Secret unless another is given."""
    stores.mount_secret(bench.places.source_secret, store.secret if secret is None else secret)
    known = {"secret": "models-key", "endpoint": store.address, "region": stores.REGION}
    source = SourceRequest(
        uri=store.uri(path), allow_plain_http=True, access=AccessRequest(**{**known, **access})
    )
    return bench.package(path, source=source, mode=PackageMode.FETCH)


def error_of(result: PackageResult) -> tuple[str, str]:
    assert result.error is not None
    assert stores.PASSWORD not in result.error.message
    return result.error.reason, result.error.message


@pytest.mark.parametrize("path", ["digits/3/", "digits/3", "digits.tar.gz"])
@pytest.mark.parametrize("kind", ["s3", "azurite"])
def test_a_prefix_and_an_archive_of_it_are_the_same_model(
    bench: Bench, kind: str, path: str, request: pytest.FixtureRequest
) -> None:
    bench.shelf.files["/digits.tar.gz"] = a_tar(MODEL)
    expected = bench.package("/digits.tar.gz", mode=PackageMode.FETCH)

    result = fetch(bench, request.getfixturevalue(kind), path)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert result.model_digest == expected.model_digest


def test_one_object_is_one_model_file(bench: Bench, s3: Store) -> None:
    result = fetch(bench, s3, "plain.onnx")

    assert (result.error, result.format) == (None, "ONNX")


def test_an_image_without_certificates_reads_as_well(
    bench: Bench, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")

    assert fetch(bench, s3, "plain.onnx").error is None


class TestWhoMayNot:
    def test_an_unknown_key_is_named_with_its_secret(self, bench: Bench, s3: Store) -> None:
        secret = {**s3.secret, "AWS_ACCESS_KEY_ID": "who"}

        reason, message = error_of(fetch(bench, s3, "plain.onnx", secret))

        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert "does not know the access key of Secret models-key" in message

    @pytest.mark.parametrize("path", ["plain.onnx", "digits/3/"])
    def test_a_wrong_secret_key_is_told_from_an_unknown_one(
        self, bench: Bench, s3: Store, path: str
    ) -> None:
        secret = {**s3.secret, "AWS_SECRET_ACCESS_KEY": "x"}

        reason, message = error_of(fetch(bench, s3, path, secret))

        assert reason == Reason.SOURCE_REFUSED
        assert "the secret key of Secret models-key does not fit" in message

    def test_a_missing_secret_is_named_and_holds_nothing_up(self, bench: Bench, s3: Store) -> None:
        reason, message = error_of(fetch(bench, s3, "plain.onnx", {}))

        assert reason == Reason.SOURCE_REFUSED
        assert "Secret models-key is missing in the namespace, or empty" in message

    def test_a_missing_key_of_a_secret_is_named(self, bench: Bench, s3: Store) -> None:
        secret = {"AWS_ACCESS_KEY_ID": stores.USER, "other": "x"}

        _, message = error_of(fetch(bench, s3, "plain.onnx", secret))

        assert (
            "Secret models-key has no key AWS_SECRET_ACCESS_KEY (found AWS_ACCESS_KEY_ID" in message
        )

    def test_nobody_is_told_what_to_set(self, bench: Bench, s3: Store) -> None:
        result = fetch(bench, s3, "plain.onnx", secret=None, anonymous=True)

        reason, message = error_of(result)
        assert reason == Reason.SOURCE_REFUSED
        assert "plain.onnx in models" in message

    def test_another_region_is_named(self, bench: Bench, s3: Store) -> None:
        reason, message = error_of(fetch(bench, s3, "plain.onnx", region="us-west-2"))

        assert reason == Reason.SOURCE_REFUSED
        assert f"found region us-west-2, expected region {stores.REGION}" in message

    @pytest.mark.parametrize("path", ["digits/3/", "digits/3"])
    def test_who_may_read_but_not_list_is_told_so(
        self, bench: Bench, versitygw: Versitygw, s3: Store, path: str
    ) -> None:
        secret = versitygw.let_read_only("reads-only")

        one = fetch(bench, s3, "plain.onnx", secret)
        reason, message = error_of(fetch(bench, s3, path, secret))

        assert one.error is None
        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert (
            "digits/3 in models: Secret models-key may not read it, or it is not there" in message
        )
        assert "403 AccessDenied" in message

    def test_a_token_of_azure_that_has_expired_is_named(self, bench: Bench, azurite: Store) -> None:
        now = datetime.now(UTC)
        account = {"AZURE_STORAGE_ACCOUNT": stores.AZURITE_ACCOUNT}

        def with_token(ends: datetime) -> PackageResult:
            token = stores.sign_azure_container(now - timedelta(hours=2), ends)
            return fetch(
                bench, azurite, "digits/3/", {**account, "AZURE_STORAGE_SAS_TOKEN": f"?{token}"}
            )

        valid = with_token(now + timedelta(hours=1))
        reason, message = error_of(with_token(now - timedelta(hours=1)))

        assert valid.error is None
        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert "Secret models-key may not read it, its token has expired" in message

    def test_a_wrong_key_of_azure(self, bench: Bench, azurite: Store) -> None:
        secret = {**azurite.secret, "AZURE_STORAGE_KEY": "bm8="}

        reason, message = error_of(fetch(bench, azurite, "plain.onnx", secret))

        assert reason == Reason.SOURCE_REFUSED
        assert "Secret models-key" in message


@pytest.mark.parametrize("kind", ["s3", "azurite"])
@pytest.mark.parametrize("path", ["nothing.onnx", "nothing/"])
def test_what_is_not_there_is_named(
    bench: Bench, kind: str, path: str, request: pytest.FixtureRequest
) -> None:
    reason, message = error_of(fetch(bench, request.getfixturevalue(kind), path))

    assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_NOT_FOUND)
    assert "nothing" in message


def test_a_bucket_that_is_not_there_is_named(bench: Bench, s3: Store) -> None:
    stores.mount_secret(bench.places.source_secret, s3.secret)
    access = AccessRequest(secret="k", endpoint=s3.address, region=stores.REGION)  # noqa: S106
    source = SourceRequest(uri="s3://nobody/x/", allow_plain_http=True, access=access)

    reason, message = error_of(bench.package("x", source=source, mode=PackageMode.FETCH))

    assert (reason, "there is no bucket 'nobody'" in message) == (Reason.SOURCE_NOT_FOUND, True)


@pytest.mark.parametrize(
    ("names"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("awsAccessKeyID", "awsSecretAccessKey"),
        ("accesskey", "secretkey"),
        ("access-key-id", "secret-access-key"),
        ("rootUser", "rootPassword"),
    ],
    ids=" ".join,
)
def test_secrets_that_users_have_work_as_they_are(
    bench: Bench, s3: Store, names: tuple[str, str]
) -> None:
    secret = dict(zip(names, (stores.USER, stores.PASSWORD), strict=True))

    assert fetch(bench, s3, "plain.onnx", secret).error is None


def lost_bytes(asked: list[Asked]) -> int:
    """How many bytes were sent and asked for again, of parts that broke off.

    What arrived in one piece must not be asked for a second time, nor a byte before those.
    """
    lost = 0
    for part in {(part.key, part.end): None for part in asked}:
        tries = [item for item in asked if (item.key, item.end) == part]
        assert not any(item.is_whole for item in tries[:-1]), f"{part} was fetched twice"
        for before, after in pairwise(tries):
            assert after.start >= before.start, f"{part} began anew"
            lost += before.start + before.sent - after.start
    return lost


class TestTroubleOnTheWay:
    @pytest.fixture
    def way(self, versitygw: Versitygw, s3: Store) -> Iterator[tuple[BadWay, Store]]:
        way = BadWay(f"127.0.0.1:{versitygw.port}")
        with servers.serving(way) as server:
            yield way, Store(f"http://{server.host}", "s3", s3.writer, s3.secret)

    @pytest.fixture
    def way_to_azure(self, azurite: Store) -> Iterator[tuple[BadWay, Store]]:
        azurite.put(large(LARGE), "large/")
        way = BadWay(azurite.address.split("/")[2])
        with servers.serving(way) as server:
            address = f"http://{server.host}/{stores.AZURITE_ACCOUNT}"
            yield way, Store(address, "az", azurite.writer, azurite.secret)

    @pytest.mark.parametrize("kind", ["way", "way_to_azure"])
    @pytest.mark.parametrize("seed", range(5))
    def test_connections_that_break_at_random_bytes_fetch_nothing_twice(
        self, bench: Bench, kind: str, seed: int, request: pytest.FixtureRequest
    ) -> None:
        trouble, store = request.getfixturevalue(kind)
        chance = random.Random(seed)
        trouble.cut_after = [chance.randrange(PART_BYTES // 4) for _ in range(10)]

        result = fetch(bench, store, "large/")

        assert (result.error, result.bytes) == (None, len(LARGE) + len(TENSORS))
        assert fetched(bench) == LARGE
        assert not trouble.cut_after
        assert lost_bytes(trouble.asked) <= 10 * LOST_BYTES

    def test_a_store_that_is_killed_at_50_random_bytes_sends_no_part_twice(
        self, bench: Bench, way: tuple[BadWay, Store], versitygw: Versitygw
    ) -> None:
        trouble, store = way
        bench.backoff = Backoff(attempts=60, first_seconds=0.02, most_seconds=0.1)
        kills: list[int] = []
        one_after_the_other = threading.Lock()

        def crash() -> None:
            with one_after_the_other:
                kills.append(trouble.sent)
                versitygw.kill()
                versitygw.start_again()

        chance = random.Random(11)
        trouble.after = dict.fromkeys(chance.sample(range(len(LARGE)), 50), crash)

        result = fetch(bench, store, "large/")

        assert result.error is None
        assert fetched(bench) == LARGE
        assert len(kills) == 50
        # Of each part that was under way at a kill, what had left the store and not arrived.
        assert lost_bytes(trouble.asked) <= 50 * 3 * LOST_BYTES

    def test_a_node_whose_clock_differs_is_told_so_by_the_store_itself(
        self, bench: Bench, way: tuple[BadWay, Store]
    ) -> None:
        trouble, store = way
        trouble.clock_is_ahead = timedelta()
        right = fetch(bench, store, "plain.onnx")
        trouble.clock_is_ahead = timedelta(minutes=20)

        reason, message = error_of(fetch(bench, store, "plain.onnx"))

        assert right.error is None
        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert "the clock of this node differs too much from the store's" in message
        assert "RequestTimeTooSkewed" in message

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_store_that_is_busy_is_waited_for(
        self, bench: Bench, way: tuple[BadWay, Store], status: int
    ) -> None:
        trouble, store = way
        body = b"<Error><Code>SlowDown</Code></Error>" if status == 503 else b""
        trouble.refusals = [(status, {"Retry-After": "1"}, body)] * 4

        assert fetch(bench, store, "plain.onnx").error is None

    def test_a_store_that_stays_busy_ends_the_job_for_now(
        self, bench: Bench, way: tuple[BadWay, Store]
    ) -> None:
        trouble, store = way
        trouble.refusals = [(503, {}, b"")] * 100

        reason, message = error_of(fetch(bench, store, "plain.onnx"))

        assert (bench.exit_code, reason) == (EXIT_TRANSIENT, Reason.SOURCE_UNAVAILABLE)
        assert "found status 503" in message
        assert "plain.onnx" in message

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("ExpiredToken", "the session token of Secret models-key has expired"),
            ("RequestTimeTooSkewed", "the clock of this node differs too much"),
            ("AccessDenied", "Secret models-key may not read it"),
        ],
    )
    def test_what_the_store_says_in_a_code_is_said_in_words(
        self, bench: Bench, way: tuple[BadWay, Store], code: str, says: str
    ) -> None:
        trouble, store = way
        body = f"<Error><Code>{code}</Code><StringToSign>hidden-words</StringToSign></Error>"
        trouble.refusals = [(403, {}, body.encode())] * 9

        reason, message = error_of(fetch(bench, store, "plain.onnx"))

        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert says in message
        assert code in message
        assert "hidden-words" not in message

    def test_a_store_that_is_killed_and_comes_back_is_waited_for(
        self, bench: Bench, way: tuple[BadWay, Store], versitygw: Versitygw
    ) -> None:
        trouble, store = way
        bench.backoff = Backoff(attempts=30, first_seconds=0.1, most_seconds=0.5)

        def crash() -> None:
            versitygw.kill()
            versitygw.start_again()

        trouble.after[len(LARGE) // 2] = crash

        result = fetch(bench, store, "large/")

        assert (result.error, result.bytes) == (None, len(LARGE) + len(TENSORS))
        assert fetched(bench) == LARGE

    @pytest.mark.parametrize("kind", ["way", "way_to_azure"])
    def test_an_object_that_is_replaced_meanwhile_is_never_mixed(
        self, bench: Bench, kind: str, request: pytest.FixtureRequest
    ) -> None:
        trouble, store = request.getfixturevalue(kind)
        first, second = b"1" * len(LARGE), b"2" * (len(LARGE) + 5)
        store.put(large(first), "changing/")
        trouble.after[len(LARGE) // 2] = lambda: store.put(large(second), "changing/")

        result = fetch(bench, store, "changing/")

        assert result.error is None
        assert fetched(bench) == second

    def test_a_file_that_is_added_meanwhile_is_part_of_it(
        self, bench: Bench, way: tuple[BadWay, Store], s3: Store
    ) -> None:
        trouble, store = way
        s3.put({"1/model.onnx": a_model(), "1/weights.bin": LARGE}, "growing/")
        trouble.after[1] = lambda: s3.put({"config.pbtxt": b"max_batch_size: 4"}, "growing/")

        fetch(bench, store, "growing/")

        names = sorted(path.name for path in (bench.places.scratch / "download").rglob("*.*"))
        assert names == ["config.pbtxt", "model.onnx", "weights.bin"]


def test_5000_files_are_one_model(bench: Bench, versitygw: Versitygw, s3: Store) -> None:
    folder = versitygw.folder / "buckets" / stores.BUCKET / "many" / "1"
    (folder / "weights").mkdir(parents=True)
    (folder / "model.py").write_bytes(b"x = 1")
    (folder.parent / "config.pbtxt").write_bytes(b'backend: "python"\n' + TENSORS)
    for number in range(5000):
        (folder / "weights" / f"{number:04}.bin").write_bytes(b"%d" % number)

    result = fetch(bench, s3, "many/")

    assert (result.error, result.format) == (None, "Python")
    found = list((bench.places.scratch / "download").rglob("*.bin"))
    assert len(found) == 5000
    assert all(int(path.read_bytes()) == int(path.stem) for path in found)


class TestPrivateAuthority:
    @pytest.fixture
    def chain(self, tmp_path: Path) -> tuple[Path, servers.Certificate]:
        return servers.make_chain(tmp_path)

    @pytest.fixture
    def secure(
        self, versitygw: Versitygw, s3: Store, chain: tuple[Path, servers.Certificate]
    ) -> Iterator[Store]:
        del s3  # has put the files
        server = Versitygw.start(versitygw.folder, tls=chain[1])
        yield Store(f"https://127.0.0.1:{server.port}", "s3", versitygw.store().writer, {})
        server.kill()

    def test_a_config_map_lets_it_be_trusted(
        self, bench: Bench, secure: Store, s3: Store, chain: tuple[Path, servers.Certificate]
    ) -> None:
        bench.places.source_ca.mkdir()
        (bench.places.source_ca / "ca.crt").write_bytes(chain[0].read_bytes())

        result = fetch(bench, secure, "plain.onnx", dict(s3.secret), ca_config_map="company-ca")

        assert result.error is None

    def test_a_secret_may_bring_it_along(
        self, bench: Bench, secure: Store, s3: Store, chain: tuple[Path, servers.Certificate]
    ) -> None:
        secret = {**s3.secret, "ca.crt": chain[0].read_text()}

        assert fetch(bench, secure, "plain.onnx", secret).error is None

    def test_without_it_the_field_is_named(self, bench: Bench, secure: Store, s3: Store) -> None:
        reason, message = error_of(fetch(bench, secure, "plain.onnx", dict(s3.secret)))

        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert "set spec.model.source.connection.caConfigMapRef" in message


class TestWorkloadIdentity:
    """As IRSA does it: a webhook gives the pod a token, and its role by variables."""

    @pytest.fixture
    def sts(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
        authority, certificate = servers.make_chain(bench.folder)
        bench.places.source_ca.mkdir()
        (bench.places.source_ca / "ca.crt").write_bytes(authority.read_bytes())
        (bench.folder / "token").write_text("a-projected-token")
        role = f"""<AccessKeyId>{stores.USER}</AccessKeyId>
            <SecretAccessKey>{stores.PASSWORD}</SecretAccessKey><SessionToken></SessionToken>
            <Expiration>2099-01-01T00:00:00Z</Expiration>"""
        for tag in ("Credentials", "AssumeRoleWithWebIdentityResult"):
            role = f"<{tag}>{role}</{tag}>"
        answer = f"<AssumeRoleWithWebIdentityResponse>{role}</AssumeRoleWithWebIdentityResponse>"

        def respond(talk: servers.Conversation, _: servers.Seen) -> None:
            talk.answer(200, body=answer.encode())

        with servers.serving(respond, certificate) as server:
            monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader")
            monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(bench.folder / "token"))
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://{server.host}")
            yield server

    def fetch(self, bench: Bench, s3: Store) -> PackageResult:
        access = AccessRequest(
            service_account="reader",
            endpoint=s3.address,
            region=stores.REGION,
            ca_config_map="company-ca",
        )
        source = SourceRequest(uri=s3.uri("plain.onnx"), allow_plain_http=True, access=access)
        return bench.package("x", source=source, mode=PackageMode.FETCH)

    def test_the_pods_own_identity_asks_for_a_role(
        self, bench: Bench, s3: Store, sts: RecordingServer
    ) -> None:
        result = self.fetch(bench, s3)

        assert "WebIdentityToken=a-projected-token" in sts.seen[0].path
        # versitygw knows no session tokens; that it is asked with the role's key is enough.
        assert result.error is None or "ServiceAccount reader" in result.error.message

    def test_a_role_that_is_refused_is_named_with_the_account(
        self, bench: Bench, s3: Store, sts: RecordingServer
    ) -> None:
        refusal = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        sts.respond = lambda talk, _: talk.answer(403, body=refusal)

        reason, message = error_of(self.fetch(bench, s3))

        assert reason == Reason.SOURCE_UNAVAILABLE
        assert "ServiceAccount reader got no token" in message
        assert "403 AccessDenied" in message
