"""``lathe match``: which published tracks files are recordings of."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalogue.permissions import Action, require
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
@click.option(
    "--upload-for", "owner", metavar="ACCOUNT", help="Press what is not known for this account."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def command(
    files: tuple[Path, ...],
    lists: tuple[str, ...],
    report: Path | None,
    jobs: int | None,
    owner: str | None,
    as_json: bool,
) -> int:
    """Say which published track each file is a recording of, however it was packed or damaged.

    FILE is a file, or a folder that is searched for audio files. With --report, what an earlier
    run answered is not asked again, except for what failed. With --upload-for, what no track is
    known to be is pressed by the plant's workers, for that account alone. Exits with 0 when every
    file was answered, 1 when some failed, and 130 when interrupted.
    """
    if not files and not lists:
        raise click.UsageError("Name a file, or a --list.")
    from lathe.cli.accounts import find_account
    from lathe.matching import match_files, open_report, upload_for
    from lathe.wiring import build_intake, open_house, open_records

    settings = read_settings()
    house = None if owner is None else open_house(settings)
    records = house or open_records(settings)
    upload = None
    if house is not None and owner is not None:
        account = find_account(house, owner)
        require(account.role, Action.MATCH)
        upload = upload_for(account.id, build_intake(house, beside_workers=False))
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

        at_once = jobs or count_cores()
        for answer in match_files(find(), records.prints, jobs=at_once, stop=stop, upload=upload):
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
    if answer.job is not None:
        return f"no published track; {answer.job.id} presses it as {answer.job.track_id}"
    if found is None:
        return "no published track"
    tracks = " ".join(answer.tracks) or "a track that is no longer published"
    return (
        f"{tracks} ({found.confidence:.3f}) at {found.offset_s:.1f} s"
        f"{'' if abs(found.speed - 1) < 0.002 else f', {found.speed:.3f} times as fast'}"
    )
