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
@click.option(
    "--standard-players/--no-standard-players",
    default=None,
    help="Whether recordings may be kept in common encryption, whose keys players are given.",
)
def policy(label: str, sealed_for: str | None, standard_players: bool | None) -> None:
    """Show what LABEL demands, or change it for what is downloaded from now on."""
    from lathe.wiring import now, open_records

    policies = open_records(read_settings()).policies
    known = policies.get(label)
    said = LabelPolicy(
        sealed_for=known.sealed_for if sealed_for is None else SealedFor(sealed_for),
        standard_players=known.standard_players if standard_players is None else standard_players,
    )
    if said != known:
        policies.put(label, said, now=now())
    click.echo(f"sealed for: {said.sealed_for}")
    click.echo(f"standard players: {'yes' if said.standard_players else 'no'}")
