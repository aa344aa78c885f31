"""Which certificate a route serves with, and what is said of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from slipway.agent.credentials import CERTIFICATES_FILE, Credentials
from slipway.agent.desired import DesiredRoute, Needed
from slipway.agent.secrets import SecretContent
from slipway.api.modelroute import CredentialStatus, ModelRouteSpec, RouteClients, RouteTLS
from slipway.render import envoy
from slipway.render.envoy import CertificatePair

from tests.certificates import Authority, FakeSecrets, Issued

TODAY = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET, CLIENTS = "digits-tls", "clients-ca"
AUTHORITY = Authority.make()


def a_route(name: str = "digits", secret: str = SECRET) -> DesiredRoute:
    spec = ModelRouteSpec(port=10_000, model=name, backends=[], tls=RouteTLS(secret=secret))
    return DesiredRoute(name, name, 1, "", spec, None)


def a_mutual_route() -> DesiredRoute:
    tls = RouteTLS(secret=SECRET, clients=RouteClients(secret=CLIENTS))
    spec = ModelRouteSpec(port=10_000, model="digits", backends=[], tls=tls)
    return DesiredRoute("digits", "digits", 1, "", spec, None)


def issue(*hosts: str, days: float = 90, begins_in_days: float = -1) -> Issued:
    return AUTHORITY.issue(*hosts, now=TODAY, days=days, begins_in_days=begins_in_days)


class Bench:
    """Credentials of a router whose Secrets are what a test says."""

    def __init__(self, directory: Path) -> None:
        self.secrets = FakeSecrets()
        self.today = TODAY
        self.file = directory / CERTIFICATES_FILE
        self.restart()

    def restart(self) -> None:
        self.credentials = Credentials(self.secrets, "vision", self.file, lambda: self.today)

    def put(self, data: Mapping[str, bytes] | None, secret: str = SECRET) -> None:
        self.secrets.put(secret, data)

    def look(self, *routes: DesiredRoute) -> dict[str, Needed]:
        return self.credentials.look(routes or (a_route(),))

    def said(self) -> CredentialStatus:
        [status] = self.look()["digits"].statuses
        return status

    def serves(self, issued: Issued, route: str = "digits") -> bool:
        self.look()
        pair = CertificatePair(issued.pem.decode(), issued.key_pem.decode())
        wanted = str(envoy.render_certificate(route, pair)["version_info"])
        return self.credentials.discovery.version(f"{route}/certificate") == wanted


class MutualBench(Bench):
    """A route whose certificate is good, and that also has the authority of its clients."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.put(issue().secret)

    def put_authority(self, *bundle: bytes) -> None:
        self.put({"ca.crt": b"".join(bundle)}, CLIENTS)

    def look(self, *routes: DesiredRoute) -> dict[str, Needed]:
        return super().look(*(routes or (a_mutual_route(),)))

    def said_of_clients(self) -> CredentialStatus:
        _, status = self.look()["digits"].statuses
        return status

    def takes(self, *bundle: bytes) -> bool:
        self.look()
        wanted = str(envoy.render_authority("digits", b"".join(bundle).decode())["version_info"])
        return self.credentials.discovery.version("digits/authority") == wanted

    def refuses(self, revoked: bytes) -> bool:
        self.look()
        document = envoy.render_authority("digits", AUTHORITY.pem.decode(), revoked.decode())
        wanted = str(document["version_info"])
        return self.credentials.discovery.version("digits/authority") == wanted


@pytest.fixture
def mutual(tmp_path: Path) -> MutualBench:
    return MutualBench(tmp_path)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_good_certificate_is_served_and_its_end_is_said(bench: Bench) -> None:
    issued = issue()
    bench.put(issued.secret)
    said = bench.said()
    assert (said.source, said.reason) == ("Secret digits-tls", "CertificateValid")
    assert said.expires == "2027-02-27T12:00:00.000Z"
    assert bench.serves(issued)


def test_nothing_is_said_before_the_api_server_has_answered(bench: Bench) -> None:
    assert bench.look()["digits"] == Needed(is_known=False)


def test_a_route_without_tls_needs_nothing_and_no_secret_is_read(bench: Bench) -> None:
    plain = ModelRouteSpec(port=10_000, model="digits", backends=[])
    assert bench.look(DesiredRoute("digits", "u", 1, "", plain, None)) == {}
    assert bench.secrets.followed == frozenset()


@pytest.mark.parametrize(
    ("days", "reason"),
    [(7.01, "CertificateValid"), (6.99, "CertificateExpiring"), (-0.01, "CertificateExpired")],
)
def test_an_end_is_said_a_week_ahead_and_at_once(bench: Bench, days: float, reason: str) -> None:
    bench.put(issue(days=days).secret)
    assert bench.said().reason == reason


def test_the_next_look_is_when_more_is_to_be_said(bench: Bench) -> None:
    bench.put(issue(days=10).secret)
    week_before, end = TODAY + timedelta(days=3), TODAY + timedelta(days=10)
    assert bench.look()["digits"].next_look == week_before
    bench.today = week_before
    assert bench.look()["digits"].next_look == end
    bench.today = end
    assert (bench.look()["digits"].next_look, bench.said().reason) == (None, "CertificateExpired")


OTHER = issue()
BROKEN: list[tuple[str, dict[str, bytes], str]] = [
    ("no PEM", {"tls.crt": b"x", "tls.key": b"y"}, "tls.crt holds no PEM certificate"),
    ("no key", {"tls.crt": OTHER.pem}, "no tls.key in it, found tls.crt"),
    ("nothing", {}, "no tls.crt in it, found no entries"),
    ("no text", {"tls.crt": b"\xff", "tls.key": OTHER.key_pem}, "tls.crt is no PEM"),
    ("a bad key", {"tls.crt": OTHER.pem, "tls.key": b"y"}, "tls.key holds no PEM key"),
    (
        "a key that does not fit",
        {"tls.crt": OTHER.pem, "tls.key": issue().key_pem},
        "tls.key is not the key of the first certificate in tls.crt",
    ),
    (
        "a wrong chain",
        {"tls.crt": OTHER.pem + Authority.make("others").pem, "tls.key": OTHER.key_pem},
        "certificate 1 in tls.crt is not issued by the one after it: issuer CN=tests",
    ),
    ("a later one", issue(begins_in_days=1).secret, "not valid before 2026-11-30 12:00 UTC"),
]


@pytest.mark.parametrize(("data", "message"), [each[1:] for each in BROKEN], ids=lambda _: "")
def test_what_cannot_serve_is_said_and_never_replaces_what_does(
    bench: Bench, data: dict[str, bytes], message: str
) -> None:
    bench.put(data)
    assert not bench.look()["digits"].has_certificate
    assert message in bench.said().message

    good = issue()
    bench.put(good.secret)
    bench.look()
    bench.put(data)
    said = bench.said()
    assert (said.reason, bench.look()["digits"].has_certificate) == ("CertificateBroken", True)
    assert message in said.message
    assert "the one before it is served, until 2027-02-27 12:00 UTC" in said.message
    assert bench.serves(good)


def test_a_chain_in_order_serves(bench: Bench) -> None:
    issued = issue()
    chain = {"tls.crt": issued.pem + AUTHORITY.pem, "tls.key": issued.key_pem}
    bench.put(chain)
    assert bench.said().reason == "CertificateValid"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SecretContent(is_known=True), "SecretNotFound"),
        (SecretContent(is_known=True, problem="403", is_forbidden=True), "SecretUnreadable"),
        (SecretContent(is_known=True, problem="500 etcd"), "SecretUnreadable"),
    ],
)
def test_a_secret_that_goes_away_leaves_what_is_served(
    bench: Bench, content: SecretContent, reason: str
) -> None:
    good = issue()
    bench.put(good.secret)
    bench.look()
    bench.secrets.found[SECRET] = content
    assert bench.said().reason == reason
    assert bench.serves(good)


def test_an_expired_certificate_does_not_replace_one_that_is_valid(bench: Bench) -> None:
    good = issue()
    bench.put(good.secret)
    bench.look()
    bench.put(issue(days=-1).secret)
    assert bench.said().reason == "CertificateExpired"
    assert bench.serves(good)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("digits.vision.svc.cluster.local", "CertificateValid"),
        ("*.vision.svc", "CertificateValid"),
        ("*.svc", "CertificateForOthers"),
        ("models.example.org", "CertificateForOthers"),
    ],
)
def test_a_certificate_for_other_names_serves_and_says_so(
    bench: Bench, host: str, reason: str
) -> None:
    bench.put(issue(host).secret)
    assert (bench.said().reason, bench.look()["digits"].has_certificate) == (reason, True)


def test_an_agent_that_starts_anew_serves_what_the_one_before_it_did(bench: Bench) -> None:
    good = issue()
    bench.put(good.secret)
    bench.look()
    assert bench.file.stat().st_mode & 0o077 == 0

    bench.put({"tls.crt": b"x", "tls.key": b"y"})
    bench.restart()
    assert bench.said().reason == "CertificateBroken"
    assert bench.serves(good)


def test_two_models_may_show_one_certificate_and_the_one_it_is_not_for_says_so(
    bench: Bench,
) -> None:
    bench.put(issue("digits.vision.svc").secret)
    found = bench.look(a_route(), a_route("letters"))
    assert {name: each.statuses[0].reason for name, each in found.items()} == {
        "digits": "CertificateValid",
        "letters": "CertificateForOthers",
    }
    assert all(each.has_certificate for each in found.values())


def test_a_broken_certificate_is_the_matter_of_its_own_route(bench: Bench) -> None:
    bench.put(issue().secret)
    bench.put({"tls.crt": b"x", "tls.key": b"y"}, "letters-tls")
    found = bench.look(a_route(), a_route("letters", "letters-tls"))
    assert [found[name].has_certificate for name in ("digits", "letters")] == [True, False]


def test_the_key_is_in_no_text_of_an_object(bench: Bench) -> None:
    issued = issue()
    bench.put(issued.secret)
    bench.look()
    secret = issued.key_pem.decode().splitlines()[1]
    assert secret not in repr(bench.credentials._served)
    assert secret not in repr(bench.secrets.found)


def test_an_authority_is_in_force_and_its_end_is_said(mutual: MutualBench) -> None:
    mutual.put_authority(AUTHORITY.pem)
    said = mutual.said_of_clients()
    assert (said.source, said.reason) == ("Secret clients-ca/ca.crt", "CertificateValid")
    assert mutual.takes(AUTHORITY.pem)
    assert mutual.look()["digits"].has_certificate

    mutual.today = AUTHORITY.certificate.not_valid_after_utc - timedelta(days=6)
    assert mutual.said_of_clients().reason == "CertificateExpiring"
    mutual.today += timedelta(days=7)
    assert mutual.said_of_clients().reason == "CertificateExpired"


def test_two_authorities_are_for_a_change_of_authority(mutual: MutualBench) -> None:
    both = AUTHORITY.pem, Authority.make("next").pem
    mutual.put_authority(*both)
    assert mutual.said_of_clients().reason == "CertificateValid"
    assert mutual.takes(*both)


def test_a_list_of_revoked_certificates_is_in_force_and_its_end_is_said(
    mutual: MutualBench,
) -> None:
    revoked = AUTHORITY.revoke(OTHER, now=mutual.today, days=9, since_days=1)
    mutual.put({"ca.crt": AUTHORITY.pem, "ca.crl": revoked}, CLIENTS)
    assert mutual.said_of_clients().reason == "CertificateValid"
    assert mutual.refuses(revoked)
    mutual.restart()
    assert mutual.refuses(revoked)

    mutual.today += timedelta(days=8, hours=1)
    said = mutual.said_of_clients()
    assert said.reason == "CertificateExpiring"
    assert "the list of revoked certificates in ca.crl expires at" in said.message
    mutual.today += timedelta(days=1)
    assert mutual.said_of_clients().reason == "CertificateExpired"


def test_an_authority_without_a_list_is_not_taken_beside_one_that_has_one(
    mutual: MutualBench,
) -> None:
    following = Authority.make("next")
    both = AUTHORITY.pem + following.pem
    mutual.put({"ca.crt": both, "ca.crl": AUTHORITY.revoke()}, CLIENTS)
    assert "ca.crl has no list of CN=next" in mutual.said_of_clients().message
    mutual.put({"ca.crt": both, "ca.crl": AUTHORITY.revoke() + following.revoke()}, CLIENTS)
    assert mutual.said_of_clients().reason == "CertificateValid"


BROKEN_AUTHORITIES = [
    ({}, "no ca.crt in it, found no entries"),
    ({"ca.crt": b"x"}, "ca.crt holds no PEM certificate"),
    ({"ca.crt": AUTHORITY.pem, "ca.crl": b"x"}, "ca.crl has no list of CN="),
    ({"ca.crt": OTHER.pem}, "certificate 1 in ca.crt, CN=digits, is no authority"),
]


@pytest.mark.parametrize(("data", "message"), BROKEN_AUTHORITIES)
def test_a_broken_authority_closes_the_door_and_replaces_none_that_works(
    mutual: MutualBench, data: dict[str, bytes], message: str
) -> None:
    mutual.put(data, CLIENTS)
    said = mutual.said_of_clients()
    assert said.reason == "CertificateBroken"
    assert message in said.message
    assert not mutual.look()["digits"].has_certificate

    mutual.put_authority(AUTHORITY.pem)
    mutual.look()
    mutual.put(data, CLIENTS)
    assert "the one before it is served" in mutual.said_of_clients().message
    assert mutual.takes(AUTHORITY.pem)
    mutual.restart()
    assert mutual.takes(AUTHORITY.pem)


def test_a_missing_authority_closes_the_door_of_its_own_route_alone(mutual: MutualBench) -> None:
    mutual.put(None, CLIENTS)
    assert mutual.said_of_clients().reason == "SecretNotFound"
    found = mutual.look(a_mutual_route(), a_route("letters"))
    assert [found[name].has_certificate for name in ("digits", "letters")] == [False, True]
