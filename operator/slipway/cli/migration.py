"""Has every object stored in one version, with the user's own rights; may be run again."""

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from slipway.api.names import GROUP
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import FIELD_MANAGER, Kubectl, Manifest
from slipway.cli.kubectl_errors import NotFound
from slipway.cli.stored_versions import (
    Patch,
    choose_storage,
    find_keeper,
    forget_other_versions,
    give_back_ownership,
    move_owners,
    rewrite,
    storage_version_hash,
    stored_version,
)

CRDS = (f"modeldeployments.{GROUP}", f"modelroutes.{GROUP}")
AT_ONCE = 4
ATTEMPTS = 5
"""Of one object that others write meanwhile."""
PASSES = 5
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 1.0
Say = Callable[[str], None]


@dataclass(slots=True)
class Migrated:
    """What became of the objects of one kind."""

    crd: str
    stored_as: list[str]
    """As the CRD had it before."""
    objects: int = 0
    to_move: int = 0
    """Objects with owners of fields in another version."""
    written: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """What the API server said, by ``namespace/name``."""


@dataclass(frozen=True, slots=True)
class Migration:
    """Moves what is stored to one version."""

    kubectl: Kubectl
    version: str
    say: Say

    def look(self, crd_name: str) -> Migrated:
        """Return what there is to do, and write nothing."""
        crd = self._crd(crd_name)
        found = self._objects(crd)
        moving = [it for it in found if _owners(it) != move_owners(_owners(it), self.version)]
        return Migrated(crd_name, crd["status"]["storedVersions"], len(found), len(moving))

    def run(self, crd_name: str) -> Migrated:
        """Choose what is stored, have each object written so, and drop the other version.

        Raises:
            CliError: the CRD lacks the version, belongs to a tool that would take the change back,
                or kubectl failed. One object that is refused is in `failed` instead.

        """
        crd = self._crd(crd_name)
        done = Migrated(crd_name, crd["status"]["storedVersions"])
        if stored_version(crd) != self.version:
            self._choose(crd)
        self._wait_until_stored(crd)
        self._rewrite_all(crd, done)

        if not done.failed and crd["status"]["storedVersions"] != [self.version]:
            patch = forget_other_versions(crd, self.version)
            self._patch("crd", crd_name, patch, "--subresource=status")
        return done

    def _crd(self, name: str) -> Manifest:
        crd = self.kubectl.json("get", "crd", name, "--show-managed-fields")
        served = [it["name"] for it in crd["spec"]["versions"] if it["served"]]
        if self.version not in served:
            raise CliError(
                f"CRD {name}: found versions {', '.join(served)}, expected {self.version} among "
                "them: its release is older",
                hint=f"kubectl get crd {name} -o jsonpath='{{.spec.versions[*].name}}'",
            )
        return crd

    def _choose(self, crd: Manifest) -> None:
        name = crd["metadata"]["name"]
        keeper = find_keeper(crd)
        if keeper is not None:
            raise CliError(
                f"CRD {name} stores {stored_version(crd)}, and {keeper} would take a change back: "
                f"choose {self.version} there (crds.storageVersion in the chart's values), and run "
                "this again",
            )

        self.say(f"{name}: storing {self.version}")
        changed = self._patch("crd", name, choose_storage(crd, self.version))
        self._patch("crd", name, give_back_ownership(changed, crd))

    def _wait_until_stored(self, crd: Manifest) -> None:
        """Wait until the API server says itself that it stores the version.

        A rewrite before that would store the old one, and the version would be dropped all the
        same: its objects could not be read any more.
        """
        names = crd["spec"]["names"]
        expected = storage_version_hash(self.version, names["kind"])
        end = time.monotonic() + PATIENCE_SECONDS
        while self._hash_of(names["plural"]) != expected:
            if time.monotonic() > end:
                raise CliError(
                    f"the API server did not begin to store {names['plural']} as {self.version} "
                    f"in {PATIENCE_SECONDS:.0f} s; nothing is lost, run this again",
                )
            time.sleep(LOOK_SECONDS)

    def _hash_of(self, plural: str) -> str:
        found = json.loads(self.kubectl.run("get", "--raw", f"/apis/{GROUP}/{self.version}"))
        hashes = {it["name"]: it.get("storageVersionHash", "") for it in found["resources"]}
        return str(hashes.get(plural, ""))

    def _rewrite_all(self, crd: Manifest, done: Migrated) -> None:
        """Write all, pass by pass, until a whole pass finds nothing that is stored otherwise.

        Of several API servers one may store the old version a little longer. The old version is
        not dropped before such a pass: an object that is stored so could not be read any more.
        """
        plural = crd["spec"]["names"]["plural"]
        for number in range(1, PASSES + 1):
            found = self._objects(crd)
            done.objects, done.failed = len(found), {}
            self.say(f"{plural}: writing {len(found)} objects as {self.version}, pass {number}")
            written = self._rewrite_each(plural, found, done)
            done.written = max(done.written, written)
            if not written:
                return
        raise CliError(
            f"after {PASSES} passes {plural} are still written otherwise than as {self.version}: "
            "both versions count as stored; nothing is lost, run this again when no rollout is "
            "under way",
        )

    def _rewrite_each(self, plural: str, found: Iterable[Manifest], done: Migrated) -> int:
        """Write each of them, and return how many the API server really wrote."""

        def write(manifest: Manifest) -> tuple[str, bool | CliError]:
            place = f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
            try:
                return place, self._rewrite_one(plural, manifest)
            except CliError as error:
                return place, error

        written = 0
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for place, result in threads.map(write, found):
                if isinstance(result, CliError):
                    done.failed[place] = result.message
                    self.say(f"{plural} {place}: {result.message}")
                else:
                    written += result
        return written

    def _rewrite_one(self, plural: str, manifest: Manifest) -> bool:
        """Return whether the API server wrote it; others may write it or delete it meanwhile."""
        resource = f"{plural}.{self.version}.{GROUP}"
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        for attempt in range(1, ATTEMPTS + 1):
            read = manifest["metadata"]["resourceVersion"]
            try:
                patch = rewrite(manifest, self.version)
                answer = self._patch(resource, name, patch, namespace=namespace)
            except NotFound:
                return False
            except CliError:
                words = ("get", resource, name, "--show-managed-fields")
                try:
                    manifest = self.kubectl.json(*words, namespace=namespace)
                except NotFound:
                    return False
                if manifest["metadata"]["resourceVersion"] == read or attempt == ATTEMPTS:
                    raise
            else:
                return bool(answer["metadata"]["resourceVersion"] != read)
        raise AssertionError("unreachable")

    def _objects(self, crd: Manifest) -> list[Manifest]:
        resource = f"{crd['spec']['names']['plural']}.{self.version}.{GROUP}"
        listed = self.kubectl.json("get", resource, "-A", "--show-managed-fields")
        return list(listed["items"])

    def _patch(
        self, resource: str, name: str, patch: Patch, *flags: str, namespace: str = ""
    ) -> Manifest:
        words = ("patch", resource, name, "--type=json", f"--field-manager={FIELD_MANAGER}")
        body = f"--patch={json.dumps(patch)}"
        shape = ("--show-managed-fields", *flags)
        return self.kubectl.json(*words, body, *shape, namespace=namespace)


def _owners(manifest: Manifest) -> list[Manifest]:
    owners: list[Manifest] = manifest["metadata"].get("managedFields", [])
    return owners
