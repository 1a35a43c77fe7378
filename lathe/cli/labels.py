"""``lathe labels``: what labels demand of how their recordings are kept, and may upload."""

from dataclasses import replace
from typing import Any

import click

from catalogue.offline import SealedFor
from catalogue.quality import QualityPolicy, write_rules
from lathe.cli.rules import RULES, read_rules
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
@click.option("--max-uploads", type=click.IntRange(0), help="How many uploads may be open.")
@click.option("--max-upload-bytes", type=click.IntRange(0), help="How large they may be together.")
@RULES
def policy(label: str, sealed_for: str | None, rules: tuple[str, ...], **given: Any) -> None:
    """Show what LABEL demands and may, or change it for what comes from now on."""
    from lathe.wiring import now, open_records

    policies = open_records(read_settings()).policies
    known = policies.get(label)
    said = replace(known, **{name: value for name, value in given.items() if value is not None})
    if sealed_for is not None:
        said = replace(said, sealed_for=SealedFor(sealed_for))
    if rules:
        settings = {**known.quality.settings, **read_rules(rules)}
        said = replace(said, quality=QualityPolicy(settings=settings))
    if said != known:
        policies.put(label, said, now=now())
    click.echo(f"sealed for: {said.sealed_for}")
    click.echo(f"standard players: {'yes' if said.standard_players else 'no'}")
    click.echo(f"uploads: {said.max_uploads} open, {said.max_upload_bytes} bytes together")
    for rule in write_rules(said.quality.settings):
        click.echo(f"rule: {rule}")
