"""``lathe transcode``: masters in, folders of renditions out."""

import time
from pathlib import Path

import click

from lathe.cli import exit_code, show_error
from lathe.pressing import PressedFolder, press_to_folder
from pipeline.tiers import choose_tiers, read_ladder


@click.command("transcode")
@click.argument(
    "masters", nargs=-1, required=True, metavar="MASTER…", type=click.Path(path_type=Path)
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to press into.")
@click.option("--tiers", help="Tiers to make, by commas; all that a master earns when left out.")
def command(masters: tuple[Path, ...], out: Path, tiers: str | None) -> int:
    """Press each MASTER into a folder of its own below the --out folder.

    One that fails does not stop the others. Exits with 0 when all are done, 1 when some failed,
    4 when the output or ffmpeg is unavailable.
    """
    names = None if tiers is None else [name.strip() for name in tiers.split(",")]
    chosen = choose_tiers(read_ladder(), names)
    worst = 0
    for master in masters:
        began = time.monotonic()
        try:
            pressed = press_to_folder(master, out, chosen)
        except Exception as fault:
            show_error(fault, file=str(master))
            worst = max(worst, exit_code(fault))
        else:
            _print(master, pressed, time.monotonic() - began)
    return worst


def _print(master: Path, pressed: PressedFolder, seconds: float) -> None:
    pressing = pressed.pressing
    renditions = pressing.renditions
    click.echo(
        f"{master}: {pressing.decoded.samples} samples at {pressing.master.rate_hz} Hz, "
        f"{' '.join(rendition.tier.name for rendition in renditions)}, "
        f"{sum(len(rendition.chunks) for rendition in renditions)} chunks, "
        f"{sum(rendition.size_bytes for rendition in renditions):,} bytes, {seconds:.1f} s"
    )
    for refused in pressing.refused:
        click.echo(f"  no {refused.tier}: {refused.reason}")
    click.echo(f"  {pressed.folder}")
