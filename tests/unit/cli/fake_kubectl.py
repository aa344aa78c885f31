"""A kubectl with one cluster in a file: it keeps objects, and an operator may answer actions.

Run as a program: the file's path is in FAKE_CLUSTER. Fits what `slipway.cli.kubectl` says to it.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLUSTER = Path(os.environ["FAKE_CLUSTER"])
ACTION = "slipway.dev/action"


def load() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(CLUSTER.read_text())
    return read


def save(cluster: dict[str, Any]) -> None:
    fresh = CLUSTER.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(cluster))
    fresh.replace(CLUSTER)


@contextmanager
def locked() -> Iterator[dict[str, Any]]:
    """Give what the cluster is and keep the change: several of these run at once."""
    with CLUSTER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster = load()
        yield cluster
        save(cluster)


def fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


def main(words: list[str]) -> int:
    with locked() as cluster:
        cluster.setdefault("calls", []).append(words)
    flags = [word for word in words if word.startswith("-")]
    plain = [word for word in words if not word.startswith("-") and word != "json"]

    if cluster.get("says"):
        return fail(cluster["says"])
    if plain[0] == "get" and cluster.get("refuses"):
        said = cluster["refuses"].pop(0)
        save(cluster)
        return fail(said)

    match plain[0]:
        case "config":
            print("vision", end="")
        case "auth" if plain[1] == "can-i":
            print("yes")
        case "create":
            review(cluster)
        case "auth":
            print(json.dumps({"status": {"userInfo": {"username": cluster.get("user", "editor")}}}))
        case "annotate":
            return annotate(cluster, plain[2], plain[3:])
        case "get":
            return get(cluster, plain[1:], flags)
        case _:
            return fail(f"error: unknown command {plain[0]}")

    return 0


def get(cluster: dict[str, Any], plain: list[str], flags: list[str]) -> int:
    if "--raw" in flags:
        return get_page(plain[0])

    if plain[0] == "pods":
        print(json.dumps({"items": list_pods(cluster, plain[1])}))
        return 0

    if plain[0] == "pods,jobs":
        if "hides" in cluster:
            return fail(f"Error from server (Forbidden): {cluster['hides']}")
        print(json.dumps({"items": cluster.get("children", [])}))
        return 0

    if plain[0] == "events" and "--watch" in flags:
        for event in cluster.get("events", []):
            tell("ADDED", event)
        time.sleep(60)
        return 0

    if plain[0] == "events":
        [wanted] = [it.partition("uid=")[2] for it in flags if it.startswith("--field-selector=")]
        items = [it for it in cluster.get("events", []) if it["involvedObject"]["uid"] == wanted]
        print(json.dumps({"items": items}))
        return 0

    if plain[0] == "namespaces":
        print("namespace/vision\nnamespace/speech")
        return 0

    if len(plain) > 1 and plain[1] == "name":
        print("\n".join(f"modeldeployment.slipway.dev/{name}" for name in cluster["objects"]))
        return 0

    if len(plain) > 1 and plain[1] not in cluster["objects"]:
        text = 'Error from server (NotFound): modeldeployments.slipway.dev "{}" not found'
        return fail(text.format(plain[1]))

    names = plain[1:] or sorted(cluster["objects"])
    if "--watch" in flags:
        return watch(cluster, names)

    found = [cluster["objects"][name] for name in names]
    print(json.dumps(found[0] if plain[1:] else {"kind": "List", "items": found}, indent=4))
    return 0


def get_page(path: str) -> int:
    """Print the page of a pod, as often as it is asked for the next one, and then the last."""
    with locked() as cluster:
        pages = cluster.get("pages", {}).get(path.partition("/pods/http:")[2].partition(":")[0])
        page = None if not pages else pages.pop(0) if len(pages) > 1 else pages[0]
    if page is None:
        return fail('Error from server (Forbidden): User "editor" cannot get resource "pods/proxy"')
    print(page if isinstance(page, str) else json.dumps(page))
    return 0


def list_pods(cluster: dict[str, Any], selector: str) -> list[dict[str, Any]]:
    """Return the router's pod, or the servers' if they are asked for."""
    if "component=router" in selector:
        return [{"metadata": {"name": "router-a"}, "status": {"phase": "Running"}}]
    servers: list[dict[str, Any]] = cluster.get("servers", [])
    return servers


def watch(cluster: dict[str, Any], names: list[str]) -> int:
    """Tell what is there, then the events of the next prepared watch; without one it stays."""
    objects = cluster["objects"]
    prepared = cluster.get("watches", [])
    mine = prepared.pop(0) if prepared else None

    for name in names:
        if mine is None or not mine.get("away"):
            tell("ADDED", objects[name])

    if mine is None:
        time.sleep(60)
        return 0

    for event in mine.get("events", []):
        if event is None:
            tell("DELETED", objects.pop(names[0]))
        else:
            objects[event["metadata"]["name"]] = event
            tell("MODIFIED", event)
    for name in mine.get("drops", []):
        del objects[name]

    save(cluster)
    return fail(mine["says"]) if mine.get("says") else 0


def review(cluster: dict[str, Any]) -> None:
    """Answer access reviews: without rights of its own a cluster allows everything."""
    rights = cluster.get("rights")
    for text in sys.stdin.read().split("\n---\n"):
        asked = json.loads(text)
        about = asked["spec"]["resourceAttributes"]
        right = " ".join([about["verb"], *filter(None, [about.get("subresource")])])
        allowed = rights is None or right in rights
        print(json.dumps({**asked, "status": {"allowed": allowed}}, indent=4))


def tell(kind: str, manifest: dict[str, Any]) -> None:
    print(json.dumps({"type": kind, "object": manifest}), flush=True)


def annotate(cluster: dict[str, Any], name: str, pairs: list[str]) -> int:
    manifest = cluster["objects"][name]
    annotations = manifest["metadata"].setdefault("annotations", {})

    for pair in pairs:
        key, equals, value = pair.partition("=")
        if equals:
            annotations[key] = value
        else:
            annotations.pop(key.removesuffix("-"), None)

    answers = cluster.get("answers", [])
    if answers:
        verb, _, number = annotations[ACTION].rpartition("#")
        answer = answers.pop(0)
        manifest["status"]["lastAction"] = {
            "id": int(number),
            "verb": verb.partition("@")[0].partition("=")[0],
            "by": annotations.get("slipway.dev/requested-by", "unverified"),
            "at": "2026-11-21T12:00:00.000Z",
            **(answer if isinstance(answer, dict) else {"result": answer}),
        }

    manifest["status"].get("rollout", {}).update(cluster.get("then", {}))
    save(cluster)
    print(f"modeldeployment.slipway.dev/{name} annotated")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
