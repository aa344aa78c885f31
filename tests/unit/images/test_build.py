from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.images.build import Workshop
from tests.images.catalogue import IMAGES, Image
from tests.images.registry import digest_of_tag

IMAGE = IMAGES[0]


class Registry(ThreadingHTTPServer):
    """Knows manifests by path; the digest is made of the path, so that two differ."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Manifests)
        self.manifests: set[str] = set()
        self.is_broken = False

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Manifests(BaseHTTPRequestHandler):
    server: Registry

    def do_HEAD(self) -> None:
        known = self.path in self.server.manifests
        self.send_response(500 if self.server.is_broken else 200 if known else 404)
        if known:
            self.send_header("Docker-Content-Digest", f"sha256:{self.path}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class FakeEngine:
    """Remembers what it built, and puts what it pushes into the registry."""

    registry: Registry
    base: str = "bookworm"
    built: list[str] = field(default_factory=list)
    loses_pushes: bool = False

    def build(self, image: Image, tag: str) -> None:
        self.built.append(f"{image.name}:{tag}")

    def export(self, image: Image, tag: str, directory: Path, platforms: Sequence[str]) -> None:
        assert not platforms
        (directory / f"{image.name}-{tag}").touch()

    def push(self, image: Image, tag: str, registry: str) -> None:
        assert registry == self.registry.name
        if not self.loses_pushes:
            self.registry.manifests.add(f"/v2/{image.repository}/manifests/{tag}")


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(registry: Registry) -> FakeEngine:
    return FakeEngine(registry)


@pytest.fixture
def shop(engine: FakeEngine, tmp_path: Path) -> Workshop:
    return Workshop(engine, tmp_path, Progress())


def test_a_new_image_is_built_pushed_and_named_by_digest(
    shop: Workshop, engine: FakeEngine, registry: Registry
) -> None:
    tag = shop.tag(IMAGE)
    digest = f"sha256:/v2/slipway/operator/manifests/{tag}"

    assert shop.publish(IMAGE, registry.name) == f"{registry.name}/slipway/operator@{digest}"
    assert engine.built == [f"operator:{tag}"]


def test_an_image_that_the_registry_holds_is_not_built(
    shop: Workshop, engine: FakeEngine, registry: Registry
) -> None:
    first = shop.publish(IMAGE, registry.name)
    engine.built.clear()

    assert shop.publish(IMAGE, registry.name) == first
    assert engine.built == []


def test_a_push_that_left_nothing_behind_is_an_error(
    shop: Workshop, engine: FakeEngine, registry: Registry
) -> None:
    engine.loses_pushes = True
    with pytest.raises(ClusterError, match="does not know it"):
        shop.publish(IMAGE, registry.name)


def test_a_broken_registry_is_not_taken_for_an_empty_one(registry: Registry) -> None:
    registry.is_broken = True
    with pytest.raises(ClusterError, match="found 500"):
        digest_of_tag(registry.name, IMAGE, "tag")


def test_a_registry_that_is_away_is_named() -> None:
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:1 does not answer"):
        digest_of_tag("127.0.0.1:1", IMAGE, "tag")
