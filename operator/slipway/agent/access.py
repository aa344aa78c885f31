"""What routes need to tell callers apart: keys and key sets, and what is said of them.

Keys that are taken out of their Secret, or go with it, are refused at once. Key sets are public:
the last one that could be used goes on while its source is down or broken.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from slipway.agent.access_rules import SERVICE_ACCOUNTS, token_name
from slipway.agent.credentials import MESSAGE_LENGTH, SecretSource
from slipway.agent.desired import DesiredRoute, Needed
from slipway.agent.key_sets import (
    CLUSTER,
    BrokenKeySet,
    KeySetAddress,
    KeySetContent,
    count_keys,
    parse_key_set,
)
from slipway.agent.keys import describe_keys, read_keys
from slipway.agent.secrets import SecretContent
from slipway.api.access import Access, ApiKeys, KeySet
from slipway.api.kinds import CONFIG_MAP
from slipway.api.modelroute import CredentialStatus
from slipway.api.reasons import Reason, Why, shortened


class KeySetSource(Protocol):
    """Where key sets come from; `slipway.agent.key_sets.KeySets` fits."""

    def follow(self, sources: Collection[KeySetAddress]) -> None:
        """Follow these and no others."""

    def get(self, source: KeySetAddress) -> KeySetContent:
        """Return what is known of a set that is followed."""


@dataclass(frozen=True, slots=True)
class _HeldSet:
    """A key set as Envoy is given it, and where it is from."""

    source: KeySet | None
    text: str


class Callers:
    """Decides by which keys each route's callers are told apart."""

    def __init__(
        self, secrets: SecretSource, config_maps: SecretSource, key_sets: KeySetSource
    ) -> None:
        self._secrets = secrets
        self._config_maps = config_maps
        self._key_sets = key_sets
        self._pages: dict[str, _HeldSet] = {}

    def page(self, name: str) -> str | None:
        """Return the key set ``<route>/<name of the tokens>``; None: there is none, or not yet."""
        found = self._pages.get(name)
        return found.text if found is not None else None

    def look(self, routes: Iterable[DesiredRoute]) -> dict[str, Needed]:
        """Return what is known of the callers of each route that tells them apart."""
        asked = {each.name: each.spec.access for each in routes if each.spec.access is not None}
        self._follow(asked.values())

        pages, self._pages = self._pages, {}
        return {name: self._look_at(name, access, pages) for name, access in asked.items()}

    def _follow(self, asked: Collection[Access]) -> None:
        keys = [each.api_keys.secret_ref.name for each in asked if each.api_keys is not None]
        sets = [token.jwks for each in asked for token in each.jwt]
        entries = [each.config_map_ref or each.ca_config_map_ref for each in sets]

        self._secrets.follow(keys)
        self._config_maps.follow([each.name for each in entries if each is not None])

        # Only now: an address is asked by the certificates that its ConfigMap holds.
        addresses = [self._address_of(each) for each in sets if each.url is not None]
        addresses += [CLUSTER for each in asked if each.service_accounts is not None]
        self._key_sets.follow([each for each in addresses if each is not None])

    def _address_of(self, source: KeySet | None) -> KeySetAddress | None:
        """Return where a set is read; None: the certificates to trust are not known."""
        if source is None or source.url is None:
            return CLUSTER
        entry = source.ca_config_map_ref
        if entry is None:
            return KeySetAddress(source.url)
        data = self._config_maps.get(entry.name).data or {}
        if entry.key not in data:
            return None
        return KeySetAddress(source.url, data[entry.key].decode(errors="replace"))

    def _look_at(self, route: str, access: Access, before: dict[str, _HeldSet]) -> Needed:
        needed = Needed()
        if access.api_keys is not None:
            needed = needed.and_also(self._look_at_keys(access.api_keys))
        for name, label, source in _key_sets_of(access):
            page = f"{route}/{name}"
            known = before.get(page)
            kept = known.text if known is not None and known.source == source else None
            needed = needed.and_also(self._look_at_set(page, label, source, kept))
        return needed

    def _look_at_keys(self, asked: ApiKeys) -> Needed:
        name = asked.secret_ref.name
        content, source = self._secrets.get(name), f"Secret {name}"
        if not content.is_known:
            return Needed(is_known=False)

        keys, broken = read_keys(content.data or {})
        if content.data is None or content.problem is not None:
            why = content.describe(name)
        else:
            is_good = bool(keys) and not broken
            said = f"{source}: {describe_keys(len(keys), broken)}"
            why = Why(Reason.CALLERS_KNOWN if is_good else Reason.KEYS_BROKEN, said)
        return Needed(keys=keys, statuses=(_status(source, why),))

    def _look_at_set(
        self, page: str, label: str, source: KeySet | None, kept: str | None
    ) -> Needed:
        if source is not None and source.config_map_ref is not None:
            entry = source.config_map_ref
            content = self._config_maps.get(entry.name)
            if content.is_known and (content.data is None or content.problem is not None):
                return Needed(statuses=(_status(label, content.describe(entry.name, CONFIG_MAP)),))
            found = _read_entry(content, entry.key)
        else:
            found = self._read_address(source)

        # The keys that were read before go on, whatever is read or not read now.
        text = found.text or kept
        if text is not None:
            self._pages[page] = _HeldSet(source, text)
        if not found.is_known:
            return Needed(is_known=False)
        return Needed(statuses=(_status(label, _describe_set(label, found, text)),))

    def _read_address(self, source: KeySet | None) -> KeySetContent:
        """Return what an address answers, or why it cannot be asked."""
        address = self._address_of(source)
        if address is not None:
            return self._key_sets.get(address)

        entry = source.ca_config_map_ref if source is not None else None
        content = self._config_maps.get(entry.name) if entry is not None else SecretContent()
        if entry is None or not content.is_known:
            return KeySetContent()
        if content.data is None:
            problem = content.describe(entry.name, CONFIG_MAP).message
        else:
            problem = f"ConfigMap {entry.name}: {_no_entry(entry.key, content.data)}"
        return KeySetContent(is_known=True, problem=problem)


def _read_entry(content: SecretContent, key: str) -> KeySetContent:
    if not content.is_known or content.data is None:
        return KeySetContent()
    if key not in content.data:
        problem = _no_entry(key, content.data)
        return KeySetContent(is_known=True, problem=problem, is_broken=True)
    try:
        return KeySetContent(is_known=True, text=parse_key_set(content.data[key]))
    except BrokenKeySet as error:
        return KeySetContent(is_known=True, problem=str(error), is_broken=True)


def _no_entry(key: str, data: Collection[str]) -> str:
    found = ", ".join(sorted(data)) or "no entries"
    return f"no {key} in the ConfigMap, found {found}"


def _key_sets_of(access: Access) -> Iterator[tuple[str, str, KeySet | None]]:
    """Yield the name, what a message calls it, and the source; None is the cluster itself."""
    for position, token in enumerate(access.jwt):
        yield token_name(position), f"JWKS of {token.issuer}", token.jwks
    if access.service_accounts is not None:
        yield SERVICE_ACCOUNTS, "JWKS of the cluster", None


def _status(source: str, why: Why) -> CredentialStatus:
    message = shortened(why.message, MESSAGE_LENGTH)
    return CredentialStatus(source=source, reason=why.reason, message=message)


def _describe_set(label: str, found: KeySetContent, text: str | None) -> Why:
    if found.problem is None and text is not None:
        return Why(Reason.CALLERS_KNOWN, f"{label}: {count_keys(text)} keys")
    kept = "; the keys before it go on" if text is not None else "; no token of it is taken"
    reason = Reason.KEY_SET_BROKEN if found.is_broken else Reason.KEY_SET_UNREACHABLE
    return Why(reason, f"{label}: {found.problem}{kept}")
