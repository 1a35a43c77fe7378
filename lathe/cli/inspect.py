"""``lathe inspect``: whether a pressed folder still is what it declares itself to be."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from lathe.cli import EXIT_FINDINGS
from lathe.inspection import find_pressed_folders, inspect_folder


@click.command("inspect")
@click.argument("folders", nargs=-1, required=True, metavar="DIR…", type=click.Path(path_type=Path))
@click.option("--no-decode", is_flag=True, help="Compare checksums and declarations only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each finding.")
def command(folders: tuple[Path, ...], no_decode: bool, as_json: bool) -> int:
    """Verify pressed folders: checksums, declarations, tiling, and how every rendition decodes.

    DIR is a pressed folder, or holds some. Exits with 0 when all is as declared, 3 when not.
    """
    count = 0
    for given in folders:
        for folder in find_pressed_folders(given):
            before = count
            for finding in inspect_folder(folder, decode=not no_decode):
                count += 1
                if as_json:
                    click.echo(json.dumps({"folder": str(folder), **asdict(finding)}))
                else:
                    click.echo(f"{folder / finding.file}: {finding.rule}: {finding.detail}")
            if count == before:
                click.echo(f"{folder}: as declared", err=as_json)
    return EXIT_FINDINGS if count else 0
