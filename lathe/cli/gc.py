"""``lathe gc``: removes objects that nothing refers to."""

import json
from dataclasses import asdict

import click

from lathe.settings import read_settings


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def command(dry_run: bool, as_json: bool) -> None:
    """Remove objects that no delivery and no published rendition refers to.

    What cancelled and failed jobs leave behind goes by itself; this also finds what nobody wrote
    down, and half-received uploads. What a running job is about to publish is never touched, so
    that this can be run at any time.
    """
    from lathe.wiring import now, open_house
    from workers.collecting import DRAFT_LIFE, collect, find_orphans

    house = open_house(read_settings())
    find = find_orphans if dry_run else collect
    objects = size_bytes = 0
    for orphan in find(house.store, house.holds, now=now):
        objects += orphan.objects
        size_bytes += orphan.size_bytes
        if as_json:
            click.echo(json.dumps(asdict(orphan)))
        else:
            click.echo(f"{orphan.place}: {orphan.objects} objects, {orphan.size_bytes:,} bytes")
    drafts = 0 if dry_run else house.store.drop_drafts(before=now() - DRAFT_LIFE)
    done = "to remove" if dry_run else "removed"
    click.echo(f"{objects} objects, {size_bytes:,} bytes {done}; {drafts} drafts", err=True)
