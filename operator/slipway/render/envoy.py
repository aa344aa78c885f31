"""What Envoy reads: bootstrap, listeners, clusters, routes and endpoints.

A whole router reads three files, never one per model: Envoy 1.40 opens an inotify instance for each
file that it watches, and aborts at the kernel's limit per user (128 by default, for all pods of a
node together); tests/contract/envoy counts them. Endpoints change most often, so Envoy gets them
from the agent by long poll: written into their cluster, each change would replace the cluster, and
with it its error counters and its latency histogram.

All routes share one route configuration. A listener finds its virtual host there by a header that
it sets itself, so a client cannot forge it.
"""

import re
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of
from slipway.api.counters import GATEWAY_STATUS, latency_edges
from slipway.api.modelroute import HeaderMatch, TLSVersion
from slipway.api.protocol import Protocol
from slipway.render import access, traces
from slipway.render.access import AccessRules
from slipway.render.clients import (
    Clients,
    authority_name,
    authority_secret,
    client_validation,
)
from slipway.render.traces import RouterTraces

BOOTSTRAP_FILE = "bootstrap.json"
LISTENERS_FILE = "lds.json"
CLUSTERS_FILE = "cds.json"
ROUTES_FILE = "rds.json"
ADMIN_SOCKET = "admin.sock"
ENDPOINTS_SOCKET = "endpoints.sock"
"""Where the agent answers what Envoy posts to `ENDPOINTS_PATH` and `SECRETS_PATH`."""
ENDPOINTS_PATH = "/v3/discovery:endpoints"
SECRETS_PATH = "/v3/discovery:secrets"
LIVE_PATH = "/live"
"""Where Envoy's workers answer the kubelet."""
HOLD_PATH = "/hold"
"""Below it, by route, the agent answers when a request may go on to a model that was asleep."""
HOLD_REFUSED = 429
"""The agent's answer for a request that it does not hold, or no longer. Clients get 503, but Envoy
takes a 5xx of the agent for a fault, and drops what it says."""
HELD_BYTES = 2**20
"""What Envoy takes of a request that waits, beside a connection's buffer of the same size; of a
gRPC stream it would take 16 MiB else."""
LONGEST_HOLD = "3660s"
"""Envoy's own limit, above all that the agent keeps."""
COMPARER_SOCKET = "comparer.sock"
"""Where the comparer takes copies of requests and of their answers."""
SHADOW_SOCKET = "shadow.sock"
"""Where Envoy takes what the comparer asks the candidate, so that both sides are timed alike."""

COPIED_STATS = "http.router.ext_proc."
"""Where /stats shows a route's copies: ``<prefix><route>.streams_started`` and ``..._failed``."""

AGENT_CLUSTER = "agent"
COMPARER_CLUSTER = "comparer"
SHADOW_LISTENER = "shadow_copies"
LIVE_LISTENER = "live_probe"
"""No ModelRoute can have their names."""
STAT_PREFIX = "router"
IN_FLIGHT_STAT = f"http.{STAT_PREFIX}.downstream_rq_active"
CLIENTS_STAT = f"http.{STAT_PREFIX}.downstream_rq_time"
"""How long clients wait, over all routes."""
ROUTES_NAME = "models"
VERSION_STATS = {
    LISTENERS_FILE: "listener_manager.lds",
    CLUSTERS_FILE: "cluster_manager.cds",
    ROUTES_FILE: f"http.{STAT_PREFIX}.rds.{ROUTES_NAME}",
}
"""Where /stats shows what became of a file: ``<prefix>.version_text``, ``<prefix>.update_*``."""

GRPC_SERVICE = "inference.GRPCInferenceService"
GRPC_STREAM = "ModelStreamInfer"
GRPC_METHODS = (
    "ModelInfer",
    GRPC_STREAM,
    "ModelMetadata",
    "ModelReady",
    "ServerLive",
    "ServerMetadata",
    "ServerReady",
)
HTTP_PATHS = (
    r"/v2(/health/(live|ready))?/?"
    r"|/v2/models/[^/]+(/versions/[^/]+)?(/(ready|infer|generate|generate_stream))?"
)
"""Inference, metadata and readiness of the V2 protocol, and Triton's generate extension."""
HTTP_CONFIG = r"/v2/models/[^/]+(/versions/[^/]+)?/config"
GRPC_CONFIG = f"/{GRPC_SERVICE}/ModelConfig"
"""With these clients such as PyTriton's and perf_analyzer begin. Entries of their own: Envoy takes
no expression of more than 100 instructions."""
GRPC_HEALTH = "/grpc.health.v1.Health/Check"
"""What load balancers and probes ask any gRPC server."""
ALL_STATISTICS = "/v2/models/stats"
"""Would match as the metadata of a model called "stats"; it lists every model's statistics."""
HTTP_COPIED = r"/v2/models/[^/]+(/versions/[^/]+)?/(infer|generate|generate_stream)"
GRPC_COPIED = f"/{GRPC_SERVICE}/(ModelInfer|{GRPC_STREAM})"

REVISION_HEADER = "x-slipway-revision"
ROUTE_HEADER = "x-slipway-route"
TOOK_HEADER = "x-slipway-took"
"""Of an answer that is copied: microseconds from the last byte sent to the server to the first that
came back. Removed before the client."""
FLAGS_HEADER = "x-slipway-flags"
"""Of Envoy's own answer to the comparer: why, in the flags of its access log."""

ANY_IPV4, ANY_ADDRESS = "0.0.0.0", "::"
"""Where listeners take clients: of IPv4 alone, or of both families."""

OVERFLOW_EDGE_MILLIS = 86_400_000
"""An edge above every real latency, so that Envoy also counts what exceeds our last edge."""

CONNECT_TIMEOUT = "2s"
UPSTREAM_IDLE_TIMEOUT = "5s"
"""An idle connection would delay the exit of a revision's last Triton pod."""
RETRIES = 3
HOLD_RETRIES = 16
"""After pauses that double from a tenth of a second: an agent that is killed is back in seconds."""
POLL_PAUSE = "0.010s"
"""Between two polls for a cluster's endpoints; the agent holds each poll until they change."""
POLL_TIMEOUT = "86400s"
MOST_HEADERS = 1000
"""Of one request; Envoy's own limit of 100 is below what Triton takes."""
UNLIMITED = 4_294_967_295
LARGEST_LENGTH = 2**62
MOST_COPIES = 16
"""Copies that Envoy hands over at a time, of all routes: the bound on what it holds for them."""
FORGOTTEN_AFTER = "2s"
"""How long a copy stays open after the user's answer, for its last bytes. A comparer that runs ends
it by itself, so that this is for one that is busy, or has stopped."""
OLDEST_COPY = "60s"
CACHED = 4096
"""Parts kept rendered: a change of one weight must not cost the work of rendering fifty."""

_TYPES = "type.googleapis.com/envoy"
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP = f"{_TYPES}.extensions.filters.http"
_TRANSPORT = f"{_TYPES}.extensions.transport_sockets.tls.v3"
_V3 = "V3"


@dataclass(frozen=True, slots=True, order=True)
class ClusterKey:
    """Which requests a cluster takes; Envoy counts per cluster."""

    route: str
    revision: str
    protocol: Protocol
    pinned: bool = False
    """For requests that came by the candidate header."""
    shadow: bool = False
    """For copies, whose answers no user gets."""

    @property
    def name(self) -> str:
        """Envoy's name for it; without dots, which separate the parts of a statistic's name."""
        plain = f"{self.route}/{self.revision}/{self.protocol.port_name}"
        if self.shadow:
            return f"{plain}/shadow"
        return f"{plain}/pinned" if self.pinned else plain


Address = tuple[str, int]
"""IP address and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """How a listener takes connections."""

    min_version: TLSVersion
    plaintext: bool
    """It takes connections without TLS too."""
    has_certificate: bool
    """Until then it takes none with TLS."""
    clients: Clients | None = None
    """Whose certificates it takes; None: it asks for none."""


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """A certificate with its chain, and its key, both PEM."""

    chain: str
    key: str = field(repr=False)


MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Copying:
    """Which requests of a route are copied, and who answers the copies."""

    revision: str
    per_million: int
    """Share of the requests that are copied; 0: none now, and the listener stays as it is."""
    max_body_bytes: int
    """Of a request that says how large it is, no more than its headers is copied beyond."""


@dataclass(frozen=True, slots=True)
class Route:
    """What one ModelRoute means to Envoy."""

    name: str
    port: int
    weights: tuple[tuple[str, int], ...]
    """Revision and percent; empty, or 100 in total."""
    timeout_seconds: int = 0
    """0: none."""
    candidate: str | None = None
    header: HeaderMatch | None = None
    """Sends a request to `candidate`; both or neither."""
    copying: Copying | None = None
    encryption: Encryption | None = None
    access: AccessRules | None = None
    """Who may call; None: anybody, and nothing is written down."""
    holds: bool = False
    """Requests wait for the agent's word, as the model is asleep."""

    @property
    def has_listener(self) -> bool:
        """Whether anybody could connect; without its certificate a listener would only refuse."""
        encryption = self.encryption
        return encryption is None or encryption.has_certificate or encryption.plaintext

    @property
    def pinned(self) -> str | None:
        """The revision that the header selects."""
        return self.candidate if self.header is not None else None

    @property
    def clusters(self) -> frozenset[ClusterKey]:
        """All clusters that the route can send a request to."""
        weighted = {revision for revision, weight in self.weights if weight > 0}
        found = {
            ClusterKey(self.name, revision, protocol, pinned)
            for revisions, pinned in ((weighted, False), ({self.pinned} - {None}, True))
            for revision in revisions
            if revision is not None
            for protocol in Protocol
        }
        return frozenset(found | self.shadow_clusters)

    @property
    def shadow_clusters(self) -> set[ClusterKey]:
        """The clusters that copies are sent to."""
        if self.copying is None:
            return set()
        return {
            ClusterKey(self.name, self.copying.revision, protocol, shadow=True)
            for protocol in Protocol
        }

    @property
    def hash(self) -> str:
        """Identifies the listener and the virtual host that this renders to."""
        return _route_hash(self)


def content_hash(content: object) -> str:
    """Return 16 hex digits that identify a JSON value."""
    return sha256_of(content)[:16]


@lru_cache(maxsize=CACHED)
def _route_hash(route: Route) -> str:
    return content_hash([route.port, *_virtual_hosts(route), *_listener_marks(route)])


def _listener_marks(route: Route) -> list[object]:
    """What the listener has of its own; what a route does not use leaves its hash alone."""
    found: list[object] = []
    if route.encryption is not None:
        encryption = asdict(route.encryption)
        found.append({key: value for key, value in encryption.items() if value is not None})
    if route.access is not None:
        found += access.listener_marks(route.name, route.access, AGENT_CLUSTER)
    return found


def render_bootstrap(
    directory: str,
    node: str,
    *,
    counts_denials: bool = False,
    has_comparer: bool = False,
    can_hold: bool = False,
    live_on: Address | None = None,
    traced: RouterTraces | None = None,
) -> Manifest:
    """Return the bootstrap: where the other files are, and what Envoy counts.

    `live_on` is where the kubelet finds out that Envoy lives; None: it does not look. `traced` is
    where spans go; None: nowhere.
    """
    clusters = [_agent_cluster(directory, can_hold=can_hold)]
    clusters += [traces.render_collector(traced)] if traced is not None else []
    live = {"listeners": [_live_listener(live_on)]} if live_on is not None else {}
    runtime = {"layered_runtime": {"layers": [_NEVER_WAIT]}} if has_comparer else {}
    edges = [float(edge) for edge in (*latency_edges(), OVERFLOW_EDGE_MILLIS)]

    return {
        "node": {"id": node, "cluster": STAT_PREFIX},
        "admin": {"address": {"pipe": {"path": f"{directory}/{ADMIN_SOCKET}", "mode": 0o660}}},
        "static_resources": {"clusters": clusters, **live},
        "dynamic_resources": {
            "lds_config": _config_source(directory, LISTENERS_FILE),
            "cds_config": _config_source(directory, CLUSTERS_FILE),
        },
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": match, "buckets": edges}
                for match in ({"prefix": "cluster."}, {"exact": CLIENTS_STAT})
            ],
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": _needed_stats(
                        counts_denials=counts_denials,
                        counts_copies=has_comparer,
                        counts_in_flight=live_on is not None,
                    )
                }
            },
        },
        **runtime,
    }


_NEVER_WAIT: Manifest = {
    "name": "copies",
    "static_layer": {"envoy.reloadable_features.grpc_side_stream_flow_control": False},
}
"""Else Envoy reads no more of a user's request while the comparer takes no more of its copy."""


@lru_cache(maxsize=2)
def render_listeners(
    directory: str,
    routes: tuple[Route, ...],
    *,
    listen_on: str = ANY_IPV4,
    has_comparer: bool = False,
    can_hold: bool = False,
    traced: RouterTraces | None = None,
) -> Manifest:
    """Return the listener file; it changes only when a route comes or goes.

    `listen_on` is `ANY_IPV4`, or `ANY_ADDRESS` where the kernel has IPv6. Where there is a comparer
    every listener can copy from the start, and where the agent can every listener can hold: one
    that could only later would have to close its clients' connections for it.
    """
    listeners = [
        _render_listener(
            route.name,
            route.port,
            directory,
            listen_on,
            route.encryption,
            rules=route.access,
            can_copy=has_comparer,
            can_hold=can_hold,
            traced=traced,
        )
        for route in routes
        if route.has_listener
    ]
    if has_comparer:
        listeners.append(_shadow_listener(directory, is_traced=traced is not None))
    return _discovery_response(listeners)


@lru_cache(maxsize=2)
def render_clusters(
    keys: frozenset[ClusterKey], comparer: str | None = None, *, is_traced: bool = False
) -> Manifest:
    """Return the cluster file; it changes when a revision, or a shadow, comes or goes.

    `comparer` is the directory of the comparer's socket; None: there is none.
    """
    clusters = [_render_cluster(key) for key in sorted(keys)]
    if is_traced:
        pairs = zip(sorted(keys), clusters, strict=True)
        clusters = [each | traces.revision_metadata(key.revision) for key, each in pairs]
    if comparer is not None:
        clusters.append(_comparer_cluster(comparer))
    return _discovery_response(clusters)


@lru_cache(maxsize=CACHED)
def render_endpoints(key: ClusterKey, addresses: tuple[Address, ...]) -> Manifest:
    """Return the answer to a poll for a cluster's endpoints; cached, so never to be modified."""
    return _discovery_response(
        [
            {
                "@type": f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": key.name,
                "endpoints": [_locality_endpoints(addresses)],
            }
        ]
    )


def certificate_name(route: str) -> str:
    """Return the name under which a route's listener asks for its certificate."""
    return f"{route}/certificate"


def render_certificate(route: str, pair: CertificatePair) -> Manifest:
    """Return the answer to a poll for a route's certificate; not cached, since it holds a key."""
    certificate = {
        "certificate_chain": {"inline_string": pair.chain},
        "private_key": {"inline_string": pair.key},
    }

    return _discovery_response(
        [
            {
                "@type": f"{_TRANSPORT}.Secret",
                "name": certificate_name(route),
                "tls_certificate": certificate,
            }
        ]
    )


def render_authority(route: str, bundle: str, revoked: str = "") -> Manifest:
    """Return the answer to a poll for the authority of a route's clients, in PEM.

    `revoked` has lists of revoked certificates; empty: none are looked at.
    """
    return _discovery_response([authority_secret(route, bundle, revoked)])


@lru_cache(maxsize=2)
def render_routes(routes: tuple[Route, ...]) -> Manifest:
    """Return the route file: the weights."""
    return _discovery_response(
        [
            {
                "@type": f"{_TYPES}.config.route.v3.RouteConfiguration",
                "name": ROUTES_NAME,
                "vhost_header": ROUTE_HEADER,
                "request_headers_to_remove": [ROUTE_HEADER],
                "virtual_hosts": [host for route in routes for host in _virtual_hosts(route)],
            }
        ]
    )


def _discovery_response(resources: list[Manifest]) -> Manifest:
    return {"version_info": content_hash(resources), "resources": resources}


def _config_source(directory: str, file: str) -> Manifest:
    return {
        "path_config_source": {
            "path": f"{directory}/{file}",
            "watched_directory": {"path": directory},
        },
        "resource_api_version": _V3,
    }


def _needed_stats(
    *, counts_denials: bool, counts_copies: bool, counts_in_flight: bool
) -> list[Manifest]:
    """Only what the agent reads: a cluster has hundreds of statistics."""
    prefixes = [f"{prefix}." for prefix in VERSION_STATS.values()]
    statuses = "|".join(map(str, (*GATEWAY_STATUS, 503, 504)))
    counted = (
        r"cluster\.[^.]+\.("
        rf"version_text|upstream_rq_(completed|total|4xx|5xx|{statuses}"
        r"|active|pending_active|pending_failure_eject|cancelled|retry|rx_reset|timeout|time)"
        r"|upstream_cx_(destroy_remote_with_active_rq|none_healthy)"
        r"|grpc\..*)"
    )

    copied = rf"{re.escape(COPIED_STATS)}.+\.streams_(started|failed)"
    return [
        *({"prefix": prefix} for prefix in prefixes),
        {"safe_regex": {"regex": counted}},
        *([{"prefix": access.DENIED_PREFIX}] if counts_denials else []),
        *([{"safe_regex": {"regex": copied}}] if counts_copies else []),
        {"exact": "http.admin.downstream_rq_total"},
        {"exact": CLIENTS_STAT},
        *([{"exact": IN_FLIGHT_STAT}] if counts_in_flight else []),
    ]


@lru_cache(maxsize=CACHED)
def _render_listener(
    name: str,
    port: int,
    directory: str,
    listen_on: str,
    encryption: Encryption | None,
    *,
    rules: AccessRules | None,
    can_copy: bool,
    can_hold: bool,
    traced: RouterTraces | None,
) -> Manifest:
    plain = _connection_manager(name, directory, can_copy=can_copy, can_hold=can_hold)
    if traced is not None:
        plain = _with_traces(plain, name, traced)
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _with_access(plain, name, rules, is_traced=traced is not None),
    }
    chains = _filter_chains(name, encryption, [manager])
    # Only where a port takes both does anything have to look at a connection's first bytes.
    both = {"listener_filters": [_tls_inspector()]} if len(chains) > 1 else {}

    return {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": name,
        "address": _listen_address(listen_on, port),
        **both,
        "filter_chains": chains,
    }


def _filter_chains(
    name: str, encryption: Encryption | None, filters: list[Manifest]
) -> list[Manifest]:
    if encryption is None or not encryption.has_certificate:
        return [{"filters": filters}]

    encrypted = {"transport_socket": _transport_socket(name, encryption), "filters": filters}
    if not encryption.plaintext:
        return [encrypted]
    return [
        {"filter_chain_match": {"transport_protocol": "tls"}, **encrypted},
        {"filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": filters},
    ]


def _tls_inspector() -> Manifest:
    return {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.filters.listener.tls_inspector.v3.TlsInspector"
        },
    }


def _transport_socket(name: str, encryption: Encryption) -> Manifest:
    """The certificate is asked for by its name, so that a renewed one closes no connection."""
    certificate = {"name": certificate_name(name), "sds_config": _polled_from_agent()}
    lowest = {TLSVersion.TLS_1_2: "TLSv1_2", TLSVersion.TLS_1_3: "TLSv1_3"}
    clients = encryption.clients
    authority = {"name": authority_name(name), "sds_config": _polled_from_agent()}
    context = client_validation(clients, authority) if clients is not None else {}
    required = {"require_client_certificate": True} if clients and clients.is_required else {}

    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TRANSPORT}.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": {
                    "tls_minimum_protocol_version": lowest[encryption.min_version],
                    "tls_maximum_protocol_version": "TLSv1_3",
                },
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": [certificate],
                **context,
            },
            **required,
        },
    }


def _live_listener(address: Address) -> Manifest:
    """Answer one path, and count nothing."""
    answers = {
        "name": "live",
        "domains": ["*"],
        "routes": [{"match": {"path": LIVE_PATH}, "direct_response": {"status": 200}}],
    }
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "live",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [answers]},
        "http_filters": [_router_filter()],
    }
    host, port = address

    return {
        "name": LIVE_LISTENER,
        "address": _listen_address(host, port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


def _listen_address(listen_on: str, port: int) -> Manifest:
    address = _socket_address(listen_on, port)
    if listen_on == ANY_ADDRESS:
        address["socket_address"]["ipv4_compat"] = True
    return address


def _connection_manager(
    name: str, directory: str, *, can_copy: bool = False, can_hold: bool = False
) -> Manifest:
    routes = {
        "route_config_name": ROUTES_NAME,
        "config_source": _config_source(directory, ROUTES_FILE),
    }

    return {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        # Triton serves HTTP/1.0, which proxies such as nginx speak unless told otherwise.
        "common_http_protocol_options": {"max_headers_count": MOST_HEADERS},
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": name},
        **({"http2_protocol_options": _SMALL_WINDOW} if can_hold else {}),
        "rds": routes,
        "early_header_mutation_extensions": [_set_route_header(name)],
        "use_remote_address": True,  # drops x-envoy-* headers, which could make Envoy retry
        "generate_request_id": False,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "stream_idle_timeout": "0s",
        "request_headers_timeout": "30s",
        "server_header_transformation": "PASS_THROUGH",
        "local_reply_config": _own_answers(can_hold=can_hold),
        "http_filters": [
            *([_holding_filter(name) | _OFF] if can_hold else ()),
            _grpc_statistics_filter(),
            *(_copying_filters(name) if can_copy else ()),
            _router_filter(),
        ],
    }


_SMALL_WINDOW: Manifest = {"initial_stream_window_size": HELD_BYTES}


def _holding_filter(route: str) -> Manifest:
    """Asks the agent whether a request may go on; off but where the route file turns it on.

    It comes before the filters that count: what it refuses, no counter of a model sees. Envoy asks
    again when the agent is gone, so that one that restarts loses no request.
    """
    # Envoy takes the longest pause for the limit of a try as well.
    again = {"base_interval": "0.100s", "max_interval": LONGEST_HOLD}
    retries = {
        "retry_on": "connect-failure,reset",
        "num_retries": HOLD_RETRIES,
        "retry_back_off": again,
    }
    passed_on = {"allowed_client_headers": {"patterns": [{"exact": "retry-after"}]}}
    service = {
        "server_uri": {"uri": "http://agent", "cluster": AGENT_CLUSTER, "timeout": LONGEST_HOLD},
        "path_override": f"{HOLD_PATH}/{route}",
        "authorization_response": passed_on,
        "retry_policy": retries,
    }

    return _http_filter(
        "ext_authz",
        "ext_authz.v3.ExtAuthz",
        http_service=service,
        disallowed_headers={"patterns": [{"exact": "authorization"}]},
        status_on_error={"code": 503},
        charge_cluster_response_stats=False,
    )


def _held() -> Manifest:
    per_route = {"@type": f"{_HTTP}.ext_authz.v3.ExtAuthzPerRoute", "check_settings": {}}
    return {"typed_per_filter_config": {"envoy.filters.http.ext_authz": per_route}}


def _with_traces(manager: Manifest, route: str, traced: RouterTraces) -> Manifest:
    """Trace requests; what Envoy does not trace, Triton must not either."""
    *filters, last = manager["http_filters"]
    config = {**last["typed_config"], "upstream_http_filters": traces.upstream_filters()}
    return {
        **manager,
        "tracing": traces.render_tracing(route, traced),
        "request_id_extension": traces.request_ids(),
        "http_filters": [*filters, {**last, "typed_config": config}],
    }


def _with_access(
    manager: Manifest, route: str, rules: AccessRules | None, *, is_traced: bool = False
) -> Manifest:
    """Put the filters that find the caller first: what they refuse, no counter of a model sees."""
    if rules is None:
        return manager

    answers = manager["local_reply_config"]
    *held_forms, grpc_form = answers["mappers"]
    stripped = [{"remove": header} for header in access.headers_to_strip(rules)]
    return {
        **manager,
        "access_log": access.access_logs(route, rules, is_traced=is_traced),
        "early_header_mutation_extensions": [_set_route_header(route, *stripped)],
        "local_reply_config": {
            **answers,
            "mappers": [*held_forms, *access.denial_answers(rules, grpc_form), grpc_form],
        },
        "http_filters": [
            *access.listener_filters(route, rules, AGENT_CLUSTER),
            *manager["http_filters"],
        ],
    }


def _copying_filters(route: str) -> tuple[Manifest, ...]:
    """Off but for the share of requests that the route file turns them on for.

    The copier is the nearer one to the server, and sees what the other takes away.
    """
    return (
        _http_filter("header_mutation", "header_mutation.v3.HeaderMutation") | _OFF,
        _copier(route) | _OFF,
    )


_OFF: Manifest = {"disabled": True}


def _router_filter() -> Manifest:
    return _http_filter("router", "router.v3.Router", suppress_envoy_headers=True)


def _copier(route: str) -> Manifest:
    """Hands requests and answers over as they pass, without waiting, and without looking back."""
    sent = {"request_header_mode": "SEND", "request_body_mode": "STREAMED"}
    return _http_filter(
        "ext_proc",
        "ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": {"cluster_name": COMPARER_CLUSTER}, "timeout": OLDEST_COPY},
        failure_mode_allow=True,
        observability_mode=True,
        deferred_close_timeout=FORGOTTEN_AFTER,
        stat_prefix=route,
        processing_mode={**sent, **_ANSWERS_TOO},
    )


_ANSWERS_TOO: Manifest = {
    "response_header_mode": "SEND",
    "response_body_mode": "STREAMED",
    "response_trailer_mode": "SEND",
}


def _own_answers(*, can_hold: bool) -> Manifest:
    """Triton's form of an error: JSON over HTTP, the plain text over gRPC."""
    text = "slipway router: %LOCAL_REPLY_BODY%"
    is_grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}

    grpc = {
        "filter": {"header_filter": {"header": is_grpc}},
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }
    return {
        "body_format": {"json_format": {"error": text}, "content_type": "application/json"},
        "mappers": [*(_hold_refusals(grpc) if can_hold else ()), grpc],
    }


def _hold_refusals(grpc: Manifest) -> list[Manifest]:
    """Return how clients are told, with status 503, that their request was not held."""
    both = {"and_filter": {"filters": [_is_hold_refused(), grpc["filter"]]}}
    return [
        {**grpc, "filter": both, "status_code": 503},
        {"filter": _is_hold_refused(), "status_code": 503},
    ]


def _is_hold_refused() -> Manifest:
    status = {"value": {"default_value": HOLD_REFUSED, "runtime_key": "-"}}
    return {
        "and_filter": {
            "filters": [
                {"response_flag_filter": {"flags": ["UAEX"]}},
                {"status_code_filter": {"comparison": {"op": "EQ", **status}}},
            ]
        }
    }


def _set_route_header(name: str, *others: Manifest) -> Manifest:
    overwrite = {
        "header": {"key": ROUTE_HEADER, "value": name},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }

    return {
        "name": "route",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.http.early_header_mutation.header_mutation.v3"
            ".HeaderMutation",
            "mutations": [{"append": overwrite}, *others],
        },
    }


def _grpc_statistics_filter() -> Manifest:
    """Triton answers an error over gRPC with HTTP status 200; only this filter sees it."""
    methods = {"services": [{"name": GRPC_SERVICE, "method_names": [*GRPC_METHODS, "ModelConfig"]}]}
    return _http_filter(
        "grpc_stats", "grpc_stats.v3.FilterConfig", individual_method_stats_allowlist=methods
    )


def _http_filter(name: str, message: str, **config: object) -> Manifest:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_HTTP}.{message}", **config},
    }


@lru_cache(maxsize=CACHED)
def _virtual_hosts(route: Route) -> list[Manifest]:
    users = {
        "name": route.name,
        "domains": [route.name],
        "routes": _route_entries(route),
        **(access.virtual_host_rules(route.access) if route.access is not None else {}),
    }
    if route.copying is None:
        return [users]

    name = shadow_host(route.name)
    entries = [
        {"match": path, **_shadow_action(route, route.copying.revision, protocol)}
        for protocol, path in (
            (Protocol.GRPC, {"safe_regex": {"regex": GRPC_COPIED}}),
            (Protocol.HTTP, {"safe_regex": {"regex": HTTP_COPIED}}),
        )
    ]
    return [users, {"name": name, "domains": [name], "routes": entries}]


def shadow_host(route: str) -> str:
    """Return the virtual host of a route's copies: no ModelRoute can have its name."""
    return f"{route}_shadow"


def _shadow_action(route: Route, revision: str, protocol: Protocol) -> Manifest:
    key = ClusterKey(route.name, revision, protocol, shadow=True)
    return {
        "route": {"cluster": key.name, **_forwarding_policy(route)},
        "response_headers_to_add": [_took_header()],
    }


def _took_header() -> Manifest:
    return {
        "header": {"key": TOOK_HEADER, "value": "%COMMON_DURATION(US_TX_END:US_RX_BEG:us)%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _route_entries(route: Route) -> list[Manifest]:
    """Envoy takes the first match: the header, then the weights, then 404 for anything else."""
    not_found = _direct_response(
        404, "only inference, metadata, configuration and readiness of the V2 protocol pass here"
    )
    entries = [{"match": {"path": ALL_STATISTICS}, **not_found}]

    for protocol in (Protocol.GRPC, Protocol.HTTP):
        found = [_entries_for_path(route, path, protocol) for path in _path_matches(protocol)]
        if route.copying is not None and not route.holds:
            # Between them: what the header selects is no copy, and what is copied is weighted too.
            entries += [each for pinned, _ in found for each in pinned]
            entries += _copied_entries(route, route.copying, protocol)
            found = [([], weighted) for _, weighted in found]
        entries += [each for pinned, weighted in found for each in (*pinned, weighted)]

    return [*entries, {"match": {"prefix": "/"}, **not_found}]


def _entries_for_path(
    route: Route, path: Manifest, protocol: Protocol
) -> tuple[list[Manifest], Manifest]:
    """Return the entry for the header, if there is one, and the one for the weights."""
    held = _held() if route.holds else {}
    weighted = {"match": path, **_weighted_action(route, protocol), **held}
    if route.header is None or route.pinned is None:
        return [], weighted
    pinned = {
        "match": {**path, "headers": [_exact_match(route.header)]},
        **_pinned_action(route, route.pinned, protocol),
    }
    return [pinned], weighted


def _copied_entries(route: Route, copying: Copying, protocol: Protocol) -> list[Manifest]:
    """Return the weighted entries of a share of the requests, which are copied too.

    Of a request that says that it is too large only the headers are copied, so
    that Envoy holds no large body even while nobody takes it.
    """
    if not copying.per_million or not any(weight > 0 for _, weight in route.weights):
        return []

    expression = GRPC_COPIED if protocol is Protocol.GRPC else HTTP_COPIED
    share = {"numerator": copying.per_million, "denominator": "MILLION"}
    match: Manifest = {
        "safe_regex": {"regex": expression},
        "runtime_fraction": {"default_value": share},
    }
    too_large = {
        "name": "content-length",
        "range_match": {"start": copying.max_body_bytes + 1, "end": LARGEST_LENGTH},
    }

    action = _weighted_action(route, protocol)
    action["response_headers_to_add"] = [_took_header()]
    return [
        {"match": {**match, "headers": [too_large]}, **action, **_copied(_HEADERS_ONLY)},
        {"match": match, **action, **_copied({})},
    ]


def _copied(overrides: Manifest) -> Manifest:
    removed = {"response_mutations": [{"remove": TOOK_HEADER}]}
    return {
        "typed_per_filter_config": {
            "envoy.filters.http.ext_proc": {
                "@type": f"{_HTTP}.ext_proc.v3.ExtProcPerRoute",
                "overrides": overrides,
            },
            "envoy.filters.http.header_mutation": {
                "@type": f"{_HTTP}.header_mutation.v3.HeaderMutationPerRoute",
                "mutations": removed,
            },
        }
    }


_HEADERS_ONLY: Manifest = {
    "processing_mode": {
        "request_header_mode": "SEND",
        "request_body_mode": "NONE",
        "response_header_mode": "SKIP",
        "response_body_mode": "NONE",
        "response_trailer_mode": "SKIP",
    }
}


def _path_matches(protocol: Protocol) -> list[Manifest]:
    if protocol is Protocol.GRPC:
        methods = "|".join(GRPC_METHODS)
        return [
            {"safe_regex": {"regex": f"/{GRPC_SERVICE}/({methods})"}},
            {"path": GRPC_CONFIG},
            {"path": GRPC_HEALTH},
        ]
    return [{"safe_regex": {"regex": expression}} for expression in (HTTP_PATHS, HTTP_CONFIG)]


def _exact_match(header: HeaderMatch) -> Manifest:
    return {"name": header.name, "string_match": {"exact": header.value}}


def _pinned_action(route: Route, revision: str, protocol: Protocol) -> Manifest:
    key = ClusterKey(route.name, revision, protocol, pinned=True)
    return {
        "route": {"cluster": key.name, **_forwarding_policy(route)},
        "response_headers_to_add": [_revision_header(revision)],
    }


def _weighted_action(route: Route, protocol: Protocol) -> Manifest:
    shares = [
        {
            "name": ClusterKey(route.name, revision, protocol).name,
            "weight": weight,
            "response_headers_to_add": [_revision_header(revision)],
        }
        for revision, weight in route.weights
        if weight > 0
    ]

    if not shares:
        return _direct_response(503, f"model {route.name}: no revision is serving")
    return {"route": {"weighted_clusters": {"clusters": shares}, **_forwarding_policy(route)}}


def _forwarding_policy(route: Route) -> Manifest:
    """Retry only what cannot have reached the model; no body is buffered for a retry."""
    another_host = {
        "name": "previous_hosts",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        },
    }

    return {
        "timeout": f"{route.timeout_seconds}s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": RETRIES,
            "retry_host_predicate": [another_host],
            "host_selection_retry_max_attempts": 5,
        },
    }


def _direct_response(status: int, text: str) -> Manifest:
    return {"direct_response": {"status": status, "body": {"inline_string": text}}}


def _revision_header(revision: str) -> Manifest:
    return {
        "header": {"key": REVISION_HEADER, "value": revision},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


@lru_cache(maxsize=CACHED)
def _render_cluster(key: ClusterKey) -> Manifest:
    no_limit = dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED
    )
    keep_alive = {"keepalive_time": 30, "keepalive_interval": 5, "keepalive_probes": 3}

    return {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": key.name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _polled_from_agent()},
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [no_limit]},
        "upstream_connection_options": {"tcp_keepalive": keep_alive},
        "typed_extension_protocol_options": {_PROTOCOL_OPTIONS: _upstream_protocol(key.protocol)},
    }


def _polled_from_agent() -> Manifest:
    return {
        "resource_api_version": _V3,
        "api_config_source": {
            "api_type": "REST",
            "transport_api_version": _V3,
            "cluster_names": [AGENT_CLUSTER],
            "refresh_delay": POLL_PAUSE,
            "request_timeout": POLL_TIMEOUT,
        },
    }


def _agent_cluster(directory: str, *, can_hold: bool) -> Manifest:
    pipe = {"pipe": {"path": f"{directory}/{ENDPOINTS_SOCKET}"}}
    limits = {"max_connections": UNLIMITED, "max_requests": UNLIMITED}
    if can_hold:
        limits["max_retries"] = UNLIMITED  # all that wait ask again when the agent is back

    return {
        "name": AGENT_CLUSTER,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": AGENT_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": pipe}}]}],
        },
    }


def _comparer_cluster(directory: str) -> Manifest:
    """Its limit is the bound on memory: what is beyond is not copied, and counted."""
    pipe = {"pipe": {"path": f"{directory}/{COMPARER_SOCKET}"}}
    limits = {"max_requests": MOST_COPIES, "max_pending_requests": MOST_COPIES}
    options = {
        "@type": f"type.googleapis.com/{_PROTOCOL_OPTIONS}",
        "common_http_protocol_options": {"max_stream_duration": OLDEST_COPY},
        "explicit_http_config": {"http2_protocol_options": {}},
    }

    return {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": COMPARER_CLUSTER,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {_PROTOCOL_OPTIONS: options},
        "load_assignment": {
            "cluster_name": COMPARER_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": pipe}}]}],
        },
    }


def _shadow_listener(directory: str, *, is_traced: bool) -> Manifest:
    """Take what the comparer asks, and send it to the candidate; the comparer names the host.

    A copy is no part of its user's trace.
    """
    manager = _connection_manager(SHADOW_LISTENER, directory)
    del manager["early_header_mutation_extensions"]
    if is_traced:
        manager["early_header_mutation_extensions"] = [traces.forget_trace()]
    manager |= {
        "use_remote_address": False,
        "local_reply_config": _flagged_answers(),
        "http_filters": [_http_filter("grpc_http1_bridge", _BRIDGE), _router_filter()],
    }
    pipe = {"path": f"{directory}/{SHADOW_SOCKET}", "mode": 0o660}

    return {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": SHADOW_LISTENER,
        "address": {"pipe": pipe},
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


_BRIDGE = "grpc_http1_bridge.v3.Config"


def _flagged_answers() -> Manifest:
    every = {"comparison": {"op": "GE", "value": {"default_value": 0, "runtime_key": "-"}}}
    flags = {
        "header": {"key": FLAGS_HEADER, "value": "%RESPONSE_FLAGS%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    return {"mappers": [{"filter": {"status_code_filter": every}, "headers_to_add": [flags]}]}


def _upstream_protocol(protocol: Protocol) -> Manifest:
    codec = "http2_protocol_options" if protocol is Protocol.GRPC else "http_protocol_options"
    return {
        "@type": f"type.googleapis.com/{_PROTOCOL_OPTIONS}",
        "common_http_protocol_options": {"idle_timeout": UPSTREAM_IDLE_TIMEOUT},
        "explicit_http_config": {codec: {}},
    }


def _locality_endpoints(addresses: tuple[Address, ...]) -> Manifest:
    return {
        "lb_endpoints": [
            {"endpoint": {"address": _socket_address(host, port)}} for host, port in addresses
        ]
    }


def _socket_address(host: str, port: int) -> Manifest:
    return {"socket_address": {"address": host, "port_value": port}}
