"""The cache of Fetch mode: what it gives is what was fetched, whatever was done to it."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from slipway.api.names import used_file
from slipway.jobs.file_tree import Tree, make_tree, walk_files
from slipway.jobs.hold import hold_file
from slipway.jobs.model_digest import TreeDigest, hash_tree
from slipway.jobs.package.model_cache import ModelCache

from tests.patience import patient

LARGE = 10**9
MODEL_SIZE = len("1-live") + len("seven")
"""Bytes of a model whose weights are six letters."""
TIMEOUT = patient(10)


def a_model(folder: Path, content: bytes) -> tuple[Tree, TreeDigest]:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(content)
    (folder / "labels.txt").write_text("seven")
    tree = make_tree(walk_files(folder), is_private=True)
    return tree, hash_tree(tree)


def taken(cache: ModelCache, digest: str, into: Path) -> bytes | None:
    """Return the weights that the cache gives."""
    known = cache.take(digest, into)
    return None if known is None else known[0]["1/model.onnx"].read_bytes()


def test_what_was_kept_is_given_with_its_digests(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", LARGE)
    tree, found = a_model(tmp_path / "fetched", b"weights")

    with cache.hold(found.digest):
        assert cache.take(found.digest, tmp_path / "first") is None
        cache.put(tree, found)
        known = cache.take(found.digest, tmp_path / "second")

    assert known is not None
    assert known[1] == found
    assert hash_tree(known[0]) == found


def change_weights(entry: Path) -> None:
    (entry / "files" / "1" / "model.onnx").write_bytes(b"others!")


def change_list(entry: Path) -> None:
    (entry / "sha256sums").write_text("0" * 64 + "  ../../outside\n")


def cut_weights(entry: Path) -> None:
    os.truncate(entry / "files" / "1" / "model.onnx", 3)


def lose_weights(entry: Path) -> None:
    (entry / "files" / "1" / "model.onnx").unlink()


@pytest.mark.parametrize("harm", [change_weights, change_list, cut_weights, lose_weights])
def test_what_somebody_changed_is_never_given_and_is_replaced(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    cache = ModelCache(tmp_path / "cache", LARGE)
    tree, found = a_model(tmp_path / "fetched", b"weights")
    with cache.hold(found.digest):
        cache.put(tree, found)
        harm(tmp_path / "cache" / found.digest.removeprefix("sha256:"))

        assert taken(cache, found.digest, tmp_path / "a") is None
        cache.put(tree, found)
        assert taken(cache, found.digest, tmp_path / "b") == b"weights"


def test_what_a_pod_left_that_was_killed_is_not_given_and_goes(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", LARGE)
    tree, found = a_model(tmp_path / "fetched", b"weights")
    other = "0" * 64
    left = [tmp_path / "cache" / f"{name}.part" for name in (found.digest[7:], other)]
    for part in left:
        (part / "files").mkdir(parents=True)
        (part / "sha256sums").write_text(found.text)

    with cache.hold(found.digest):
        assert taken(cache, found.digest, tmp_path / "a") is None
        cache.put(tree, found)
        assert taken(cache, found.digest, tmp_path / "b") == b"weights"

    assert not (tmp_path / "cache" / f"{other}.part").exists()


def test_the_model_that_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    models = [a_model(tmp_path / name, name.encode() * 100) for name in ("a", "b", "c")]
    cache = ModelCache(tmp_path / "cache", sum(found.size for _, found in models[:2]))
    for age, (tree, found) in enumerate(models[:2]):
        with cache.hold(found.digest):
            cache.put(tree, found)
        used = tmp_path / "cache" / found.digest[7:] / "sha256sums"
        os.utime(used, (1000 + age, 1000 + age))

    # Using the first one makes it the younger of the two.
    with cache.hold(models[0][1].digest):
        assert taken(cache, models[0][1].digest, tmp_path / "into") is not None
    with cache.hold(models[2][1].digest):
        cache.put(*models[2])

    kept = [taken(cache, found.digest, tmp_path / "into") is not None for _, found in models]
    assert kept == [True, False, True]


def test_age_takes_nothing_away(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", LARGE)
    old, new = (a_model(tmp_path / name, name.encode()) for name in ("old", "new"))
    with cache.hold(old[1].digest):
        cache.put(*old)
    for path in (tmp_path / "cache").rglob("*"):
        os.utime(path, (0, 0))
    with cache.hold(new[1].digest):
        cache.put(*new)

    assert taken(cache, old[1].digest, tmp_path / "into") == b"old"


def test_a_model_that_another_pod_is_copying_is_not_removed(tmp_path: Path) -> None:
    models = [a_model(tmp_path / name, name.encode() * 100) for name in ("a", "b")]
    cache = ModelCache(tmp_path / "cache", models[0][1].size)
    with cache.hold(models[0][1].digest):
        cache.put(*models[0])
        with cache.hold(models[1][1].digest):
            cache.put(*models[1])

    kept = [taken(cache, found.digest, tmp_path / "into") is not None for _, found in models]
    assert kept == [True, False]


def test_a_model_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", 3)
    tree, found = a_model(tmp_path / "fetched", b"weights")

    with cache.hold(found.digest):
        cache.put(tree, found)

        assert taken(cache, found.digest, tmp_path / "into") is None


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    cache = ModelCache(tmp_path / "file" / "cache", LARGE)
    tree, found = a_model(tmp_path / "fetched", b"weights")

    with cache.hold(found.digest):
        assert cache.take(found.digest, tmp_path / "into") is None
        cache.put(tree, found)


def kept(root: Path) -> set[str]:
    """Return the digests of the models in the cache."""
    return {f"sha256:{path.name}" for path in root.iterdir() if path.is_dir()}


@contextmanager
def a_pod_that_runs(root: Path, digest: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sidecar of a pod that has started with a model, as the kubelet does."""
    path = root / used_file(digest)
    program = [sys.executable, "-m", "slipway", "hold", str(path)]
    with subprocess.Popen(program) as process:
        try:
            wait_until(lambda: is_locked(path))
            yield process
        finally:
            process.kill()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the file."""
    with suppress(FileNotFoundError), path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def fill(cache: ModelCache, folder: Path, *names: str) -> list[str]:
    """Have a pod fetch each of these models, the oldest first; return their digests."""
    digests: list[str] = []
    for age, name in enumerate(reversed(names)):
        tree, found = a_model(folder / name, name.encode())
        with cache.hold(found.digest):
            cache.put(tree, found)
        moment = time.time() - 1000 * (len(names) - age)
        os.utime(cache.root / found.digest.removeprefix("sha256:") / "sha256sums", (moment, moment))
        digests.insert(0, found.digest)
    return digests


def test_the_model_that_serves_stays_though_it_was_started_longest_ago(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", 3 * MODEL_SIZE)
    rejected, other, serving = fill(cache, tmp_path, "3-gone", "2-gone", "1-live")
    tree, new = a_model(tmp_path / "4-new_", b"4-new_")

    with a_pod_that_runs(cache.root, serving), cache.hold(new.digest):
        cache.put(tree, new)

    assert kept(cache.root) == {serving, rejected, new.digest}
    assert other not in kept(cache.root)


def test_a_model_whose_pod_was_killed_is_kept_no_longer(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", MODEL_SIZE)
    [served] = fill(cache, tmp_path, "1-live")
    tree, new = a_model(tmp_path / "2-new_", b"2-new_")

    with a_pod_that_runs(cache.root, served) as process:
        with cache.hold(new.digest):
            cache.put(tree, new)
        assert kept(cache.root) == {served}
        process.kill()
        process.wait(TIMEOUT)
        with cache.hold(new.digest):
            cache.put(tree, new)

    assert kept(cache.root) == {new.digest}


def test_a_sidecar_ends_at_once_when_its_pod_does(tmp_path: Path) -> None:
    with a_pod_that_runs(tmp_path, f"sha256:{'0' * 64}") as process:
        process.terminate()

        assert process.wait(TIMEOUT) == 0


def test_two_pods_hold_the_same_model_and_neither_waits_for_the_other(tmp_path: Path) -> None:
    path = tmp_path / used_file(f"sha256:{'0' * 64}")

    first, second = hold_file(path), hold_file(path)

    assert first is not None
    assert second is not None
    first.close()
    assert is_locked(path)
    second.close()
    assert not is_locked(path)


def test_a_cache_that_cannot_be_written_makes_no_pod_fail(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")

    assert hold_file(tmp_path / "cache" / "models" / "digest.used") is None
