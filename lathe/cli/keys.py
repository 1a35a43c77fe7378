"""``lathe keys``: API keys for labels."""

import click

from lathe.settings import read_settings
from lathe.wiring import make_key, open_records


@click.group("keys")
def command() -> None:
    """Make API keys for labels."""


@command.command("create")
@click.argument("label")
def create(label: str) -> None:
    """Make a key for LABEL and print it; it is stored as a hash and never shown again."""
    click.echo(make_key(open_records(read_settings()), label))
