"""``lathe transcode``: masters in, folders of renditions out."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

import click

from lathe.batch import Event, Order, Tally, run_batch
from lathe.cli import EXIT_FAILED, EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_UNAVAILABLE
from lathe.cli.arguments import ANY_PATH, read_paths, stopping
from lathe.cli.reporting import JsonReport, WordReport
from lathe.machine import count_cores
from lathe.masters import Found, find_masters
from lathe.pressing import Overwrite, clear_drafts
from pipeline.tiers import choose_tiers, read_ladder


@click.command("transcode")
@click.argument("masters", nargs=-1, metavar="[MASTER]…", type=ANY_PATH)
@click.option("--out", required=True, type=ANY_PATH, help="Folder to press into.")
@click.option("--list", "lists", multiple=True, help="File with one path a line; - for stdin.")
@click.option("--tiers", help="Tiers to make, by commas; all that a master earns when left out.")
@click.option("--ladder", type=ANY_PATH, help="Ladder of tiers in TOML; lathe's own when left out.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Masters at once; one per core if unset.")
@click.option(
    "--overwrite",
    type=click.Choice([choice.value for choice in Overwrite]),
    default=Overwrite.IF_CHANGED.value,
    show_default=True,
    help="What to do about masters that are pressed already.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@click.option("--json", "as_json", is_flag=True, help="One event a line, as JSON, on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Only failures and findings.")
def command(
    masters: tuple[Path, ...],
    out: Path,
    lists: tuple[str, ...],
    tiers: str | None,
    ladder: Path | None,
    jobs: int | None,
    overwrite: str,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Press masters, each into a folder of its own below the --out folder.

    MASTER is a file, or a folder that is searched for audio files. A folder appears when all of
    it is whole; a run that was stopped is continued by the same command, and costs a hash for
    each master that is finished. One that fails does not stop the others.

    Exits with 0 when all are done, 1 when some failed, 2 for wrong usage, 3 when all are done but
    there is something to know of some, 4 when the output or ffmpeg is unavailable, and 130 when
    interrupted.
    """
    if not masters and not lists:
        raise click.UsageError("Name a master, or a --list.")
    names = None if tiers is None else [name.strip() for name in tiers.split(",")]
    cores = count_cores()
    order = Order(
        out=out,
        tiers=choose_tiers(read_ladder(ladder), names),
        named=frozenset(names or ()),
        overwrite=Overwrite(overwrite),
        dry_run=dry_run,
        jobs=jobs or cores,
        cores=cores,
    )
    clear_drafts(out)

    def find() -> Iterator[Found]:
        return find_masters(chain(masters, *map(read_paths, lists)), out)

    if watched := sys.stderr.isatty() and not quiet and "-" not in lists:
        # Only a terminal needs what draws on it.
        from lathe.cli.progress import show_progress
    report = JsonReport() if as_json else WordReport(quiet=quiet)
    with stopping() as stop, show_progress(find) if watched else nullcontext() as progress:

        def listen(event: Event) -> None:
            report.hear(event)
            if progress is not None:
                progress.hear(event)

        tally = run_batch(find(), order, listen, stop)
    report.finish(tally, interrupted=stop.is_set())
    return EXIT_INTERRUPTED if stop.is_set() else _exit_code(tally)


def _exit_code(tally: Tally) -> int:
    if tally.unavailable:
        return EXIT_UNAVAILABLE
    if tally.failed:
        return EXIT_FAILED
    return EXIT_FINDINGS if tally.findings else 0
