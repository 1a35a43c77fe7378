"""``lathe rehear``: hears published masters again."""

import json

import click

from catalogue.errors import LatheError
from lathe.cli import EXIT_FAILED, EXIT_INTERRUPTED, show_error
from lathe.cli.arguments import stopping
from lathe.settings import read_settings


@click.command("rehear")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def command(as_json: bool) -> int:
    """Hear published masters whose features or fingerprints are missing or of an old recipe.

    To be run after an upgrade that brings a new recipe; presses go on meanwhile, and a run that was
    stopped is gone on with by the same command. Exits with 0 when all are heard, 1 when some
    failed, and 130 when interrupted.
    """
    from lathe.rehearing import hear_again
    from lathe.wiring import open_house

    house, done, failed = open_house(read_settings()), 0, 0
    with stopping() as stop:
        for reheard in hear_again(house, stop=stop):
            fault = reheard.fault
            done, failed = done + (fault is None), failed + (fault is not None)
            if fault is not None:
                show_error(fault, file=reheard.master_sha256)
            if as_json:
                code = fault.code if isinstance(fault, LatheError) else "unexpected"
                click.echo(
                    json.dumps(
                        {
                            "master_sha256": reheard.master_sha256,
                            "code": None if fault is None else code,
                        }
                    )
                )
        interrupted = stop.is_set()
    click.echo(f"{done} masters heard, {failed} failed", err=True)
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if failed else 0
