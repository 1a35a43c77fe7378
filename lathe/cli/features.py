"""``lathe features``: what lathe hears in audio files, and why it says so."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalogue.errors import LatheError
from lathe.cli import EXIT_FAILED, show_error
from lathe.cli.reporting import show_name

if TYPE_CHECKING:
    from pipeline.analysis import Analysed
    from pipeline.hearing.listener import Heard


@click.command("features")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option("--explain", is_flag=True, help="Show the terms and parts of every score.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each file.")
def command(files: tuple[Path, ...], explain: bool, as_json: bool) -> int:
    """Say what is heard in masters: tempo, key, and four scores from 0 to 1."""
    from pipeline.analysis import analyse_file

    failed = 0
    for file in files:
        try:
            analysed = analyse_file(file)
        except LatheError as fault:
            show_error(fault, file=show_name(file))
            failed += 1
            continue
        if as_json:
            click.echo(json.dumps({"file": show_name(file), **_plain(analysed, explain)}))
        else:
            click.echo(f"{show_name(file)}: {_describe(analysed)}")
            if explain:
                click.echo("\n".join(_explain(analysed.heard)))
    return EXIT_FAILED if failed else 0


def _describe(analysed: "Analysed") -> str:
    heard, loudness = analysed.heard, analysed.loudness
    tempo, key = heard.pulse.tempo, heard.key
    said = ["no pulse"]
    if tempo is not None:
        said = [f"{tempo.bpm:.1f} BPM ({tempo.confidence:.2f}; or {tempo.alternative_bpm:.1f})"]
    said.append(f"{key.tonic} {key.mode} ({key.strength:.2f})" if key else "no key")
    said += [f"{name} {score.value:.2f}" for name, score in heard.scores.items()]
    if loudness.integrated_lufs is not None:
        said.append(f"{loudness.integrated_lufs:.1f} LUFS")
    return ", ".join(said)


def _explain(heard: "Heard") -> list[str]:
    lines = [f"  {name} = {value}" for name, value in _terms(heard).items()]
    for score in heard.scores.values():
        parts = [f"{part.weight:.2f} × {part.value:.3f} {part.name}" for part in score.parts]
        made_of = " + ".join(parts) or "nothing sounds"
        lines.append(f"  {score.name} {score.value:.3f} = {made_of}")
    return lines


def _terms(heard: "Heard") -> dict[str, float | None]:
    return {
        name: None if value is None else round(value, 4)
        for name, value in asdict(heard.terms).items()
    }


def _plain(analysed: "Analysed", explain: bool) -> dict[str, object]:
    heard = analysed.heard
    plain: dict[str, object] = asdict(analysed.features())
    if explain:
        plain["terms"] = _terms(heard)
        plain["parts"] = {
            name: [asdict(part) for part in score.parts] for name, score in heard.scores.items()
        }
    return plain
