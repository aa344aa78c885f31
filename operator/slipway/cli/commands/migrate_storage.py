"""The command migrate-storage: every object stored in one version of the API."""

import dataclasses

import click

from slipway.api.names import DEPRECATED_VERSION, VERSION
from slipway.cli.cli_error import CliError, ExitCode, print_note
from slipway.cli.migration import CRDS, Migrated, Migration
from slipway.cli.options import pass_session, slipway_command
from slipway.cli.session import Session
from slipway.cli.text import make_line


@slipway_command(
    "migrate-storage",
    examples="""
    kubectl slipway migrate-storage --dry-run
    kubectl slipway migrate-storage
    kubectl slipway migrate-storage --to=v1alpha1    # before an older release comes back
    """,
)
@click.option(
    "--to",
    "version",
    type=click.Choice([VERSION, DEPRECATED_VERSION]),
    default=VERSION,
    help=f"Version to store; default {VERSION}.",
)
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and write nothing.")
@pass_session
def migrate_storage(session: Session, version: str, *, dry_run: bool) -> int:
    """Have the API server store all objects of Slipway in one version.

    It needs the rights to patch both CRDs, their status, and all ModelDeployments and ModelRoutes.
    Nothing that serves changes. It may be broken off and run again at any time; an object that is
    refused does not stop the rest, and is tried again by the next run.
    """
    migration = Migration(
        session.kubectl, version, say=lambda text: print_note(text, as_json=session.json)
    )
    done = [migration.look(crd) if dry_run else migration.run(crd) for crd in CRDS]

    if session.json:
        session.show_json({"version": version, "items": [dataclasses.asdict(it) for it in done]})
    else:
        session.show([make_line(describe(it, version, dry_run=dry_run)) for it in done])

    failed = [place for it in done for place in it.failed]
    if failed:
        raise CliError(
            f"{len(failed)} objects could not be written: {', '.join(failed[:5])}; "
            "both versions count as stored until they are",
            hint=session.command_line("migrate-storage", f"--to={version}"),
        )
    return ExitCode.OK


def describe(it: Migrated, version: str, *, dry_run: bool) -> str:
    """Return the line of one kind."""
    before = ", ".join(it.stored_as)
    if dry_run:
        return (
            f"{it.crd}: {it.objects} objects, stored as {before}; fields of {it.to_move} are owned "
            f"in another version than {version}"
        )
    result = f"stored as {version} alone" if not it.failed else f"{len(it.failed)} refused"
    return f"{it.crd}: {it.objects} objects, {it.written} rewritten; {result} (before: {before})"
