import kubernetes_validate
import pytest
from slipway.api.modelroute import Backend, HeaderMatch
from slipway.render import router, routing
from slipway.render.owner import Owner

OWNER = Owner("digits", "vision", "0f5c9f5e-7b1c-4bb0-8d7a-3b1f4d2f6a10")
BACKEND = Backend(revision="0123abcd", service="digits-0123abcd", weight=100, min_endpoints=1)


def test_a_route_holds_what_the_router_needs() -> None:
    manifest = routing.render_model_route(
        OWNER,
        port=10_000,
        model="digits",
        backends=(BACKEND,),
        candidate_header=HeaderMatch(name="x-model-candidate", value="true"),
        candidate="0123abcd",
    )

    assert manifest["spec"] == {
        "port": 10_000,
        "model": "digits",
        "timeoutSeconds": 0,
        "candidateHeader": {"name": "x-model-candidate", "value": "true"},
        "candidate": "0123abcd",
        "backends": [
            {
                "revision": "0123abcd",
                "service": "digits-0123abcd",
                "weight": 100,
                "minEndpoints": 1,
            }
        ],
    }


def test_a_route_without_a_candidate_names_none() -> None:
    spec = routing.render_model_route(OWNER, port=10_000, model="digits", backends=())["spec"]
    assert spec == {"port": 10_000, "model": "digits", "timeoutSeconds": 0, "backends": []}


def test_clients_reach_the_one_listener_by_either_port() -> None:
    service = routing.render_client_service(OWNER, 10_007, ("HTTP", "GRPC"))
    kubernetes_validate.validate(service, kubernetes_validate.latest_version(), strict=True)

    assert [
        (port["name"], port["port"], port["targetPort"], port["appProtocol"])
        for port in service["spec"]["ports"]
    ] == [("http", 8000, 10_007, "http"), ("grpc", 8001, 10_007, "kubernetes.io/h2c")]


@pytest.mark.parametrize("policy", ["", "PreferDualStack"])
def test_the_service_has_the_families_that_the_administrator_wants(policy: str) -> None:
    service = routing.render_client_service(OWNER, 10_007, ("HTTP",), ip_family_policy=policy)
    kubernetes_validate.validate(service, kubernetes_validate.latest_version(), strict=True)

    assert service["spec"].get("ipFamilyPolicy", "") == policy


@pytest.mark.parametrize(("protocol", "name"), [("HTTP", "http"), ("GRPC", "grpc")])
def test_a_protocol_that_the_server_does_not_speak_has_no_port(protocol: str, name: str) -> None:
    (port,) = routing.render_client_service(OWNER, 10_000, (protocol,))["spec"]["ports"]
    assert port["name"] == name


def test_the_service_selects_the_router_pods() -> None:
    selector = routing.render_client_service(OWNER, 10_000, ("HTTP",))["spec"]["selector"]
    assert selector.items() <= router.LABELS.items()


def test_both_bear_the_model_deployments_name_and_belong_to_it() -> None:
    for manifest in (
        routing.render_model_route(OWNER, port=10_000, model="digits", backends=()),
        routing.render_client_service(OWNER, 10_000, ("HTTP",)),
    ):
        metadata = manifest["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("digits", "vision")
        assert metadata["ownerReferences"][0]["uid"] == OWNER.uid
        assert metadata["ownerReferences"][0]["controller"] is True
