"""The node's configuration files, rendered from settings.py: no file is read or written here."""

import json
import os
from string import Template
from typing import Any

import yaml

from tests.cluster import settings
from tests.cluster.layout import API, Layout

CLIENTS = (
    "admin",
    "controller-manager",
    "coredns",
    "enforcer",
    "kubelet",
    "metrics-server",
    "proxy",
    "scheduler",
)
CNI_VERSION = "0.4.0"
PAUSE_IMAGE = "localhost/slipway/pause:1"

_WRITES = ["create", "update", "patch", "delete", "deletecollection"]


def render_files(layout: Layout) -> dict[str, str]:
    """Return every configuration file but those that hold keys, by path under `config/`."""
    files = {f"{name}.kubeconfig": _yaml(_kubeconfig(layout, name)) for name in CLIENTS}
    return files | {
        "audit.yaml": _yaml(_audit_policy()),
        "cni/10-slipway.conflist": json.dumps(_cni(), indent=1),
        "containerd.toml": _containerd(layout),
        f"certs.d/{settings.REGISTRY}/hosts.toml": _registry_host(),
        "Corefile": _corefile(layout),
        "kubelet.yaml": _yaml(_kubelet(layout)),
        "proxy.yaml": _yaml(_proxy(layout)),
        "registry.yaml": _yaml(_registry(layout)),
        "resolv.conf": f"nameserver {settings.NODE_ADDRESS}\n",
    }


def render_addons(template: str, ca_bundle: str) -> str:
    """Fill in the objects of addons.yaml; `ca_bundle` is the authority's PEM in base64."""
    return Template(template).substitute(
        dns_service=settings.DNS_SERVICE,
        node_address=settings.NODE_ADDRESS,
        metrics_port=settings.METRICS_PORT,
        ca_bundle=ca_bundle,
    )


def _kubeconfig(layout: Layout, client: str) -> dict[str, Any]:
    certificate, key = layout.pki(f"{client}.crt"), layout.pki(f"{client}.key")
    cluster = {"server": API, "certificate-authority": layout.pki("ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": settings.NAME, "cluster": cluster}],
        "users": [{"name": client, "user": {"client-certificate": certificate, "client-key": key}}],
        "contexts": [
            {"name": settings.NAME, "context": {"cluster": settings.NAME, "user": client}}
        ],
        "current-context": settings.NAME,
    }


def _audit_policy() -> dict[str, Any]:
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "verbs": _WRITES}, {"level": "None"}],
    }


def _cni() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        # Lost with the power, as the pods are that had the addresses.
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": settings.POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "slipway0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": CNI_VERSION, "name": settings.NAME, "plugins": [bridge, portmap]}


def _containerd(layout: Layout) -> str:
    return f"""\
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE no sandbox starts otherwise.
  restrict_oom_score_adj = true
  max_concurrent_downloads = 6
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.config("cni")}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{layout.config("certs.d")}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _registry_host() -> str:
    address = f"http://{settings.REGISTRY}"
    return f"""\
server = "{address}"
[host."{address}"]
  capabilities = ["pull", "resolve"]
"""


def _corefile(layout: Layout) -> str:
    """Answer for the cluster's own names, and refuse others at once: no pod could reach them."""
    return f"""\
{settings.DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {settings.NODE_ADDRESS}
    errors
    ready 127.0.0.1:8181
    kubernetes {{
        kubeconfig {layout.kubeconfig("coredns")}
        ttl 5
    }}
}}
.:53 {{
    bind {settings.NODE_ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _kubelet(layout: Layout) -> dict[str, Any]:
    return _size() | {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": layout.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [settings.DNS_SERVICE],
        "clusterDomain": settings.DOMAIN,
        "resolvConf": layout.config("resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.CGROUP}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # A full disk is the machine's business: no test may lose a pod or an image to it.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "registryPullQPS": 0,
        "serializeImagePulls": False,
    }


def _size() -> dict[str, Any]:
    """Have the kubelet of a node of a size take its memory for that, not the machine's.

    It offers all of it to pods but what its eviction wants free, as one does that is told nothing.
    """
    if not settings.NODE_MIB:
        return {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {"systemReserved": {"memory": f"{machine - settings.NODE_MIB}Mi"}}


def _proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": layout.kubeconfig("proxy")},
        "clusterCIDR": settings.POD_RANGE,
        "hostnameOverride": settings.NODE,
        # Zeros leave the machine's global connection tracking settings alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def _registry(layout: Layout) -> dict[str, Any]:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(layout.registry_storage)},
            "delete": {"enabled": True},
        },
        "http": {"addr": settings.REGISTRY, "secret": settings.NAME},
    }


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
