"""``lathe labels``: what labels demand of how their recordings are kept."""

import click

from catalogue.offline import LabelPolicy, SealedFor
from lathe.settings import read_settings


@click.group("labels")
def command() -> None:
    """Say what labels demand."""


@command.command("policy")
@click.argument("label")
@click.option(
    "--sealed-for",
    type=click.Choice([each.value for each in SealedFor]),
    help="Whom a content key seals for: all devices, or each device its own.",
)
def policy(label: str, sealed_for: str | None) -> None:
    """Show what LABEL demands, or change it for what is downloaded from now on."""
    from lathe.wiring import now, open_records

    policies = open_records(read_settings()).policies
    if sealed_for is not None:
        policies.put(label, LabelPolicy(sealed_for=SealedFor(sealed_for)), now=now())
    click.echo(f"sealed for: {policies.get(label).sealed_for}")
