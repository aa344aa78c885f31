"""Whose signature a source must have: the spec, the operator's keys, and what they demand."""

from typing import Any

import pytest
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.request import VerifyRequest
from slipway.errors import SpecError
from slipway.policy.identity import resolve
from slipway.policy.source_verification import resolve_verify
from slipway.settings import Settings, SigningKey, SourceSettings

from tests.builders import a_model_deployment

PEM = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
RELEASE = SigningKey(name="release", public_key=PEM)
URI = "s3://models/digits/3/"


def a_source(verify: dict[str, Any] | None = None, **model: Any) -> ModelDeployment:
    source = {"uri": URI} if verify is None else {"uri": URI, "verify": verify}
    return a_model_deployment(model={"source": source, **model})


def settings(*keys: SigningKey, demand: tuple[str, ...] = ()) -> Settings:
    return Settings(
        operator_image="slipway:1",
        sources=SourceSettings(keys=list(keys), require_signature=list(demand)),
    )


def verify_of(md: ModelDeployment, *keys: SigningKey) -> VerifyRequest | None:
    return resolve_verify(md.spec.model.source, md.metadata.namespace, settings(*keys))


def test_without_a_wish_and_a_demand_nothing_is_verified() -> None:
    assert verify_of(a_source(), RELEASE) is None


def test_a_key_of_the_operator_travels_whole() -> None:
    assert verify_of(a_source({"key": "release"}), RELEASE) == VerifyRequest(
        public_key=PEM, key="release", bundle="model.sig"
    )


def test_a_key_of_the_namespace_travels_by_its_name() -> None:
    secret = verify_of(a_source({"secretRef": {"name": "signers"}, "bundle": "a/b.sig"}))
    config_map = verify_of(a_source({"configMapRef": {"name": "signers", "key": "eu.pem"}}))

    assert secret == VerifyRequest(secret="signers", key="cosign.pub", bundle="a/b.sig")  # noqa: S106 - a name
    assert config_map == VerifyRequest(config_map="signers", key="eu.pem", bundle="model.sig")


@pytest.mark.parametrize(
    "keys", [[], [RELEASE.model_copy(update={"namespaces": ["elsewhere"]})]], ids=["none", "other"]
)
def test_a_key_that_the_namespace_may_not_use_is_named(keys: list[SigningKey]) -> None:
    with pytest.raises(SpecError, match=r"verify\.key: found 'release', .* none"):
        resolve(a_source({"key": "release"}), settings(*keys))


@pytest.mark.parametrize("demand", ["*", "{namespace}"])
@pytest.mark.parametrize(
    ("verify", "found"),
    [(None, "found none"), ({"secretRef": {"name": "mine"}}, "found a key of the namespace")],
    ids=["none", "own"],
)
def test_a_demand_is_met_by_a_key_of_the_operator_alone(
    demand: str, verify: dict[str, Any] | None, found: str
) -> None:
    md = a_source(verify)
    asked = settings(RELEASE, demand=(demand.format(namespace=md.metadata.namespace),))

    with pytest.raises(SpecError, match=rf"spec\.model\.source\.verify: {found}, .*keys: release"):
        resolve(md, asked)
    resolve(a_source({"key": "release"}), asked)


def test_a_demand_is_for_golden_sets_too() -> None:
    md = a_source({"key": "release"}, goldenSet={"uri": "s3://models/golden/"})

    with pytest.raises(SpecError, match=r"spec\.model\.goldenSet\.verify: found none"):
        resolve(md, settings(RELEASE, demand=("*",)))


def test_a_demand_for_another_namespace_is_none() -> None:
    resolve(a_source(), settings(RELEASE, demand=("elsewhere",)))
