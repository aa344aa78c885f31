"""A pod that runs Triton: image, arguments, model repository, placement and volumes."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from slipway.cli.takeover.takeover import UNKNOWN_SOURCE, Takeover

Pod = Mapping[str, Any]

REPOSITORY_FLAGS = ("--model-repository", "--model-store")
MODEL_FLAG = "--load-model"
PLACEMENT = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "serviceAccountName",
)
OURS = frozenset(
    {
        *PLACEMENT,
        "containers",
        "initContainers",
        "volumes",
        "restartPolicy",
        "dnsPolicy",
        "securityContext",
        "serviceAccount",
        "terminationGracePeriodSeconds",
        "enableServiceLinks",
        "automountServiceAccountToken",
    }
)
"""Fields of a pod that are taken over, or that Slipway sets by itself."""
OURS_IN_CONTAINER = frozenset(
    {
        "name",
        "image",
        "imagePullPolicy",
        "args",
        "command",
        "resources",
        "ports",
        "env",
        "volumeMounts",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "securityContext",
        "terminationMessagePath",
        "terminationMessagePolicy",
    }
)
TUNING = re.compile(
    r"--(.*-thread-count|pinned-memory-pool-byte-size|cuda-memory-pool-byte-size|backend-config"
    r"|cache-config|rate-limit.*|trace-config|metrics-config|grpc-keepalive-.*|log-.*)(=.*)?"
)
"""Arguments that ``server.args`` takes; the API server has the whole list."""
SET_BY_SLIPWAY = re.compile(
    r"--(http-port|grpc-port|metrics-port|allow-(http|grpc|metrics).*|strict-.*|exit-.*"
    r"|model-control-mode|disable-auto-complete-config|(http|grpc)-address)(=.*)?"
)
KINDS_OF_VOLUMES = ("secret", "configMap", "persistentVolumeClaim", "emptyDir", "csi")
SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- a place in the old pod
STORE_WITH_ENDPOINT = re.compile(r"s3://(?P<endpoint>https?://[^/]+)/(?P<path>.+)")
DIRECTORIES = ("s3://", "gs://", "az://")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip", ".onnx")
AWS_KEY = "AWS_ACCESS_KEY_ID"


def is_triton(container: Mapping[str, Any]) -> bool:
    """Return whether a container runs Triton, by its image and its command."""
    words = [container.get("image", ""), *container.get("command", ()), *container.get("args", ())]
    return any("tritonserver" in str(word) for word in words)


def take_template(
    draft: Takeover, template: Mapping[str, Any], path: str, *, finds_source: bool = True
) -> None:
    """Take over the pod template of a workload; `path` is where it lies.

    Without `finds_source` somebody else says where the model lies.
    """
    metadata, pod = template.get("metadata", {}), template["spec"]
    draft.put("server.pod.annotations", metadata.get("annotations"))
    container = _find_triton(draft, pod, path)
    if container is None:
        draft.put("model.source.uri", UNKNOWN_SOURCE)
        draft.leave(f"{path}.spec.containers", "none of them runs tritonserver")
        return

    place = f"{path}.spec.containers[{container['name']}]"
    draft.put("server.image", container.get("image"))
    draft.put("server.resources", _resources(container))
    draft.put("server.drainSeconds", pod.get("terminationGracePeriodSeconds"))
    draft.leave_others(container, set(OURS_IN_CONTAINER), place, "Slipway has no such field")

    for name in PLACEMENT:
        draft.put(f"server.pod.{name}", pod.get(name))
    if "serviceAccountName" in pod:
        draft.put("model.source.serviceAccountName", pod["serviceAccountName"])
    draft.leave_others(pod, set(OURS), f"{path}.spec", "Slipway's pods do not have it")

    repository = _take_arguments(draft, container, place)
    _take_environment(draft, container, place)
    _take_volumes(draft, pod, container, path, repository)
    if finds_source:
        _take_source(draft, pod, container, repository, place)


def take_source(draft: Takeover, uri: str) -> None:
    """Take over the address of a model, as Triton or KServe write it."""
    found = STORE_WITH_ENDPOINT.fullmatch(uri)
    if found:
        draft.put("model.source.connection.endpoint", found["endpoint"])
        uri = f"s3://{found['path']}"
    is_directory = uri.startswith(DIRECTORIES) and not uri.endswith(ARCHIVES)
    draft.put("model.source.uri", f"{uri.rstrip('/')}/" if is_directory else uri)


def _find_triton(draft: Takeover, pod: Pod, path: str) -> Mapping[str, Any] | None:
    containers = pod["containers"]
    found = next((it for it in containers if is_triton(it)), None)
    for other in containers:
        if other is not found:
            reason = "a container beside Triton; sidecars come from a mesh or an admission webhook"
            draft.leave(f"{path}.spec.containers[{other['name']}]", reason)
    return found


def _resources(container: Mapping[str, Any]) -> dict[str, Any]:
    resources = container.get("resources", {})
    return {name: resources[name] for name in ("requests", "limits") if resources.get(name)}


def _take_arguments(draft: Takeover, container: Mapping[str, Any], place: str) -> str | None:
    """Take over Triton's arguments; returns the model repository."""
    repository, models, kept = None, [], []
    for argument in _split_arguments(container):
        name, _, value = argument.partition("=")
        if name in REPOSITORY_FLAGS:
            repository = value
        elif name == MODEL_FLAG and value != "*":
            models.append(value)
        elif TUNING.fullmatch(argument):
            kept.append(argument)
        elif argument.startswith("--") and not SET_BY_SLIPWAY.fullmatch(argument):
            draft.leave(f"{place}.args", f"{argument}: server.args does not take it")

    draft.put("server.args", kept)
    if len(models) == 1:
        draft.put("model.name", models[0])
    elif models:
        draft.leave(f"{place}.args", f"{MODEL_FLAG}: all models of the source are loaded")
    return repository


def _split_arguments(container: Mapping[str, Any]) -> Iterable[str]:
    """Return the arguments as ``--name=value``, out of a shell's line if there is one."""
    given = [*container.get("command", ()), *container.get("args", ())]
    words = [word for text in given for word in str(text).split()]
    joined: list[str] = []
    for word in words:
        is_value = joined and joined[-1].startswith("--") and "=" not in joined[-1]
        if is_value and not word.startswith("-"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return [word for word in joined if word.startswith("--")]


def _take_environment(draft: Takeover, container: Mapping[str, Any], place: str) -> None:
    """Take over variables; keys of AWS that come from one Secret become the source's."""
    kept = []
    for variable in container.get("env", ()):
        name, source = variable["name"], variable.get("valueFrom", {})
        secret = source.get("secretKeyRef", {})
        if name == AWS_KEY and secret:
            draft.put("model.source.credentialsSecretRef.name", secret["name"])
        elif name.startswith("AWS_"):
            if name in {"AWS_REGION", "AWS_DEFAULT_REGION"}:
                draft.put("model.source.connection.region", variable.get("value"))
        elif source and not (secret or source.get("configMapKeyRef")):
            draft.leave(f"{place}.env[{name}]", "only values, Secrets and ConfigMaps are taken")
        else:
            kept.append(variable)
    draft.put("server.pod.env", kept)


def _take_volumes(
    draft: Takeover, pod: Pod, container: Mapping[str, Any], path: str, repository: str | None
) -> None:
    """Take over volumes, but for those with the model and with shared memory."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    kept = []
    for mount in container.get("volumeMounts", ()):
        volume, target = volumes.get(mount["name"], {}), mount["mountPath"]
        if target == SHARED_MEMORY:
            draft.put("server.pod.shmSize", volume.get("emptyDir", {}).get("sizeLimit"))
            continue
        if repository is not None and _holds(target, repository):
            continue

        kind = next((kind for kind in KINDS_OF_VOLUMES if kind in volume), None)
        if kind is None:
            reason = f"a volume is one of {', '.join(KINDS_OF_VOLUMES)}"
            draft.leave(f"{path}.spec.volumes[{mount['name']}]", reason)
            continue
        taken = {"name": mount["name"], "mountPath": target, kind: _slim(kind, volume[kind])}
        kept.append(
            {**taken, **{key: mount[key] for key in ("subPath", "readOnly") if key in mount}}
        )
    draft.put("server.pod.volumes", kept)


def _slim(kind: str, volume: Mapping[str, Any]) -> dict[str, Any]:
    """Return a volume with the fields that users may set."""
    fields = {
        "secret": ("secretName", "optional"),
        "configMap": ("name", "optional"),
        "persistentVolumeClaim": ("claimName",),
        "emptyDir": ("medium", "sizeLimit"),
        "csi": ("driver", "readOnly", "volumeAttributes"),
    }[kind]
    return {name: volume[name] for name in fields if name in volume}


def _take_source(
    draft: Takeover, pod: Pod, container: Mapping[str, Any], repository: str | None, place: str
) -> None:
    """Find where the model lies: a store, a claim, or what an init container fetches."""
    if repository is not None and "://" in repository:
        take_source(draft, repository)
        return
    claim = _find_claim(pod, container, repository)
    if claim is not None:
        draft.put("model.source.uri", claim)
        return
    fetched = _find_fetched(pod)
    if fetched is not None:
        take_source(draft, fetched)
        return

    draft.put("model.source.uri", UNKNOWN_SOURCE)
    where = repository or "no --model-repository"
    draft.leave(place, f"where the model comes from ({where}): set model.source.uri")


def _find_claim(pod: Pod, container: Mapping[str, Any], repository: str | None) -> str | None:
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    for mount in container.get("volumeMounts", ()):
        claim = volumes.get(mount["name"], {}).get("persistentVolumeClaim")
        if repository is None or claim is None or not _holds(mount["mountPath"], repository):
            continue
        inside = repository.removeprefix(mount["mountPath"]).strip("/")
        parts = [claim["claimName"], mount.get("subPath", "").strip("/"), inside]
        return "pvc://" + "/".join(part for part in parts if part)
    return None


def _find_fetched(pod: Pod) -> str | None:
    """Return the first address of a store in the arguments of the init containers."""
    for container in pod.get("initContainers", ()):
        for text in (*container.get("command", ()), *container.get("args", ())):
            for word in str(text).split():
                if re.match(r"(s3|gs|az|hf|https)://", word):
                    return word
    return None


def _holds(directory: str, path: str) -> bool:
    """Return whether a path lies in a directory."""
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")
