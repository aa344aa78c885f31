"""The canonical spelling of an input: two spellings of the same pods have the same one; pure.

The defaults below are frozen: they say which spellings an identity was made from. A default that
changes in a later release stays as it is here, or running models would be rolled out again.
"""

import re
from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from slipway.api.base import Manifest
from slipway.api.canonical_json import canonical_json
from slipway.api.protocol import Protocol

MODEL_FIELDS = ("version", "name", "format", "source", "config", "optimize", "warmup")
PACKAGING_FIELDS = ("mode", "repository", "cache")

PACKAGING_DEFAULTS: Manifest = {"mode": "Auto"}
CACHE_DEFAULTS: Manifest = {"maxSize": "100Gi"}
SERVER_DEFAULTS: Manifest = {"startSeconds": 600, "drainSeconds": 30}
BATCHING_DEFAULTS: Manifest = {"maxQueueDelayMicroseconds": 0, "maxQueueSize": 256}
GROUP_DEFAULTS: Manifest = {"count": 1, "kind": "Auto"}
TOLERATION_DEFAULTS: Manifest = {"operator": "Equal", "value": ""}
POD_DEFAULTS: Manifest = {"tmpSize": "8Gi"}
ACCESS_FIELDS = ("credentialsSecretRef", "serviceAccountName", "connection")
"""How Jobs get to the files; no part of what the files are."""
REFRESH_FIELDS = ("refresh", "refreshSeconds")
"""When an address is looked at again; no part of what was found there."""
PLACE_FIELDS = ("endpoint", "account")
"""Fields of a connection that say which store it is."""
GOLDEN_VIEW_FIELDS = ("showCases",)
"""What of a check is shown; no part of what is asked."""
GOLDEN_DEFAULTS: Manifest = {"regression": "Fail", "timeoutSeconds": 300}
REQUESTS_WITHOUT_RESOURCES: Manifest = {"cpu": "100m", "memory": "512Mi"}
"""What a container requests whose spec says nothing about resources."""

QUANTITY = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?"
)
SMALL = {"m": 1, "u": 2, "n": 3}
LARGE = ("", "k", "M", "G", "T", "P", "E")
BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

SIGNATURES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("x-amz-signature", re.compile(r"x-amz-.*")),
    ("x-goog-signature", re.compile(r"x-goog-.*")),
    (
        "signature",
        re.compile(
            r"signature|expires|awsaccesskeyid|googleaccessid|ossaccesskeyid|key-pair-id|policy"
            r"|security-token|x-amz-security-token"
        ),
    ),
    ("sig", re.compile(r"sig|se|st|sp|sr|sv|ss|srt|spr|sip|sks|skt|ske|skv|skoid|sktid")),
)
"""Signed addresses: the parameter that shows one, and all that belong to the signature."""


def canonical_input(wire: Manifest, name: str, *, is_packaged_once: bool) -> Manifest:
    """Return what the user gave under model, packaging and server, in its canonical spelling.

    Args:
        wire: the spec as JSON.
        name: metadata.name, which is the default of the model's name.
        is_packaged_once: pods do not fetch the model, so a fresh signature of its address is of no
            use to them.

    """
    return {
        "model": _canonical_model(wire["model"], name, is_packaged_once=is_packaged_once),
        "packaging": _canonical_packaging(
            wire.get("packaging", {}), is_packaged_once=is_packaged_once
        ),
        "server": _canonical_server(wire.get("server", {})),
    }


def canonical_golden_set(wire: Manifest) -> Manifest:
    """Return a golden set in its canonical spelling; with a pinned digest no signature counts."""
    asked = {name: item for name, item in wire.items() if name not in GOLDEN_VIEW_FIELDS}
    golden = _without_access(_without(asked, GOLDEN_DEFAULTS))
    return {**golden, "uri": without_signature(golden["uri"])} if "digest" in golden else golden


def spelled_input(wire: Manifest) -> Manifest:
    """Return the same as it is spelled: identities were made from this before."""
    return {
        "model": _select(wire["model"], MODEL_FIELDS),
        "packaging": _select(wire.get("packaging", {}), PACKAGING_FIELDS),
        "server": wire.get("server", {}),
    }


def canonical_quantity(quantity: int | str) -> str:
    """Return the one spelling of a quantity's value, as Kubernetes writes it: "1", "500m", "4Gi".

    A multiple of 1024 is written with a binary suffix. What is no quantity stays as it is.
    """
    match = QUANTITY.fullmatch(str(quantity))
    if match is None:
        return str(quantity)
    value = Fraction(match["number"]) * _read_suffix(match["suffix"] or "")
    value = Fraction(ceil(value * 10**9), 10**9)  # Kubernetes has no smaller unit, and rounds up

    if value.denominator > 1:
        for suffix, power in SMALL.items():
            scaled = value * 1000**power
            if scaled.denominator == 1:
                return f"{scaled}{suffix}"
    number = int(value)
    base, suffixes = (1024, BINARY) if number % 1024 == 0 else (1000, LARGE)
    power = 0
    while number and power + 1 < len(suffixes) and number % base == 0:
        number //= base
        power += 1
    return f"{number}{suffixes[power]}"


def whole_number(quantity: int | str) -> int | None:
    """Return a quantity's value, rounded up to a whole number; None for what is none."""
    value = read_quantity(quantity)
    return ceil(value) if value is not None else None


def read_quantity(quantity: int | str) -> Fraction | None:
    """Return a quantity's exact value; None for what is none."""
    match = QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    return Fraction(match["number"]) * _read_suffix(match["suffix"] or "")


def without_signature(uri: str) -> str:
    """Return an address without the parameters by which a store knows that it was signed."""
    parts = urlsplit(uri)
    if not parts.query:
        return uri

    names = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    signed = [belongs for marker, belongs in SIGNATURES if marker in names]
    if not signed:
        return uri
    kept = [
        item
        for item in parts.query.split("&")
        if not any(belongs.fullmatch(item.partition("=")[0].lower()) for belongs in signed)
    ]
    return urlunsplit(parts._replace(query="&".join(kept)))


def is_signed(uri: str) -> bool:
    """Return whether an address carries the signature of a store, which expires."""
    return uri.startswith("http") and without_signature(uri) != uri


def _canonical_model(model: Manifest, name: str, *, is_packaged_once: bool) -> Manifest:
    chosen = _without(_select(model, MODEL_FIELDS), {"name": name})
    kept = {name: item for name, item in chosen["source"].items() if name not in REFRESH_FIELDS}
    source = chosen["source"] = _without_empty(kept, ("connection",))
    if is_packaged_once:
        source = chosen["source"] = _without_access(source)
    if is_packaged_once and "digest" in source:
        chosen["source"] = {**source, "uri": without_signature(source["uri"])}
    if "config" in chosen:
        chosen["config"] = _canonical_config(chosen["config"])
    if "warmup" in chosen:
        chosen["warmup"] = _without_empty(chosen["warmup"], ("shapes",))
    return _without_empty(chosen, ("config",))


def _without_access(location: Manifest) -> Manifest:
    """Return where files are without how Jobs get in: another key makes no other files.

    A pod that fetches carries its access, and so it counts there.
    """
    place = _select(location.get("connection", {}), PLACE_FIELDS)
    kept = {name: value for name, value in location.items() if name not in ACCESS_FIELDS}
    return {**kept, "connection": place} if place else kept


def _canonical_packaging(packaging: Manifest, *, is_packaged_once: bool) -> Manifest:
    """Return what counts of the packaging; only pods that fetch have a cache."""
    packaging = _without(_select(packaging, PACKAGING_FIELDS), PACKAGING_DEFAULTS)
    if is_packaged_once:
        packaging.pop("cache", None)
    if "cache" in packaging:
        cache = dict(packaging["cache"])
        if "maxSize" in cache:
            cache["maxSize"] = canonical_quantity(cache["maxSize"])
        packaging["cache"] = _without(cache, CACHE_DEFAULTS)
    return packaging


def _canonical_config(config: Manifest) -> Manifest:
    config = dict(config)
    if "dynamicBatching" in config:  # to ask for it says something, however little else is said
        batching = _without_empty(config["dynamicBatching"], ("preferredBatchSizes",))
        config["dynamicBatching"] = _without(batching, BATCHING_DEFAULTS)
    if config.get("instanceGroup"):
        group = _without(config["instanceGroup"], GROUP_DEFAULTS)
        config["instanceGroup"] = group or {"count": GROUP_DEFAULTS["count"]}
    return _without_empty(config, ("instanceGroup", "raw"))


def _canonical_server(server: Manifest) -> Manifest:
    server = _without(server, SERVER_DEFAULTS)
    if "protocols" in server:
        server["protocols"] = sorted(set(server["protocols"]))
        if len(server["protocols"]) == len(Protocol):
            del server["protocols"]

    if "resources" in server:
        server["resources"] = {
            part: {name: canonical_quantity(amount) for name, amount in amounts.items()}
            for part, amounts in server["resources"].items()
            if amounts
        }
        # No resources at all is not the same as none: without the field there are defaults.
        server = _without(server, {"resources": {"requests": REQUESTS_WITHOUT_RESOURCES}})

    if "pod" in server:
        server["pod"] = _canonical_pod(server["pod"])
    return _without_empty(server, ("pod", "args"))


def _canonical_pod(pod: Manifest) -> Manifest:
    pod = _without_empty(pod, pod)
    if "tolerations" in pod:
        pod["tolerations"] = _sorted_set(
            _without(item, TOLERATION_DEFAULTS) for item in pod["tolerations"]
        )
    if "topologySpreadConstraints" in pod:
        pod["topologySpreadConstraints"] = _sorted_set(pod["topologySpreadConstraints"])
    if "env" in pod and not any("$(" in variable["value"] for variable in pod["env"]):
        pod["env"] = sorted(pod["env"], key=lambda variable: str(variable["name"]))
    for field in ("volumes", "resourceClaims"):
        if field in pod:
            pod[field] = sorted(pod[field], key=lambda item: str(item["name"]))
    for field in ("shmSize", "tmpSize"):
        if field in pod:
            pod[field] = canonical_quantity(pod[field])
    return _without(pod, POD_DEFAULTS)


def _read_suffix(suffix: str) -> Fraction:
    if suffix in SMALL:
        return Fraction(1, 1000 ** SMALL[suffix])
    if suffix in LARGE:
        return Fraction(1000 ** LARGE.index(suffix))
    if suffix in BINARY:
        return Fraction(1024 ** BINARY.index(suffix))
    return Fraction(10) ** int(suffix[1:])


def _select(wire: Manifest, fields: Iterable[str]) -> Manifest:
    return {field: wire[field] for field in fields if field in wire}


def _without(wire: Manifest, defaults: Manifest) -> Manifest:
    """Return a copy without the fields that have their default."""
    return {
        field: value
        for field, value in wire.items()
        if field not in defaults or value != defaults[field]
    }


def _without_empty(wire: Manifest, fields: Iterable[str]) -> Manifest:
    """Return a copy without those of the fields that hold nothing."""
    fields = set(fields)
    return {name: value for name, value in wire.items() if value or name not in fields}


def _sorted_set(items: Iterable[Any]) -> list[Any]:
    by_text = {canonical_json(item): item for item in items}
    return [by_text[text] for text in sorted(by_text)]
