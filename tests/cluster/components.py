"""The node's daemons: their command lines and the order in which they start."""

import dataclasses

from tests.cluster import cgroups, settings
from tests.cluster.layout import Layout
from tests.cluster.plan import Component, Plan, Stage

REGISTRY = "registry"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
"""Daemons that may be on another machine than a node of a size."""


def make_plan(layout: Layout) -> Plan:
    """Return what the node runs."""
    return Plan(
        node=settings.NODE,
        network=_network(),
        binds=tuple((str(layout.state / one), str(to)) for one, to in settings.BINDS.items()),
        memory=tuple(str(place) for place in settings.MEMORY),
        stages=_stages(layout),
        logs=str(layout.logs),
        status=str(layout.status),
    )


def _stages(layout: Layout) -> tuple[Stage, ...]:
    stages = (_foundation(layout), _control(layout), _workers(layout), _addons(layout))
    if not settings.NODE_MIB:
        return stages
    return tuple(
        dataclasses.replace(
            stage, components=tuple(_sized(layout, each) for each in stage.components)
        )
        for stage in stages
    )


def _sized(layout: Layout, component: Component) -> Component:
    """Return a daemon in cgroups of its own, below that of the node, if it is the node's."""
    elsewhere = (REGISTRY,) if settings.NODE_HAS_CONTROL_PLANE else (REGISTRY, *CONTROL_PLANE)
    if component.name in elsewhere:
        return component
    program, *arguments = component.command
    if program in (str(layout.node_binary), str(layout.coredns)):
        program = str(layout.programs / program.rpartition("/")[2])
    return dataclasses.replace(
        component,
        command=("env", f"GOGC={settings.NODE_GOGC}", program, *arguments),
        groups=tuple(str(group) for group in cgroups.groups_of(component.name)),
    )


def _network() -> tuple[tuple[str, ...], ...]:
    address = f"{settings.NODE_ADDRESS}/{settings.LINK_PREFIX}"
    return (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "address", "add", address, "dev", settings.NODE_LINK),
        ("ip", "link", "set", settings.NODE_LINK, "up"),
        ("ip", "route", "add", "default", "via", settings.HOST_ADDRESS),
        ("sysctl", "-qw", "net.ipv4.ip_forward=1"),
        *_ask_enforcer(),
    )


def _ask_enforcer() -> tuple[tuple[str, ...], ...]:
    """Have NetworkPolicies asked about each new connection from or to a pod.

    The enforcer would do it by nftables, whose queue not every kernel has; iptables has its own.
    What the node's root sends passes, as the kubelet's probes must.
    """
    rule = ("iptables", "-t", "mangle", "-A", "POSTROUTING")
    ask = ("-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE")
    queue = ("--queue-num", str(settings.ENFORCER_QUEUE), "--queue-bypass")
    return (
        (*rule, "-m", "owner", "--uid-owner", "0", "-j", "RETURN"),
        (*rule, "-d", settings.POD_RANGE, *ask, *queue),
        (*rule, "-s", settings.POD_RANGE, *ask, *queue),
    )


def _foundation(layout: Layout) -> Stage:
    containerd = ("containerd", "--config", layout.config("containerd.toml"))
    registry = ("docker-registry", "serve", layout.config("registry.yaml"))
    components = (
        Component("containerd", containerd, "unix:/run/containerd/containerd.sock"),
        Component(REGISTRY, registry, f"http://{settings.REGISTRY}/v2/"),
        _etcd(layout),
    )
    load_pause = ("ctr", "-n", "k8s.io", "images", "import", str(layout.pause_archive))
    return Stage(components, (load_pause,))


def _control(layout: Layout) -> Stage:
    exists = (*_wait(layout), "--for=create", "namespace/kube-system")
    return Stage((_apiserver(layout),), (exists,))


def _workers(layout: Layout) -> Stage:
    """Until the proxy runs, requests to an aggregated API wait for an address without a host."""
    components = (
        _proxy(layout),
        _controller_manager(layout),
        _scheduler(layout),
        _kubelet(layout),
    )
    apply = (*_kubectl(layout), "apply", "--server-side", "-f", layout.config("addons.yaml"))
    return Stage(components, (apply,))


def _addons(layout: Layout) -> Stage:
    node, metrics = f"node/{settings.NODE}", "apiservice/v1beta1.metrics.k8s.io"
    wait = _wait(layout)
    components = (_coredns(layout), _enforcer(layout))
    then = ((*wait, "--for=create", node), (*wait, "--for=condition=Ready", node))
    if settings.NODE_MIB:
        # Without a metrics-server its API would only make discovery fail.
        return Stage(components, (*then, (*_kubectl(layout), "delete", metrics)))
    # Discovery fails for every client, Helm among them, while an aggregated API is down.
    available = (*wait, "--for=condition=Available", metrics)
    return Stage((*components, _metrics_server(layout)), (*then, available))


def _wait(layout: Layout) -> tuple[str, ...]:
    return (*_kubectl(layout), "wait", "--timeout=60s")


def _kubectl(layout: Layout) -> tuple[str, ...]:
    return (str(layout.node_binary), "kubectl", f"--kubeconfig={layout.kubeconfig('admin')}")


def _etcd(layout: Layout) -> Component:
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    command = (
        str(layout.node_binary),
        "etcd",
        f"--data-dir={layout.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # The power loss of a test is a kill: what was written stays in the page cache.
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    return Component("etcd", command, f"{client}/health")


def _apiserver(layout: Layout) -> Component:
    command = (
        str(layout.node_binary),
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={settings.NODE_ADDRESS}",
        f"--secure-port={settings.API_PORT}",
        f"--service-cluster-ip-range={settings.SERVICE_RANGE}",
        f"--tls-cert-file={layout.pki('apiserver.crt')}",
        f"--tls-private-key-file={layout.pki('apiserver.key')}",
        f"--client-ca-file={layout.pki('ca.crt')}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,PodSecurity",
        "--allow-privileged=true",
        "--profiling=false",
        *_service_account_flags(layout),
        *_kubelet_client_flags(layout),
        *_aggregation_flags(layout),
        f"--audit-policy-file={layout.config('audit.yaml')}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=1000",
        "--audit-log-maxbackup=1",
    )
    return Component("kube-apiserver", command, f"https://127.0.0.1:{settings.API_PORT}/readyz")


def _service_account_flags(layout: Layout) -> tuple[str, ...]:
    return (
        f"--service-account-issuer=https://kubernetes.default.svc.{settings.DOMAIN}",
        f"--service-account-key-file={layout.pki('service-accounts.pub')}",
        f"--service-account-signing-key-file={layout.pki('service-accounts.key')}",
    )


def _kubelet_client_flags(layout: Layout) -> tuple[str, ...]:
    return (
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={layout.pki('ca.crt')}",
        f"--kubelet-client-certificate={layout.pki('apiserver-kubelet-client.crt')}",
        f"--kubelet-client-key={layout.pki('apiserver-kubelet-client.key')}",
    )


def _aggregation_flags(layout: Layout) -> tuple[str, ...]:
    return (
        f"--proxy-client-cert-file={layout.pki('front-proxy.crt')}",
        f"--proxy-client-key-file={layout.pki('front-proxy.key')}",
        f"--requestheader-client-ca-file={layout.pki('ca.crt')}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    )


def _controller_manager(layout: Layout) -> Component:
    command = (
        str(layout.node_binary),
        "kube-controller-manager",
        *_control_flags(layout, "controller-manager"),
        "--use-service-account-credentials",
        f"--service-account-private-key-file={layout.pki('service-accounts.key')}",
        f"--root-ca-file={layout.pki('ca.crt')}",
        f"--cluster-signing-cert-file={layout.pki('ca.crt')}",
        f"--cluster-signing-key-file={layout.pki('ca.key')}",
        "--allocate-node-cidrs=false",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins",
    )
    return Component("kube-controller-manager", command, "https://127.0.0.1:10257/healthz")


def _scheduler(layout: Layout) -> Component:
    command = (
        str(layout.node_binary),
        "kube-scheduler",
        *_control_flags(layout, "scheduler"),
    )
    return Component("kube-scheduler", command, "https://127.0.0.1:10259/healthz")


def _control_flags(layout: Layout, identity: str) -> tuple[str, ...]:
    path = layout.kubeconfig(identity)
    return (
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    )


def _kubelet(layout: Layout) -> Component:
    command = (
        str(layout.node_binary),
        "kubelet",
        f"--config={layout.config('kubelet.yaml')}",
        f"--kubeconfig={layout.kubeconfig('kubelet')}",
        f"--node-ip={settings.NODE_ADDRESS}",
        f"--hostname-override={settings.NODE}",
    )
    return Component("kubelet", command, "http://127.0.0.1:10248/healthz")


def _proxy(layout: Layout) -> Component:
    command = (str(layout.node_binary), "kube-proxy", f"--config={layout.config('proxy.yaml')}")
    return Component("kube-proxy", command, "http://127.0.0.1:10256/healthz")


def _coredns(layout: Layout) -> Component:
    command = (str(layout.coredns), "-conf", layout.config("Corefile"))
    return Component("coredns", command, "http://127.0.0.1:8181/ready")


def _enforcer(layout: Layout) -> Component:
    """It sees the traffic between pods because the bridge gives it to the firewall of the node."""
    address = f"127.0.0.1:{settings.ENFORCER_PORT}"
    command = (
        str(layout.node_binary),
        "kube-network-policies",
        f"--kubeconfig={layout.kubeconfig('enforcer')}",
        f"--node={settings.NODE}",
        f"--health-address={address}",
    )
    return Component("kube-network-policies", command, f"http://{address}/")


def _metrics_server(layout: Layout) -> Component:
    path = layout.kubeconfig("metrics-server")
    command = (
        str(layout.metrics_server),
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
        f"--secure-port={settings.METRICS_PORT}",
        f"--tls-cert-file={layout.pki('metrics-server.crt')}",
        f"--tls-private-key-file={layout.pki('metrics-server.key')}",
        f"--kubelet-certificate-authority={layout.pki('ca.crt')}",
        "--kubelet-preferred-address-types=InternalIP",
        # The resolution must be larger than the timeout.
        "--metric-resolution=15s",
        "--kubelet-request-timeout=10s",
    )
    # Its readiness waits for figures of pods; discovery answers long before.
    ready = f"https://127.0.0.1:{settings.METRICS_PORT}/livez"
    return Component("metrics-server", command, ready)
