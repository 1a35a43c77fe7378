"""``lathe match``: which published tracks files are recordings of."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lathe.cli import EXIT_FAILED, EXIT_INTERRUPTED, show_error
from lathe.cli.arguments import ANY_PATH, read_paths, stopping
from lathe.cli.reporting import show_name
from lathe.machine import count_cores
from lathe.masters import Found, find_masters
from lathe.settings import read_settings

if TYPE_CHECKING:
    from lathe.matching import Answer


@click.command("match")
@click.argument("files", nargs=-1, metavar="[FILE]…", type=ANY_PATH)
@click.option("--list", "lists", multiple=True, help="File with one path a line; - for stdin.")
@click.option("--report", type=ANY_PATH, help="File that answers are added to; a run goes on.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Files at once; one per core if unset.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def command(
    files: tuple[Path, ...],
    lists: tuple[str, ...],
    report: Path | None,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Say which published track each file is a recording of, however it was packed or damaged.

    FILE is a file, or a folder that is searched for audio files. With --report, what an earlier
    run answered is not asked again, except for what failed. Exits with 0 when every file was
    answered, 1 when some failed, and 130 when interrupted.
    """
    if not files and not lists:
        raise click.UsageError("Name a file, or a --list.")
    from lathe.matching import match_files, open_report
    from lathe.wiring import open_records

    records = open_records(read_settings())
    counts: Counter[str] = Counter()
    with stopping() as stop, nullcontext() if report is None else open_report(report) as kept:

        def find() -> Iterator[Found]:
            nowhere = records.settings.state
            for found in find_masters(chain(files, *map(read_paths, lists)), nowhere):
                if kept is not None and kept.has(found.path):
                    counts["answered before"] += 1
                else:
                    yield found

        def tell(answer: "Answer") -> None:
            if answer.fault is not None:
                show_error(answer.fault, file=show_name(answer.path))
            if as_json:
                click.echo(json.dumps(answer.fields()))
            elif answer.fault is None:
                click.echo(f"{show_name(answer.path)}: {_describe(answer)}")

        for answer in match_files(find(), records.prints, jobs=jobs or count_cores(), stop=stop):
            counts[answer.outcome] += 1
            if kept is not None:
                kept.write(answer)
            tell(answer)
    words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    click.echo(words or "nothing to match", err=True)
    if stop.is_set():
        return EXIT_INTERRUPTED
    return EXIT_FAILED if counts["failed"] else 0


def _describe(answer: "Answer") -> str:
    found = answer.recognition
    if found is None:
        return "no published track"
    tracks = " ".join(answer.tracks) or "a track that is no longer published"
    return (
        f"{tracks} ({found.confidence:.3f}) at {found.offset_s:.1f} s"
        f"{'' if abs(found.speed - 1) < 0.002 else f', {found.speed:.3f} times as fast'}"
    )
