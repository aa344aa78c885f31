"""Whose signature a source must have: the spec's wish and the operator's demand; pure.

The operator reads no key of a namespace. It passes the names of Secrets and ConfigMaps on.
"""

from slipway.api.modeldeployment import Location, ModelDeployment
from slipway.api.request import VerifyRequest
from slipway.errors import SpecError
from slipway.policy.source_access import GOLDEN_FIELD, MAX_NAMED, SOURCE_FIELD
from slipway.settings import Settings

DEFAULT_BUNDLE = "model.sig"
DEFAULT_KEY = "cosign.pub"


def resolve_verify(
    location: Location, namespace: str, settings: Settings, field: str = SOURCE_FIELD
) -> VerifyRequest | None:
    """Return whose signature a source must have; None where nobody asks for one.

    Args:
        location: the source or golden set.
        namespace: that of the ModelDeployment.
        settings: the operator's, with its keys and demands.
        field: the field of the spec that has the location.

    Raises:
        SpecError: the operator's settings demand a signature by one of their keys and the spec asks
            for none, or it names a key that does not exist for this namespace.

    """
    verify = location.verify
    keys = [key for key in settings.sources.keys if key.serves(namespace)]
    names = ", ".join(key.name for key in keys[:MAX_NAMED]) or "none"

    if settings.sources.demands_signature(namespace) and (verify is None or verify.key is None):
        found = "none" if verify is None else "a key of the namespace"
        raise SpecError(
            f"{field}.verify",
            f"found {found}, expected verify.key with a key of the operator's settings: they "
            f"demand signed files in namespace {namespace} (sources.requireSignature); keys: "
            f"{names}",
        )
    if verify is None:
        return None

    bundle = verify.bundle or DEFAULT_BUNDLE
    if verify.key is not None:
        known = next((key for key in keys if key.name == verify.key), None)
        if known is None:
            raise SpecError(
                f"{field}.verify.key",
                f"found {verify.key!r}, expected a key of the operator's settings for namespace "
                f"{namespace}: {names}",
            )
        return VerifyRequest(public_key=known.public_key, key=known.name, bundle=bundle)

    secret, config_map = verify.secret_ref, verify.config_map_ref
    holder = secret or config_map
    return VerifyRequest(
        secret=secret.name if secret else None,
        config_map=config_map.name if config_map else None,
        key=(holder.key if holder else None) or DEFAULT_KEY,
        bundle=bundle,
    )


def require_signatures(md: ModelDeployment, settings: Settings) -> None:
    """Refuse a spec that lacks a signature which the operator's settings demand.

    Raises:
        SpecError: as `resolve_verify`.

    """
    golden = md.spec.model.golden_set
    resolve_verify(md.spec.model.source, md.metadata.namespace, settings)
    if golden is not None:
        resolve_verify(golden, md.metadata.namespace, settings, GOLDEN_FIELD)
