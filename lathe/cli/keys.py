"""``lathe keys``: API keys for labels, and the keys that wrap content keys."""

import json
from datetime import datetime

import click

from catalogue.port import Scope, StoredKey
from lathe.settings import read_settings
from lathe.wiring import make_key, open_content_keys, open_records

_PAGE = 500


@click.group("keys")
def command() -> None:
    """Make API keys for labels, and wrap content keys anew."""


@command.command("create")
@click.argument("label")
@click.option("--name", default="", help="What it is for, as `lathe keys list` tells it.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([each.value for each in Scope]),
    help="What it is good for; may be said more than once. All, where none is said.",
)
def create(label: str, name: str, scopes: tuple[str, ...]) -> None:
    """Make a key for LABEL and print it; it is stored as a hash and never shown again."""
    chosen = [Scope(each) for each in scopes] or list(Scope)
    click.echo(make_key(open_records(read_settings()), label, name=name, scopes=chosen))


@command.command("list")
@click.option("--label", help="Those of one label.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line on stdout.")
def list_keys(label: str | None, as_json: bool) -> None:
    """Print the keys that were made, without their secrets."""
    keys, after = open_records(read_settings()).keys, ""
    while found := keys.page(label=label, after=after, limit=_PAGE):
        for key in found:
            click.echo(_as_json(key) if as_json else _as_line(key))
        after = found[-1].id


@command.command("revoke")
@click.argument("key_ids", metavar="KEY…", nargs=-1, required=True)
def revoke(key_ids: tuple[str, ...]) -> None:
    """Let keys open nothing from now on. A key's id is what stands between its underscores."""
    from lathe.wiring import now

    keys = open_records(read_settings()).keys
    for key_id in key_ids:
        keys.revoke(key_id, now=now())
        click.echo(f"{key_id} is revoked", err=True)


@command.command("make")
@click.option("--kms", metavar="KEY", help="Let this key of AWS KMS seal it; nobody else sees it.")
def make(kms: str | None) -> None:
    """Print a new key for a ring: LATHE_URL_KEYS, LATHE_CONTENT_KEYS or LATHE_LICENCE_KEYS.

    Put it in front of the others. One that AWS KMS sealed is for LATHE_CONTENT_KEYS.
    """
    from protection.keyring import make_kid, make_ring_key, seal_ring_key

    if kms is None:
        click.echo(make_ring_key())
        return
    from storage.kms import open_kms

    kid = make_kid()
    click.echo(seal_ring_key(kid, open_kms().make(kms, kid)))


@command.command("rotate")
def rotate() -> None:
    """Wrap all that is wrapped with the first key of LATHE_CONTENT_KEYS, while the plant goes on.

    That is content keys and the secrets of webhooks.

    Put a new key in front of the ring and start the plant's programs again, then run this; the last
    key can be dropped when it is done. It can be broken off and run again.
    """
    from lathe.rewrapping import rewrap_all, rewrap_webhooks
    from protection.content_keys import KeyWrapper

    settings = read_settings()
    wrapper = KeyWrapper(open_content_keys(settings))

    def report(done: int) -> None:
        click.echo(f"{done} wrapped", err=True)

    records = open_records(settings)
    done = rewrap_all(records.content_keys, wrapper, report)
    click.echo(f"{done} content keys are wrapped with {wrapper.kek} now")
    done = rewrap_webhooks(records.webhooks, wrapper)
    click.echo(f"{done} secrets of webhooks are wrapped with {wrapper.kek} now")


def _as_json(key: StoredKey) -> str:
    told = {
        "id": key.id,
        "label": key.label,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at.isoformat(),
        "used_at": None if key.used_at is None else key.used_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }
    return json.dumps(told, ensure_ascii=False)


def _as_line(key: StoredKey) -> str:
    def day(at: datetime | None) -> str:
        return "never" if at is None else f"{at:%Y-%m-%d}"

    ended = "" if key.revoked_at is None else f", revoked {day(key.revoked_at)}"
    told = f"{key.id}  {key.label}  {' '.join(sorted(key.scopes))}  {key.name}".rstrip()
    return f"{told}  (made {day(key.created_at)}, used {day(key.used_at)}{ended})"
