"""The command line of ``slipway-bundle``."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import click

from slipway import __version__
from slipway.bundle.archive import Archive, Artifact, BundleError
from slipway.bundle.load import Loaded, load_all
from slipway.errors import SlipwayError
from slipway.jobs.http import open_pool
from slipway.jobs.registry.client import RegistryClient
from slipway.jobs.registry.credentials import Keyring, load_keyring, make_credential

CHART = "charts/slipway"
NO_IMAGE_OF_TRITON = (
    "The image of Triton is NVIDIA's, and not in the bundle: mirror it yourself, and name it with\n"
    "  --set server.image=…"
)
EPILOG = """\b
Example:
    ./slipway-bundle load registry.example.com/platform

The registry's user and password come from `docker login`
(DOCKER_CONFIG, else ~/.docker/config.json), or from --user and
SLIPWAY_REGISTRY_PASSWORD.
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slipway-bundle")
def main() -> None:
    """Install Slipway where there is no internet: all of a release in this one file."""


@main.command("list")
def list_contents() -> None:
    """List the images, the chart and the files in the bundle."""
    with _archive() as archive:
        artifacts = archive.artifacts()
        width = max((len(found.repository) + len(found.tag) for found in artifacts), default=0) + 1
        for artifact in artifacts:
            name = f"{artifact.repository}:{artifact.tag}".ljust(width)
            size = _megabytes(sum(archive.blobs(artifact).values()))
            click.echo(f"{name}  {size:>9}  {artifact.digest}")
        for name in archive.files():
            click.echo(name)


@main.command()
@click.argument("registry", metavar="REGISTRY[/PREFIX]")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--plain-http", is_flag=True, help="Connect without TLS.")
@click.option("--user", help="User; the password is read from SLIPWAY_REGISTRY_PASSWORD.")
def load(registry: str, ca_file: Path | None, plain_http: bool, user: str | None) -> None:
    """Push images and chart to a registry, and print the command that installs them.

    What the registry has already is not sent again: after an error run the same command again.
    """
    host, _, prefix = registry.removeprefix("https://").strip("/").partition("/")
    scheme = "http" if plain_http else "https"
    client = RegistryClient(host, f"{scheme}://{host}", open_pool(ca_file), _keyring(host, user))

    with _archive() as archive:
        loaded = {}
        for done in load_all(archive, client, prefix, _say_begin):
            loaded[done.artifact.repository] = done
            sent = f"{_megabytes(done.sent_bytes)} sent" if done.sent_bytes else "was there"
            click.echo(f"  {done.reference}: {sent}")

    click.echo(f"\nInstall it with\n\n{install_command(loaded, plain_http=plain_http)}\n")
    click.echo(NO_IMAGE_OF_TRITON)


@main.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def unpack(directory: Path) -> None:
    """Write chart, CRDs, kubectl-slipway and the lists of parts (SBOM) into a directory."""
    with _archive() as archive:
        for path in archive.unpack(directory):
            click.echo(path)


def install_command(loaded: dict[str, Loaded], *, plain_http: bool) -> str:
    """Return the ``helm`` command for artifacts by their repository in the bundle.

    Raises:
        BundleError: the bundle lacks the chart or an image that the chart needs.

    """
    missing = [name for name in (CHART, "slipway/operator", "slipway/envoy") if name not in loaded]
    if missing:
        raise BundleError(f"the bundle lacks {', '.join(missing)}")

    chart, operator = loaded[CHART], loaded["slipway/operator"]
    lines = [
        f"helm upgrade --install slipway oci://{chart.name} --version {chart.artifact.tag}",
        "--namespace slipway-system --create-namespace --wait",
        f"--set image.repository={operator.name}",
        f"--set image.digest={operator.artifact.digest}",
        f"--set router.envoyImage={loaded['slipway/envoy'].reference}",
    ]
    if "slipway/optimizer" in loaded:
        lines.append(f"--set optimizer.image={loaded['slipway/optimizer'].reference}")
    if plain_http:
        lines.append("--plain-http")
    return " \\\n  ".join(lines)


def run() -> None:
    """Run the program; an error of ours is one line, and exit code 1."""
    try:
        main()
    except (SlipwayError, OSError) as error:
        click.echo(f"slipway-bundle: {error}", err=True)
        sys.exit(1)


@contextmanager
def _archive() -> Iterator[Archive]:
    """Open the file that is running."""
    try:
        with ZipFile(os.environ.get("SLIPWAY_BUNDLE", sys.argv[0])) as found:
            yield Archive(found)
    except BadZipFile as error:
        raise BundleError(f"{sys.argv[0]} is cut off or damaged: download it again") from error


def _keyring(host: str, user: str | None) -> Keyring:
    """Return the given user, else what container tools remember of a login.

    Raises:
        BundleError: there is a user and no password.
        RegistryRefused: the remembered logins cannot be read.

    """
    if user is not None:
        password = os.environ.get("SLIPWAY_REGISTRY_PASSWORD")
        if not password:
            raise BundleError("--user needs the password in SLIPWAY_REGISTRY_PASSWORD")
        return Keyring((make_credential(host, user, password),))

    directory = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    config = directory / "config.json"
    if not config.is_file() or not json.loads(config.read_text() or "{}").get("auths"):
        return Keyring()
    return load_keyring([directory])


def _say_begin(artifact: Artifact, size: int) -> None:
    click.echo(f"pushing {artifact.repository}:{artifact.tag}, {_megabytes(size)} …")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
