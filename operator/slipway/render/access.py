"""Who may call, as Envoy is told of it: filters before the counters, so that no denial is evidence.

Each way to say who calls leaves a name in a header that no client can set. Then one filter lets
callers pass or not, and one counts per caller. Names, hashes and limits are in the route file,
whose changes close no connection; the listener knows only which ways there are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from slipway.api.base import Manifest
from slipway.render.traces import TRACE_ID

CALLER_HEADER = "x-slipway-caller"
"""Tells the model server, and the log, who calls."""
KEY_HEADER = "x-slipway-key"
TOKEN_HEADER = "x-slipway-token"  # noqa: S105 -- a name
CERTIFICATE_HEADER = "x-slipway-certificate"
_WAYS = (KEY_HEADER, TOKEN_HEADER, CERTIFICATE_HEADER)
JWKS_PATH = "/v3/jwks"
"""Where the agent hands out key sets: ``<path>/<route>/<name of the tokens>``."""
DENIED_PREFIX = "access.denied."
"""Of the counters of denials: ``<prefix>route.<route>.status.<HTTP>.grpc.<gRPC>``."""
REFRESH = "2s"
"""How often Envoy asks the agent for key sets: a few bytes over a socket of the pod."""
MOST_CALLERS = 10_000
"""Callers whose requests are counted at a time; the one that was quiet longest is forgotten."""

NOBODY = "no credentials that this model takes"
STRANGER = "the caller may not call this model"
_UNUSABLE = "nobody:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""A name whose key nobody can know: Envoy takes no empty list."""

_TYPES = "type.googleapis.com/envoy"
_HTTP = f"{_TYPES}.extensions.filters.http"
_MATCH = f"{_TYPES}.extensions.filters.common.matcher.action.v3.SkipFilter"
_HEADER_INPUT = f"{_TYPES}.type.matcher.v3.HttpRequestHeaderMatchInput"
_BASIC, _JWT, _RBAC, _LIMIT = (
    f"envoy.filters.http.{name}" for name in ("basic_auth", "jwt_authn", "rbac", "local_ratelimit")
)
_DENIED = (
    "response.code_details.startsWith('rbac_access_denied') || "
    "response.code_details.startsWith('jwt_authn_access_denied') || "
    "response.code_details.endsWith('_for_basic_auth') || "
    "response.code_details == 'local_rate_limited'"
)
_LOG_LINE = {
    "time": "%START_TIME%",
    "caller": "%REQ(X-SLIPWAY-CALLER)%",
    "revision": "%RESP(X-SLIPWAY-REVISION)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "status": "%RESPONSE_CODE%",
    "grpcStatus": "%GRPC_STATUS_NUMBER%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytesIn": "%BYTES_RECEIVED%",
    "bytesOut": "%BYTES_SENT%",
    "millis": "%DURATION%",
    "modelMillis": "%RESPONSE_DURATION%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "pod": "%UPSTREAM_HOST%",
    "traceId": (
        "%CEL(re.extract(request.headers['traceparent'], "
        r"'^[0-9a-f]{2}-([0-9a-f]{32})-.*$', '\\1'))%"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one issuer."""

    name: str
    issuer: str = ""
    """Empty: whoever has the keys."""
    audiences: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    """Whole, or as a beginning before a `*`; empty: any."""
    claims: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    """Way to a claim, and the texts of which it must have one."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one caller may call."""

    per_second: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Who may call a route; without keys, tokens and certificates anybody may."""

    keys: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    """Names and hashes; None: keys are no way to call."""
    names: tuple[str, ...] = ()
    """Names of keys that may call; empty: all."""
    tokens: tuple[Tokens, ...] = ()
    certificates: bool = False
    """A client certificate is a way to call."""
    limit: Limit | None = None
    has_log: bool = False

    @property
    def has_callers(self) -> bool:
        """Whether a request needs a caller."""
        return self.keys is not None or bool(self.tokens) or self.certificates


def headers_to_strip(rules: AccessRules) -> tuple[str, ...]:
    """Return the headers that say who calls, which no client may bring."""
    return (*_WAYS, CALLER_HEADER) if rules.has_callers else ()


def listener_filters(route: str, rules: AccessRules, agent_cluster: str) -> list[Manifest]:
    """Return the filters that find the caller and let it pass, in their order."""
    if not rules.has_callers:
        return []
    return [
        *([_key_filter()] if rules.keys is not None else ()),
        *([_token_filter(route, rules.tokens, agent_cluster)] if rules.tokens else ()),
        _caller_filter(rules),
        _http_filter("rbac", "rbac.v3.RBAC"),
        _http_filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="limit"),
        _forgetting_filter(rules),
    ]


def listener_marks(route: str, rules: AccessRules, agent_cluster: str) -> list[object]:
    """Return what the listener has of the rules, for its hash."""
    return [listener_filters(route, rules, agent_cluster), rules.has_log]


def virtual_host_rules(rules: AccessRules) -> Manifest:
    """Return the part of a virtual host that says who may call, and how often."""
    if not rules.has_callers:
        return {}

    found: Manifest = {_RBAC: _allow(rules)}
    if rules.keys:
        users = "\n".join(f"{name}:{hashed}" for name, hashed in rules.keys)
        type_of = f"{_HTTP}.basic_auth.v3.BasicAuthPerRoute"
        found[_BASIC] = {"@type": type_of, "users": {"inline_string": users}}
    if rules.limit is not None:
        found[_LIMIT] = _limit(rules.limit)

    return {"typed_per_filter_config": found}


def access_logs(route: str, rules: AccessRules, *, is_traced: bool = False) -> list[Manifest]:
    """Return what is counted of denials, and the log where it is asked for."""
    counted = [_denial_counter(route)] if rules.has_callers else []
    return [*counted, *([_request_log(route, is_traced=is_traced)] if rules.has_log else ())]


def denial_answers(rules: AccessRules, grpc_form: Manifest) -> list[Manifest]:
    """Return how denials are worded: who shows nothing is unknown, and no stranger.

    `grpc_form` has the fields of a mapper that answer a gRPC client, with its filter.
    """
    if not rules.has_callers:
        return []
    is_denied = _cel_filter("response.code_details.startsWith('rbac_access_denied')")
    form = {key: value for key, value in grpc_form.items() if key != "filter"}
    answers: tuple[tuple[list[Manifest], Manifest], ...] = (
        (
            [is_denied, _without(CALLER_HEADER)],
            {"status_code": 401, "body": {"inline_string": NOBODY}, **_challenge(rules)},
        ),
        ([is_denied], {"body": {"inline_string": STRANGER}}),
    )

    found = []
    for conditions, answer in answers:
        found.append({"filter": _all_of([*conditions, grpc_form["filter"]]), **answer, **form})
        found.append({"filter": _all_of(conditions), **answer})
    return found


def _all_of(filters: list[Manifest]) -> Manifest:
    return filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}}


def _without(header: str) -> Manifest:
    return {
        "header_filter": {"header": {"name": header, "present_match": True, "invert_match": True}}
    }


def _cel_filter(expression: str) -> Manifest:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": f"{_TYPES}.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": expression,
            },
        }
    }


def _challenge(rules: AccessRules) -> Manifest:
    """RFC 9110 wants a 401 to name a way to say who one is."""
    schemes = (["Basic"] if rules.keys is not None else []) + (["Bearer"] if rules.tokens else [])
    if not schemes:
        return {}
    value = ", ".join(f'{scheme} realm="slipway"' for scheme in schemes)
    return {"headers_to_add": [{"header": {"key": "www-authenticate", "value": value}}]}


def _key_filter() -> Manifest:
    """Checks whoever shows a key; a request without one may have a caller of another way."""
    basic = {
        "@type": f"{_HTTP}.basic_auth.v3.BasicAuth",
        "users": {"inline_string": _UNUSABLE},
        "forward_username_header": KEY_HEADER,
    }
    is_other = {
        "not_matcher": {
            "single_predicate": {
                "input": {
                    "name": "authorization",
                    "typed_config": {"@type": _HEADER_INPUT, "header_name": "authorization"},
                },
                "value_match": {"prefix": "Basic ", "ignore_case": True},
            }
        }
    }
    skip = {"action": {"name": "skip", "typed_config": {"@type": _MATCH}}}

    return {
        "name": _BASIC,
        "typed_config": {
            "@type": f"{_TYPES}.extensions.common.matching.v3.ExtensionWithMatcher",
            "xds_matcher": {
                "matcher_list": {"matchers": [{"predicate": is_other, "on_match": skip}]}
            },
            "extension_config": {"name": _BASIC, "typed_config": basic},
        },
    }


def _token_filter(route: str, tokens: Iterable[Tokens], agent_cluster: str) -> Manifest:
    """A token that is shown must be good; none may be shown by a caller of another way."""
    providers = {each.name: _provider(route, each, agent_cluster) for each in tokens}
    any_of = [*({"provider_name": name} for name in providers), {"allow_missing": {}}]
    rule = {"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": any_of}}}
    return _http_filter(
        "jwt_authn", "jwt_authn.v3.JwtAuthentication", providers=providers, rules=[rule]
    )


def _provider(route: str, tokens: Tokens, agent_cluster: str) -> Manifest:
    """The agent hands out the keys, so that Envoy holds those it has when their source is down."""
    address = {
        "uri": f"http://agent{JWKS_PATH}/{route}/{tokens.name}",
        "cluster": agent_cluster,
        "timeout": "1s",
    }
    return {
        **({"issuer": tokens.issuer} if tokens.issuer else {}),
        "audiences": list(tokens.audiences),
        "remote_jwks": {
            "http_uri": address,
            "cache_duration": REFRESH,
            "async_fetch": {"failed_refetch_duration": "1s"},
        },
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "require_expiration": True,
        "payload_in_metadata": tokens.name,
        "claim_to_headers": [{"header_name": TOKEN_HEADER, "claim_name": "sub"}],
    }


def _caller_filter(rules: AccessRules) -> Manifest:
    """Name the caller by the way that says most of it."""
    certificate = ("URI_SAN", "DNS_SAN", "EMAIL_SAN", "SUBJECT") if rules.certificates else ()
    named = [(CERTIFICATE_HEADER, f"%DOWNSTREAM_PEER_{field}%") for field in certificate]
    named += [(CALLER_HEADER, f"%REQ({header.upper()})%") for header in _WAYS]

    return _mutation_filter("caller", [_set_if_absent(header, value) for header, value in named])


def _forgetting_filter(rules: AccessRules) -> Manifest:
    """What a key or token is, nobody behind this needs to know: neither a model nor its copier."""
    shown = ["authorization"] if rules.keys is not None or rules.tokens else []
    return _mutation_filter("credentials", [{"remove": header} for header in (*shown, *_WAYS)])


def _mutation_filter(name: str, mutations: list[Manifest]) -> Manifest:
    """Under a name of its own: settings of a route go by the names of filters."""
    mutation = _http_filter(
        "header_mutation",
        "header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": mutations},
    )
    return {**mutation, "name": f"slipway.{name}"}


def _set_if_absent(header: str, value: str) -> Manifest:
    return {
        "append": {
            "header": {"key": header, "value": value},
            "append_action": "ADD_IF_ABSENT",
        }
    }


def _allow(rules: AccessRules) -> Manifest:
    callers = {"permissions": [{"any": True}], "principals": list(_principals(rules))}
    policies = {"callers": callers}
    return {
        "@type": f"{_HTTP}.rbac.v3.RBACPerRoute",
        "rbac": {"rules": {"action": "ALLOW", "policies": policies}},
    }


def _principals(rules: AccessRules) -> Iterator[Manifest]:
    if rules.keys is not None:
        yield from _named_keys(rules.names)
    for tokens in rules.tokens:
        yield _bearer(tokens)
    if rules.certificates:
        yield {
            "custom": {
                "name": "envoy.rbac.principals.mtls_authenticated",
                "typed_config": {
                    "@type": f"{_TYPES}.extensions.rbac.principals.mtls_authenticated.v3.Config",
                    "any_validated_client_certificate": True,
                },
            }
        }


def _named_keys(names: tuple[str, ...]) -> Iterator[Manifest]:
    if not names:
        yield {"header": {"name": KEY_HEADER, "present_match": True}}
    for name in names:
        yield {"header": {"name": KEY_HEADER, "string_match": {"exact": name}}}


def _bearer(tokens: Tokens) -> Manifest:
    """Who has a token of this issuer, with what it must say."""
    subjects = [_text_match(each) for each in tokens.subjects] or [{"safe_regex": {"regex": ".+"}}]
    subject = _any_of([_claim(tokens, ("sub",), {"string_match": each}) for each in subjects])
    claims = [_required(tokens, path, values) for path, values in tokens.claims]
    return {"and_ids": {"ids": [subject, *claims]}}


def _required(tokens: Tokens, path: tuple[str, ...], values: tuple[str, ...]) -> Manifest:
    found = []
    for value in values:
        match = {"string_match": {"exact": value}}
        found += [
            _claim(tokens, path, match),
            _claim(tokens, path, {"list_match": {"one_of": match}}),
        ]
    return _any_of(found)


def _any_of(principals: list[Manifest]) -> Manifest:
    return {"or_ids": {"ids": principals}}


def _claim(tokens: Tokens, path: tuple[str, ...], value: Manifest) -> Manifest:
    keys = [{"key": key} for key in (tokens.name, *path)]
    matcher = {"filter": _JWT, "path": keys, "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _text_match(text: str) -> Manifest:
    return {"prefix": text[:-1]} if text.endswith("*") else {"exact": text}


def _limit(limit: Limit) -> Manifest:
    """A bucket for each caller; the one of the route itself is never empty."""
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    endless = {"max_tokens": 2**32 - 1, "tokens_per_fill": 2**32 - 1, "fill_interval": "1s"}
    bucket = {
        "max_tokens": limit.burst,
        "tokens_per_fill": limit.per_second,
        "fill_interval": "1s",
    }

    return {
        "@type": f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": endless,
        "filter_enabled": always,
        "filter_enforced": always,
        "rate_limits": [{"actions": [_caller_of(header)]} for header in _WAYS],
        "descriptors": [{"entries": [{"key": way}], "token_bucket": bucket} for way in _WAYS],
        "max_dynamic_descriptors": MOST_CALLERS,
        "rate_limited_as_resource_exhausted": True,
        "response_headers_to_add": [{"header": {"key": "retry-after", "value": "1"}}],
    }


def _caller_of(header: str) -> Manifest:
    return {"request_headers": {"header_name": header, "descriptor_key": header}}


def _denial_counter(route: str) -> Manifest:
    """Counts denials by route and status; of gRPC, whose HTTP status is always 200, by its own."""
    tags = {"route": route, "status": "%RESPONSE_CODE%", "grpc": "%GRPC_STATUS_NUMBER%"}
    stat = {
        "name": "denied",
        "tags": [{"name": name, "value_format": value} for name, value in tags.items()],
    }

    return {
        "name": "envoy.access_loggers.stats",
        "filter": _cel_filter(_DENIED),
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": "access"},
            "counters": [{"stat": stat, "value_fixed": 1}],
        },
    }


def _request_log(route: str, *, is_traced: bool) -> Manifest:
    """A router that traces may have made the id itself, or have taken the header away."""
    own_id = {"traceId": TRACE_ID} if is_traced else {}
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": {"route": route, **_LOG_LINE, **own_id}},
        },
    }


def _http_filter(name: str, message: str, **config: object) -> Manifest:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_HTTP}.{message}", **config},
    }
