"""``lathe keys``: API keys for labels, and the keys that wrap content keys."""

import click

from lathe.settings import read_settings
from lathe.wiring import make_key, open_content_keys, open_records


@click.group("keys")
def command() -> None:
    """Make API keys for labels, and wrap content keys anew."""


@command.command("create")
@click.argument("label")
def create(label: str) -> None:
    """Make a key for LABEL and print it; it is stored as a hash and never shown again."""
    click.echo(make_key(open_records(read_settings()), label))


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
    """Wrap every content key with the first key of LATHE_CONTENT_KEYS, while the plant goes on.

    Put a new key in front of the ring and start the plant's programs again, then run this; the last
    key can be dropped when it is done. It can be broken off and run again.
    """
    from lathe.rewrapping import rewrap_all
    from protection.content_keys import KeyWrapper

    settings = read_settings()
    wrapper = KeyWrapper(open_content_keys(settings))

    def report(done: int) -> None:
        click.echo(f"{done} wrapped", err=True)

    done = rewrap_all(open_records(settings).content_keys, wrapper, report)
    click.echo(f"{done} content keys are wrapped with {wrapper.kek} now")
