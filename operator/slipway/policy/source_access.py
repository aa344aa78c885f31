"""How a source is reached: the spec's fields, completed from the operator's store that fits; pure.

The operator reads no Secret and no ConfigMap. It passes their names on.
"""

from slipway.api.modeldeployment import Connection, GoldenSet, Location, ModelDeployment
from slipway.api.request import AccessRequest
from slipway.errors import SpecError
from slipway.settings import Settings, StoreSettings

SOURCE_FIELD = "spec.model.source"
GOLDEN_FIELD = "spec.model.goldenSet"
MAX_NAMED = 10
"""Stores that a message names."""


def resolve_access(
    location: Location, namespace: str, settings: Settings, field: str = SOURCE_FIELD
) -> AccessRequest | None:
    """Return how a source is reached; None where its address says it all.

    Args:
        location: the source or golden set.
        namespace: that of the ModelDeployment.
        settings: the operator's, with its stores and proxy.
        field: the field of the spec that has the location.

    Raises:
        SpecError: the store that the spec names does not exist, or not for this namespace.

    """
    if location.uri.startswith("pvc://"):
        return None

    store = _find_store(location, namespace, settings, field)
    own = location.connection or Connection()
    proxy = own.proxy or (store.proxy if store else "") or settings.jobs.proxy.url or None
    secret, authority = location.credentials_secret_ref, own.ca_config_map_ref
    # Who sends no credentials sends none of the store's either.
    is_anonymous = own.anonymous is True
    is_own = is_anonymous or secret is not None

    access = AccessRequest(
        secret=secret.name if secret else None,
        service_account=location.service_account_name,
        endpoint=own.endpoint,
        region=own.region,
        path_style=own.path_style,
        anonymous=own.anonymous or None,
        account=own.account,
        ca_config_map=authority.name if authority else None,
        proxy=proxy,
        no_proxy=list(settings.jobs.proxy.no_proxy) if proxy else None,
    )
    if store is not None:
        access = _complete_access(access, store, is_own=is_own, is_anonymous=is_anonymous)
    if location.uri.startswith("oci://"):
        access = _complete_registry(access, location.uri, settings)
    return access if access.model_dump(exclude_none=True) else None


def is_open_to_change(
    location: Location, namespace: str, settings: Settings, field: str = SOURCE_FIELD
) -> bool:
    """Return whether anyone on the way could change the files: no TLS, no digest, and no leave.

    What the administrator wrote down with ``http://`` has leave.
    """
    if location.digest is not None or settings.sources.allow_plain_http:
        return False
    store = _find_store(location, namespace, settings, field)
    own = location.connection.endpoint if location.connection else None
    address = own or location.uri
    is_given_leave = store is not None and own is None
    return address.startswith("http://") and not is_given_leave


def require_known_stores(md: ModelDeployment, settings: Settings) -> None:
    """Refuse a spec that names a store of the operator that does not exist.

    Raises:
        SpecError: as `resolve_access`.

    """
    golden: GoldenSet | None = md.spec.model.golden_set
    resolve_access(md.spec.model.source, md.metadata.namespace, settings)
    if golden is not None:
        resolve_access(golden, md.metadata.namespace, settings, GOLDEN_FIELD)


def _complete_registry(access: AccessRequest, uri: str, settings: Settings) -> AccessRequest:
    """Fill in how Jobs reach a registry that the operator's settings list."""
    host = uri.removeprefix("oci://").partition("/")[0]
    known = next((item for item in settings.registries if item.host == host), None)
    if known is None or access.endpoint is not None:
        return access
    scheme = "http" if known.plain_http else "https"
    return access.model_copy(
        update={
            "endpoint": f"{scheme}://{known.endpoint or host}",
            "ca_config_map": access.ca_config_map or known.ca_config_map,
        }
    )


def _find_store(
    location: Location, namespace: str, settings: Settings, field: str
) -> StoreSettings | None:
    usable = [store for store in settings.sources.stores if store.serves(namespace)]
    if location.store is not None:
        named = next((store for store in usable if store.name == location.store), None)
        if named is None:
            names = ", ".join(store.name for store in usable[:MAX_NAMED]) or "none"
            raise SpecError(
                f"{field}.store",
                f"found {location.store!r}, expected a store of the operator's settings for "
                f"namespace {namespace}: {names}",
            )
        return named

    fitting = [
        (len(prefix), store)
        for store in usable
        for prefix in store.prefixes
        if location.uri.startswith(prefix)
    ]
    return max(fitting, key=lambda item: item[0], default=(0, None))[1]


def _complete_access(
    access: AccessRequest, store: StoreSettings, *, is_own: bool, is_anonymous: bool
) -> AccessRequest:
    """Fill in what the spec leaves to the store; credentials come whole, from one of the two."""
    identity = None if is_own else store.service_account_name or None
    secret = None if is_own or access.service_account else store.credentials_secret or None
    return access.model_copy(
        update={
            "store": store.name,
            "secret": access.secret or secret,
            "service_account": access.service_account or identity,
            "endpoint": access.endpoint or store.endpoint or None,
            "region": access.region or store.region or None,
            "path_style": store.path_style if access.path_style is None else access.path_style,
            "anonymous": is_anonymous or (store.anonymous and not is_own) or None,
            "account": access.account or store.account or None,
            "ca_config_map": access.ca_config_map or store.ca_config_map or None,
        }
    )
