"""Specs that nobody should get in: what is wrong, and the words that the refusal must have."""

from typing import Any, NamedTuple

DIGEST = "sha256:" + "0f" * 32
LEVELS = 3000
"""Beyond what a reader in Python takes, and far below what the API server takes."""


class Bad(NamedTuple):
    """One hostile spec: a value at a path, and what the API server must say."""

    path: str
    """Dotted, from the object's root; the last part is set, or removed with `REMOVE`."""
    value: Any
    said: str


REMOVE = object()
DEEP = "a thousand levels and more"
"""Stands for JSON that Python can neither write nor read; `spelled` puts it into the text."""


def spelled(text: str) -> str:
    """Return the JSON with its deep parts."""
    return text.replace(f'"{DEEP}"', '{"a":' * LEVELS + "{}" + "}" * LEVELS)


def steps(*weights: Any) -> list[dict[str, Any]]:
    return [{"weight": weight} for weight in weights]


def named(count: int) -> list[dict[str, str]]:
    return [{"name": f"n{number}"} for number in range(count)]


NAMES = [
    Bad("metadata.name", "d" * 41, "metadata.name must be at most 40"),
    Bad("metadata.name", "3digits", "metadata.name must be"),
    Bad("metadata.name", "digits.v1", "metadata.name must be"),
    Bad("metadata.name", "Digits", "metadata.name"),
    Bad("metadata.name", "../digits", "metadata.name"),
    Bad("metadata.name", "digits-candidate", "must not end in '-candidate'"),
    Bad("metadata.name", "slipway-router", "nor start with 'slipway-'"),
    Bad("metadata.labels", {"a b": "c"}, "metadata.labels"),
]
MODEL = [
    Bad("spec", REMOVE, "spec: Required value"),
    Bad("spec", [], "spec"),
    Bad("spec.model", REMOVE, "spec.model: Required value"),
    Bad("spec.model", "digits", "spec.model"),
    Bad("spec.modle", {}, 'unknown field "spec.modle"'),
    Bad("spec.model.verison", "1", 'unknown field "spec.model.verison"'),
    Bad("spec.model.version", REMOVE, "spec.model.version: Required value"),
    Bad("spec.model.version", 3, "spec.model.version"),
    Bad("spec.model.version", "", "spec.model.version"),
    Bad("spec.model.version", "1 2", "spec.model.version"),
    Bad("spec.model.version", "../1", "spec.model.version"),
    Bad("spec.model.version", "1\n2", "spec.model.version"),
    Bad("spec.model.version", "1\x00", "spec.model.version"),
    Bad("spec.model.version", "\u0435", "spec.model.version"),
    Bad("spec.model.version", "1-", "spec.model.version"),
    Bad("spec.model.version", "v" * 64, "spec.model.version"),
    Bad("spec.model.name", "a/b", "spec.model.name"),
    Bad("spec.model.name", "..", "spec.model.name"),
    Bad("spec.model.name", "d\u0456gits", "spec.model.name"),
    Bad("spec.model.name", "n" * 64, "spec.model.name"),
    Bad("spec.model.format", "onnx", "spec.model.format"),
    Bad("spec.model.source", REMOVE, "spec.model.source: Required value"),
    Bad("spec.model.source.uri", "", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "ftp://models.example/1.onnx", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "file:///etc/shadow", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "https://models.example/", "must not end in '/'"),
    Bad("spec.model.source.uri", "https://models.example/a b", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "https://models.example/a\nb", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "https://models.example/\x1b[31m", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "https://m\u043edels.example/a", "spec.model.source.uri"),
    Bad("spec.model.source.uri", "https://me:secret@models.example/a", "user or a password"),
    Bad("spec.model.source.uri", "https://models.example/" + "a" * 2048, "spec.model.source.uri"),
    Bad("spec.model.source.uri", "pvc://claim/../etc/shadow", "must not contain '..'"),
    Bad("spec.model.source.uri", "pvc://Claim/model", "pvc://<claim>/<path>"),
    Bad("spec.model.source.uri", "pvc://a..b/model", "pvc://<claim>/<path>"),
    Bad("spec.model.source.uri", "pvc://claim", "pvc://<claim>/<path>"),
    Bad("spec.model.source.uri", "s3://models", "s3://<bucket>/<path>"),
    Bad("spec.model.source.uri", "s3://models/a?b", "s3://<bucket>/<path>"),
    Bad("spec.model.source.uri", "s3://me:secret@models/a", "user or a password"),
    Bad("spec.model.source.uri", "gs://models/../a", "must not contain '..'"),
    Bad("spec.model.source.uri", "hf://model", "hf://<owner>/<model>"),
    Bad("spec.model.source.uri", "mlflow://digits", "mlflow://<model>@<alias>"),
    Bad("spec.model.source.uri", "oci://models/a@sha256:abc", "oci://<registry>/<repository>"),
    Bad(
        "spec.model.source",
        {"uri": "pvc://claim/a", "store": "models"},
        "a PersistentVolumeClaim is mounted",
    ),
    Bad(
        "spec.model.source",
        {"uri": "http://models.example/a", "credentialsSecretRef": {"name": "key"}},
        "must not be sent over plain HTTP",
    ),
    Bad(
        "spec.model.source",
        {
            "uri": "s3://models/a",
            "serviceAccountName": "reader",
            "connection": {"anonymous": True},
        },
        "connection.anonymous excludes",
    ),
    Bad(
        "spec.model.source",
        {"uri": "s3://models/a", "connection": {"endpoint": "https://me:secret@minio"}},
        "spec.model.source.connection.endpoint",
    ),
    Bad(
        "spec.model.source",
        {"uri": "s3://models/a", "refreshSeconds": 60},
        "refreshSeconds is for refresh: Interval",
    ),
    Bad(
        "spec.model.source",
        {"uri": "s3://models/a", "refresh": "Interval", "digest": DIGEST},
        "a pinned digest has no other bytes",
    ),
    Bad("spec.model.source.digest", "sha256:abc", "spec.model.source.digest"),
    Bad("spec.model.source.digest", "md5:" + "0" * 32, "spec.model.source.digest"),
    Bad("spec.model.source.digest", DIGEST + "\n", "spec.model.source.digest"),
    Bad("spec.model.config.maxBatchSize", -1, "spec.model.config.maxBatchSize"),
    Bad("spec.model.config.maxBatchSize", 2**31, "spec.model.config.maxBatchSize"),
    Bad("spec.model.config.maxBatchSize", 2**63, "spec.model.config.maxBatchSize"),
    Bad("spec.model.config.maxBatchSize", 1e308, "spec.model.config.maxBatchSize"),
    Bad("spec.model.config.maxBatchSize", "8", "spec.model.config.maxBatchSize"),
    Bad("spec.model.config.maxBatchSize", 1.5, "spec.model.config.maxBatchSize"),
    Bad("spec.model.config.instanceGroup", {"count": 0}, "instanceGroup.count"),
    Bad("spec.model.config.instanceGroup", {"kind": "TPU"}, "instanceGroup.kind"),
    Bad(
        "spec.model.config.dynamicBatching",
        {"preferredBatchSizes": [0]},
        "dynamicBatching.preferredBatchSizes[0]",
    ),
    Bad(
        "spec.model.config.dynamicBatching",
        {"preferredBatchSizes": list(range(1, 18))},
        "dynamicBatching.preferredBatchSizes",
    ),
    Bad("spec.model.config.raw", "a" * 16_385, "spec.model.config.raw"),
    Bad("spec.model.config.raw", {}, "spec.model.config.raw"),
    Bad("spec.model.goldenSet", {"uri": "s\u200b3://x"}, "spec.model.goldenSet.uri"),
    Bad(
        "spec.model.goldenSet",
        {"uri": "https://m.example/g.tar", "minAgreement": 1.01},
        "spec.model.goldenSet.minAgreement",
    ),
    Bad(
        "spec.model.goldenSet",
        {"uri": "https://m.example/g.tar", "minAgreement": 1e308},
        "spec.model.goldenSet.minAgreement",
    ),
    Bad("spec.model.warmup", {"requests": 0}, "spec.model.warmup.requests"),
    *(
        Bad("spec.model.warmup", {"requests": 1, "shapes": shapes}, f"spec.model.warmup.{said}")
        for shapes, said in (
            ([3, 224, 224], "shapes"),
            ({"x": 224}, "shapes.x"),
            ({"x": [0]}, "shapes.x[0]"),
            ({"x": [-1]}, "shapes.x[0]"),
            ({"x": [1_000_001]}, "shapes.x[0]"),
            ({"x": [2**70]}, "shapes.x[0]"),
            ({"x": [1.5]}, "shapes.x[0]"),
            ({"x": ["224"]}, "shapes.x[0]"),
            ({"x": [None]}, "shapes.x[0]"),
            ({"x": [1] * 9}, "shapes.x"),
            ({"x": {"deep": DEEP}}, "shapes.x"),
            ({f"x{number}": [1] for number in range(65)}, "shapes"),
        )
    ),
]
PACKAGING = [
    Bad("spec.packaging.mode", "Docker", "spec.packaging.mode"),
    Bad("spec.packaging.cache", {}, "exactly one of claimName and hostPath"),
    Bad(
        "spec.packaging.cache",
        {"claimName": "models", "hostPath": "/models"},
        "exactly one of claimName and hostPath",
    ),
    Bad("spec.packaging.cache", {"hostPath": "models"}, "spec.packaging.cache.hostPath"),
    Bad("spec.packaging.cache", {"claimName": "../models"}, "spec.packaging.cache.claimName"),
    Bad(
        "spec.packaging.cache",
        {"claimName": "models", "maxSize": "much"},
        "spec.packaging.cache.maxSize",
    ),
    Bad(
        "spec.packaging",
        {"mode": "Image", "cache": {"claimName": "models"}},
        "only mode Fetch fetches on the nodes",
    ),
    Bad("spec.packaging.repository", "registry.example/UPPER", "spec.packaging.repository"),
    Bad("spec.packaging.repository", "registry.example/../x", "spec.packaging.repository"),
    Bad("spec.packaging.repository", "registry.example/x:tag", "spec.packaging.repository"),
    Bad("spec.packaging.repository", "https://registry.example/x", "spec.packaging.repository"),
    Bad("spec.packaging.repository", "x", "spec.packaging.repository"),
    Bad("spec.packaging.pushSecretRef", {"name": "../push"}, "spec.packaging.pushSecretRef.name"),
    Bad("spec.packaging.pullSecretRefs", named(9), "spec.packaging.pullSecretRefs"),
    Bad(
        "spec.packaging.pullSecretRefs", [*named(1), *named(1)], "spec.packaging.pullSecretRefs[1]"
    ),
]
SERVER = [
    Bad("spec.server.image", "triton server:1", "spec.server.image"),
    Bad("spec.server.image", "https://registry.example/triton", "spec.server.image"),
    Bad("spec.server.image", "triton@sha256:0f3c", "spec.server.image"),
    Bad("spec.server.image", "triton:", "spec.server.image"),
    Bad("spec.server.image", "--privileged", "spec.server.image"),
    Bad("spec.server.image", "triton\u202e:1", "spec.server.image"),
    Bad("spec.server.image", "t" * 513, "spec.server.image"),
    Bad("spec.server.protocols", [], "spec.server.protocols"),
    Bad("spec.server.protocols", ["HTTP", "HTTP"], "spec.server.protocols[1]"),
    Bad("spec.server.protocols", ["SOAP"], "spec.server.protocols[0]"),
    Bad("spec.server.startSeconds", 9, "spec.server.startSeconds"),
    Bad("spec.server.drainSeconds", 3601, "spec.server.drainSeconds"),
    Bad("spec.server.resources", {"limits": {"cpu": "-1"}}, "spec.server.resources.limits.cpu"),
    Bad("spec.server.resources", {"limits": {"cpu": -1}}, "spec.server.resources.limits.cpu"),
    Bad("spec.server.resources", {"limits": {"memory": "1 Gi"}}, "resources.limits.memory"),
    Bad("spec.server.resources", {"limits": {"memory": "9" * 33}}, "resources.limits.memory"),
    Bad("spec.server.resources", {"limits": {"memory": 2**63}}, "resources.limits.memory"),
    Bad("spec.server.resources", {"limits": {"cpu": "1e400"}}, "resources.limits.cpu"),
    Bad("spec.server.resources", {"limits": {"c p u": 1}}, "spec.server.resources.limits"),
    Bad(
        "spec.server.resources",
        {"requests": {"memory": "2Gi"}, "limits": {"memory": "2000M"}},
        "spec.server.resources.requests",
    ),
    Bad(
        "spec.server.resources",
        {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}},
        "spec.server.resources.requests",
    ),
    Bad("spec.server.resources", {"claims": [{"name": "gpu"}]}, "spec.server.resources.claims"),
    Bad("spec.server.hostNetwork", True, 'unknown field "spec.server.hostNetwork"'),
    Bad("spec.server.command", ["sh"], 'unknown field "spec.server.command"'),
    *(
        Bad("spec.server.args", [argument], "spec.server.args[0]")
        for argument in (
            "--model-repository=/x",
            "--http-port=80",
            "--http-restricted-api=",
            "--log-file=/x",
            "--log-verbose",
            "log-verbose=1",
            "--log-verbose=$(SLIPWAY_POD_UID)",
            "--log-verbose=1 --http-port=1",
        )
    ),
]
POD = [
    Bad("spec.server.pod.hostNetwork", True, 'unknown field "spec.server.pod.hostNetwork"'),
    Bad("spec.server.pod.serviceAccountName", "Admin", "spec.server.pod.serviceAccountName"),
    Bad("spec.server.pod.schedulerName", "a/b", "spec.server.pod.schedulerName"),
    Bad("spec.server.pod.labels", {"slipway.dev/revision": "x"}, "spec.server.pod.labels"),
    Bad("spec.server.pod.labels", {"a b": "c"}, "spec.server.pod.labels"),
    Bad("spec.server.pod.labels", {"team": "a b"}, "spec.server.pod.labels.team"),
    Bad("spec.server.pod.annotations", {"a": "b" * 4097}, "spec.server.pod.annotations.a"),
    Bad("spec.server.pod.shmSize", "lots", "spec.server.pod.shmSize"),
    Bad("spec.server.pod.tmpSize", -1, "spec.server.pod.tmpSize"),
    Bad(
        "spec.server.pod.volumes",
        [{"name": "host", "mountPath": "/host", "hostPath": {"path": "/"}}],
        "spec.server.pod.volumes[0].hostPath",
    ),
    Bad("spec.server.pod.volumes", [{"name": "none", "mountPath": "/a"}], "exactly one of secret"),
    Bad(
        "spec.server.pod.volumes",
        [{"name": "two", "mountPath": "/a", "emptyDir": {}, "secret": {"secretName": "b"}}],
        "exactly one of secret",
    ),
    *(
        Bad(
            "spec.server.pod.volumes",
            [{"name": name, "mountPath": "/a", "emptyDir": {}}],
            "spec.server.pod.volumes[0].name",
        )
        for name in ("models", "slipway-x", "A", "")
    ),
    *(
        Bad(
            "spec.server.pod.volumes",
            [{"name": "a", "mountPath": path, "emptyDir": {}}],
            "spec.server.pod.volumes[0].mountPath",
        )
        for path in ("/", "/models/digits", "/dev/shm", "/tmp", "relative", "/a:b")  # noqa: S108
    ),
    Bad(
        "spec.server.pod.resourceClaims",
        [{"name": "gpu"}],
        "exactly one of resourceClaimName, resourceClaimTemplateName",
    ),
    Bad("spec.server.pod.securityContext", {}, "spec.server.pod.securityContext"),
    Bad("spec.server.pod.env", [{"name": "1A"}], "spec.server.pod.env[0].name"),
    Bad("spec.server.pod.env", [{"name": "A=B"}], "spec.server.pod.env[0].name"),
    Bad("spec.server.pod.env", [{"name": "A\nB"}], "spec.server.pod.env[0].name"),
    Bad("spec.server.pod.env", [{"name": "A", "value": "v" * 4097}], "pod.env[0].value"),
    Bad("spec.server.pod.env", [{"name": "A"}, {"name": "A"}], "spec.server.pod.env[1]"),
    Bad("spec.server.pod.env", named(65), "spec.server.pod.env"),
    Bad("spec.server.pod.env", [{"name": "SLIPWAY_POD_UID"}], "spec.server.pod.env[0].name"),
    Bad(
        "spec.server.pod.env",
        [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "spec.server.pod.env[0].valueFrom.fieldRef",
    ),
    Bad("spec.server.pod.env", [{"name": "A", "valueFrom": {}}], "exactly one of secretKeyRef"),
    Bad(
        "spec.server.pod.env",
        [
            {
                "name": "A",
                "value": "b",
                "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}},
            }
        ],
        "spec.server.pod.env[0].valueFrom",
    ),
    Bad("spec.server.pod.nodeSelector", {"disk": "a b"}, "spec.server.pod.nodeSelector"),
    Bad("spec.server.pod.nodeSelector", {"a b": "c"}, "spec.server.pod.nodeSelector"),
    Bad(
        "spec.server.pod.nodeSelector",
        {f"k{number}": "v" for number in range(17)},
        "spec.server.pod.nodeSelector",
    ),
    Bad("spec.server.pod.tolerations", [{"operator": "Like"}], "tolerations[0].operator"),
    Bad("spec.server.pod.tolerations", [{"effect": "Explode"}], "tolerations[0].effect"),
    Bad("spec.server.pod.tolerations", [{}] * 17, "spec.server.pod.tolerations"),
    Bad("spec.server.pod.priorityClassName", "High Priority", "pod.priorityClassName"),
    Bad("spec.server.pod.runtimeClassName", "../nvidia", "pod.runtimeClassName"),
    Bad("spec.server.pod.affinity", {"a": DEEP}, "spec.server.pod.affinity.a"),
    Bad("spec.model.config", {"a": DEEP}, "spec.model.config.a"),
    Bad("spec.server.pod.affinity", {"podAffinity": {"a": DEEP}}, "affinity.podAffinity.a"),
    Bad("spec.server.pod.affinity", {"nodeAfinity": {}}, "affinity.nodeAfinity"),
    Bad("spec.server.pod.affinity", [], "spec.server.pod.affinity"),
    Bad(
        "spec.server.pod.affinity",
        {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "zone", "namespaces": ["n" * 64]}
                ]
            }
        },
        "namespaces[0]",
    ),
    Bad(
        "spec.server.pod.topologySpreadConstraints",
        [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "topologySpreadConstraints[0].maxSkew",
    ),
    Bad(
        "spec.server.pod.topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "Cry"}],
        "topologySpreadConstraints[0].whenUnsatisfiable",
    ),
    Bad("spec.server.pod.topologySpreadConstraints", [{}] * 5, "topologySpreadConstraints"),
]
CPU = {"type": "cpu", "metadata": {"value": "70"}}


def by_keda(*triggers: dict[str, Any]) -> dict[str, Any]:
    """Return a scaling by KEDA."""
    return {"engine": "KEDA", "maxReplicas": 3, "keda": {"triggers": list(triggers)}}


def moved(capacity: str, scaling: dict[str, Any]) -> dict[str, Any]:
    """Return a whole spec whose rollouts move replicas."""
    source = {"uri": "https://models.example/1.onnx"}
    return {
        "model": {"version": "1", "source": source},
        "rollout": {"capacity": capacity},
        "scaling": scaling,
    }


def queried(query: str) -> dict[str, Any]:
    """Return a trigger that asks a Prometheus server."""
    return {"type": "prometheus", "metadata": {"query": query}}


SCALING = [
    Bad("spec.scaling.minReplicas", -1, "spec.scaling.minReplicas"),
    Bad(
        "spec.scaling", {"minReplicas": 0, "engine": "HPA"}, "minReplicas 0 requires engine Builtin"
    ),
    Bad("spec.scaling.idleSeconds", 60, "idleSeconds requires minReplicas 0"),
    Bad("spec.scaling.holdSeconds", 60, "holdSeconds requires minReplicas 0"),
    Bad("spec.scaling", {"minReplicas": 0, "idleSeconds": 1}, "spec.scaling.idleSeconds"),
    Bad("spec.scaling.minReplicas", 2**40, "spec.scaling.minReplicas"),
    Bad("spec.scaling.minReplicas", "2", "spec.scaling.minReplicas"),
    Bad("spec.scaling", {"minReplicas": 3, "maxReplicas": 2}, "maxReplicas must not be less than"),
    Bad("spec.scaling.replicas", 3, "replicas requires engine None"),
    Bad("spec.scaling.engine", "Keda", "spec.scaling.engine"),
    Bad("spec.scaling.engine", "KEDA", "engine KEDA requires keda.triggers"),
    Bad("spec.scaling.keda", {"triggers": [CPU]}, "keda requires engine KEDA"),
    Bad("spec.scaling", by_keda(), "spec.scaling.keda.triggers"),
    Bad("spec.scaling", by_keda({**CPU, "type": ""}), "triggers[0].type"),
    Bad("spec.scaling", by_keda({"type": "cpu"}), "triggers[0].metadata: Required value"),
    Bad("spec.scaling", by_keda({**CPU, "foo": 1}), 'unknown field "spec.scaling.keda'),
    Bad("spec.scaling", by_keda(queried("up{a='{{node}}'}")), "known placeholders are"),
    Bad("spec.scaling", by_keda(queried("sum(up)")), "each revision is scaled on its own load"),
    Bad("spec.scaling", by_keda(*[CPU] * 9), "spec.scaling.keda.triggers: Too many"),
    Bad("spec.scaling.target", {"utilizationPercent": 70}, "requires engine HPA"),
    Bad("spec.scaling", {"engine": "HPA", "target": {"concurrency": 4}}, "requires engine Builtin"),
    Bad(
        "spec.scaling", {"engine": "None", "target": {"queueMillis": 9}}, "requires engine Builtin"
    ),
    Bad("spec.scaling.downSeconds", 1, "spec.scaling.downSeconds"),
]
ROLLOUT = [
    Bad("spec.traffic.router", "Nginx", "spec.traffic.router"),
    Bad("spec.traffic.timeoutSeconds", -1, "spec.traffic.timeoutSeconds"),
    Bad("spec.traffic.candidateHeader", {"name": "x-canary"}, "candidateHeader.value"),
    Bad("spec.traffic.candidateHeader", {"name": "x\r\ny", "value": "1"}, "candidateHeader.name"),
    Bad("spec.traffic.candidateHeader", {"name": "x", "value": "1\r\n"}, "candidateHeader.value"),
    Bad("spec.rollout.windows", [{"schedule": "0 9 * * *"}], "durationMinutes: Required value"),
    Bad(
        "spec.rollout.windows",
        [{"schedule": "@daily", "durationMinutes": 60}],
        "spec.rollout.windows[0].schedule",
    ),
    Bad(
        "spec.rollout.windows",
        [{"schedule": "0 9 * * *", "durationMinutes": 60, "timeZone": "../UTC"}],
        "spec.rollout.windows[0].timeZone",
    ),
    Bad("spec.rollout.steps", steps(0), "spec.rollout.steps[0].weight"),
    Bad("spec.rollout.steps", steps(100), "spec.rollout.steps[0].weight"),
    Bad("spec.rollout.steps", steps(101), "spec.rollout.steps[0].weight"),
    Bad("spec.rollout.steps", steps(-5), "spec.rollout.steps[0].weight"),
    Bad("spec.rollout.steps", steps(2.5), "spec.rollout.steps[0].weight"),
    Bad("spec.rollout.steps", steps(50, 25), "spec.rollout.steps"),
    Bad("spec.rollout.steps", steps(5, 25, 25), "spec.rollout.steps"),
    Bad("spec.rollout.steps", steps(*range(1, 22)), "spec.rollout.steps"),
    Bad("spec.rollout.steps", [{}], "spec.rollout.steps[0].weight: Required value"),
    Bad("spec.rollout.steps", [{"weight": 5, "holdSeconds": -1}], "steps[0].holdSeconds"),
    Bad("spec.rollout.steps", [{"weight": 5, "pause": {}}], "spec.rollout.steps[0].pause"),
    Bad("spec.rollout.steps", [{"weight": 5, "approval": "Maybe"}], "steps[0].approval"),
    Bad("spec.rollout.bakeSeconds", -1, "spec.rollout.bakeSeconds"),
    Bad("spec.rollout.bakeSeconds", "10m", "spec.rollout.bakeSeconds"),
    Bad("spec.rollout.bakeControlPercent", 51, "spec.rollout.bakeControlPercent"),
    Bad("spec.rollout.deadlineSeconds", 29, "spec.rollout.deadlineSeconds"),
    Bad("spec.rollout.deadlineSeconds", 2**33, "spec.rollout.deadlineSeconds"),
    Bad("spec.rollout.analysis.mode", "Guess", "spec.rollout.analysis.mode"),
    Bad("spec.rollout.analysis.intervalSeconds", 0, "analysis.intervalSeconds"),
    Bad("spec.rollout.analysis.minSamples", 0, "analysis.minSamples"),
    Bad("spec.rollout.analysis.tolerance", {"relative": -0.1}, "tolerance.relative"),
    Bad("spec.rollout.analysis.tolerance", {"absolute": 1e308}, "tolerance.absolute"),
    Bad("spec.rollout.analysis.onInconclusive", "Shrug", "analysis.onInconclusive"),
    *(
        Bad("spec.rollout", {"strategy": strategy, "capacity": capacity}, "remove capacity")
        for strategy in ("BlueGreen", "Recreate")
        for capacity in ("Swap", "Auto")
    ),
    Bad("spec.rollout.capacity", "Squeeze", "spec.rollout.capacity"),
    Bad("spec.rollout.allowGap", True, "spec.rollout.allowGap"),
    Bad("spec", moved("Swap", {"engine": "None"}), "which engine None leaves to you"),
    Bad("spec", moved("Auto", by_keda(CPU)), "which KEDA may move too"),
    Bad("spec.rollback.historyLimit", 0, "spec.rollback.historyLimit"),
    Bad("spec.rollback.automatic", True, "spec.rollback.automatic"),
    Bad("spec.paused", "yes", "spec.paused"),
]


def asked(**fields: Any) -> list[dict[str, Any]]:
    """Return a metric of one number, with these fields of its own."""
    query = {"provider": "main", "query": "x{{revision}}"}
    return [{"name": "m", "prometheus": query, "max": 1, **fields}]


def source(**fields: Any) -> list[dict[str, Any]]:
    """Return a metric of one number that asks this."""
    return asked(prometheus={"provider": "main", **fields})


def hook(url: str = "http://gate.vision.svc/ask", **fields: Any) -> list[dict[str, Any]]:
    """Return a hook with this URL."""
    return [{"name": "h", "stage": "Step", "webhook": {"url": url}, **fields}]


PAIR = {"provider": "main", "bad": "b{{pods}}", "total": "t{{pods}}"}
SHARES = {"provider": "main", "query": "x{{pods}}", "label": "class"}
METRIC, HOOK = "spec.rollout.analysis.metrics", "spec.rollout.analysis.hooks"
OUTSIDE = [
    Bad(METRIC, [{"name": "m"}], "give exactly one of preset, prometheus and drift"),
    Bad(METRIC, asked(preset="TritonErrors"), "give exactly one of preset, prometheus and drift"),
    Bad(METRIC, asked(max=None, prometheus=PAIR, drift=SHARES), "give exactly one of"),
    Bad(METRIC, asked(maxIncrease=1), "either max or maxIncrease"),
    Bad(METRIC, asked(prometheus=PAIR), "counters, presets and drift take neither"),
    Bad(METRIC, [{"name": "m", "prometheus": source()[0]["prometheus"]}], "give either query"),
    Bad(METRIC, source(bad="b"), "give either query, or bad and total"),
    Bad(METRIC, source(query="q", bad="b", total="t"), "give either query, or bad and total"),
    Bad(METRIC, source(query="x{{pod}}"), "known placeholders are {{name}}"),
    Bad(METRIC, source(query="x{{name"), "known placeholders are {{name}}"),
    Bad(METRIC, source(query="x" * 1025), "prometheus.query: Too long"),
    Bad(METRIC, source(query=""), "prometheus.query"),
    Bad(METRIC, source(query=7), "prometheus.query"),
    Bad(METRIC, asked(max="1"), "metrics[0].max"),
    Bad(METRIC, asked(max=1e300), "metrics[0].max"),
    Bad(METRIC, asked(max=None, maxIncrease=-1), "metrics[0].maxIncrease"),
    Bad(METRIC, asked(name="errors"), "reserved for a built-in metric"),
    Bad(METRIC, asked(name="a b"), "metrics[0].name"),
    Bad(METRIC, [*asked(), *asked()], "metrics[1]: Duplicate value"),
    Bad(METRIC, [asked(name=f"m{number}")[0] for number in range(11)], "metrics: Too many"),
    Bad(METRIC, asked(url="http://169.254.169.254"), 'unknown field "spec.rollout.analysis.'),
    Bad(METRIC, [{"name": "m", "drift": SHARES, "mode": "Enforce"}], "drift alone is not a fault"),
    Bad(METRIC, [{"name": "m", "drift": SHARES, "max": 1}], "drift take neither"),
    Bad(METRIC, [{"name": "m", "drift": {**SHARES, "label": "a b"}}], "drift.label"),
    Bad(METRIC, [{"name": "m", "drift": {**SHARES, "query": "{{x}}"}}], "known placeholders"),
    Bad(HOOK, hook("file:///etc/passwd"), "hooks[0].webhook.url"),
    Bad(HOOK, hook("http://user:word@gate.vision.svc/"), "hooks[0].webhook.url"),
    Bad(HOOK, hook("http://gate.vision.svc/#part"), "hooks[0].webhook.url"),
    Bad(HOOK, hook("http://gate.vision.svc/\r\nX: 1"), "hooks[0].webhook.url"),
    Bad(HOOK, hook("http://[::1]/"), "hooks[0].webhook.url"),
    Bad(HOOK, hook(stage="Always"), "hooks[0].stage"),
    Bad(HOOK, hook(webhook={"url": "http://a.b.svc", "timeoutSeconds": 0}), "timeoutSeconds"),
    Bad(HOOK, hook(webhook={"url": "http://a.b.svc", "headers": {}}), "unknown field"),
    Bad(HOOK, hook(webhook=None), "hooks[0].webhook"),
]
ACCESS = "spec.traffic.access"
WEB = "https://issuer.example/keys"
JWKS = {"url": WEB}


def issued(**more: Any) -> dict[str, Any]:
    return {"jwt": [{"issuer": "https://a", "audiences": ["b"], "jwks": JWKS, **more}]}


def on_tls(**more: Any) -> dict[str, Any]:
    clients = {"clientCASecretRef": {"name": "clients-ca"}}
    return {"tlsSecretRef": {"name": "digits-tls"}, **clients, **more}


CALLERS = [
    Bad("spec.traffic.clientCASecretRef", {"name": "clients-ca"}, "add tlsSecretRef"),
    Bad("spec.traffic.clientNames", ["a.svc"], "add clientCASecretRef"),
    Bad("spec.traffic", on_tls(clientNames=["a*b"]), "clientNames[0]"),
    Bad("spec.traffic", on_tls(plaintext="Allowed"), "remove plaintext: Allowed"),
    Bad("spec.traffic", on_tls(clientCertificates="Optional"), "another way to say who they are"),
    Bad(ACCESS, {"rateLimit": {"requestsPerSecond": 1}}, "needs callers that are told apart"),
    Bad(ACCESS, {"apiKeys": {}}, "apiKeys.secretRef: Required"),
    Bad(ACCESS, {"apiKeys": {"secretRef": {"name": "a"}, "names": ["a:b"]}}, "names[0]"),
    Bad(ACCESS, issued(jwks={}), "exactly one of url and configMapRef"),
    Bad(ACCESS, issued(jwks={"url": WEB, "configMapRef": {"name": "a"}}), "exactly one of url"),
    Bad(
        ACCESS,
        issued(jwks={"configMapRef": {"name": "a"}, "caConfigMapRef": {"name": "b"}}),
        "certificates to trust are for an address of https://",
    ),
    Bad(ACCESS, issued(jwks={"url": "http://issuer.example/keys"}), "expected https://"),
    Bad(ACCESS, issued(jwks={"url": "http://a.svc.evil.example/"}), "expected https://"),
    Bad(ACCESS, issued(jwks={"url": "https://me:word@a/"}), "jwks.url"),
    Bad(ACCESS, issued(audiences=[]), "audiences"),
    Bad(ACCESS, issued(subjects=["a*b"]), "subjects[0]"),
    Bad(ACCESS, issued(claims=[{"path": [], "values": ["a"]}]), "claims[0].path"),
    Bad(ACCESS, {"jwt": issued()["jwt"] * 2}, "jwt[1]: Duplicate value"),
    Bad(ACCESS, {"serviceAccounts": {"allowed": [{"name": "a"}]}}, "namespace: Required"),
    Bad(ACCESS, {"log": "requests"}, "access.log"),
]
GATEWAY = "spec.traffic.gateway"
COMPANY = {"parentRefs": [{"name": "company"}]}


def beside(*hostnames: str, **grpc: Any) -> dict[str, Any]:
    return {**COMPANY, "hostnames": [*hostnames], "grpc": grpc}


GATEWAYS = [
    Bad(GATEWAY, {}, "gateway.parentRefs: Required"),
    Bad(GATEWAY, {"parentRefs": []}, "gateway.parentRefs"),
    Bad(GATEWAY, {"parentRefs": named(5)}, "at most 4 items"),
    Bad(GATEWAY, {"parentRefs": [{"namespace": "a"}]}, "parentRefs[0].name: Required"),
    Bad(GATEWAY, {"parentRefs": [{"name": "a", "kind": "Service"}]}, "unknown field"),
    Bad(GATEWAY, {**COMPANY, "hostnames": ["https://a.example.org"]}, "hostnames[0]"),
    Bad(GATEWAY, {**COMPANY, "hostnames": ["a.example.org:443"]}, "hostnames[0]"),
    Bad(GATEWAY, {**COMPANY, "hostnames": ["A.example.org"]}, "hostnames[0]"),
    Bad(GATEWAY, {**COMPANY, "hostnames": ["a.*.org"]}, "hostnames[0]"),
    Bad(GATEWAY, {**COMPANY, "hostnames": ["a.org"] * 9}, "at most 8 items"),
    Bad(GATEWAY, beside("a.example.org"), "add hostnames and grpc.hostnames"),
    Bad(GATEWAY, beside(hostnames=["a.example.org"]), "add hostnames and grpc.hostnames"),
    Bad(GATEWAY, beside("a.org", hostnames=["b.org", "a.org"]), "not both"),
]
ALL = [*GATEWAYS, *CALLERS, *NAMES, *MODEL, *PACKAGING, *SERVER, *POD, *SCALING, *ROLLOUT, *OUTSIDE]
