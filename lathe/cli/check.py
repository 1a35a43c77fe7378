"""``lathe check``: what masters are like, and whether they would be taken."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalogue.errors import LatheError
from catalogue.quality import (
    QualityFinding,
    QualityPolicy,
    QualityReport,
    Verdict,
    judge_quality,
    worst_of,
)
from lathe.cli import EXIT_FAILED, EXIT_FINDINGS, show_error
from lathe.cli.reporting import show_name
from lathe.cli.rules import RULES, read_rules

if TYPE_CHECKING:
    from pipeline.quality.drawings import Drawings


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@RULES
@click.option(
    "--draw",
    type=click.Path(path_type=Path, file_okay=False),
    help="Draw waveform, loudness and spectrogram of each file into this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each file.")
def command(
    files: tuple[Path, ...], rules: tuple[str, ...], draw: Path | None, as_json: bool
) -> int:
    """Decode masters to their end, measure them, and say what rules make of it.

    Exits with 0 when all pass, 3 when something is to be known, 1 when one is refused.
    """
    from pipeline.analysis import analyse_file

    policy = QualityPolicy(settings=read_rules(rules))
    worst = Verdict.PASSED
    order = list(Verdict)
    for file in files:
        try:
            analysed = analyse_file(file)
            if draw is not None:
                _draw(analysed.drawings, draw, file.name)
        except LatheError as fault:
            show_error(fault, file=show_name(file))
            worst = Verdict.REFUSE
            continue
        findings = judge_quality(analysed.quality, policy)
        worst = max(worst, worst_of(findings), key=order.index)
        if as_json:
            click.echo(json.dumps(_plain(file, analysed.quality, findings)))
        else:
            click.echo(f"{show_name(file)}: {_describe(analysed.quality, findings)}")
            for each in findings:
                click.echo(f"  {each.verdict}: {each.rule}: {each.detail} {each.advice}")
    return {Verdict.PASSED: 0, Verdict.WARN: EXIT_FINDINGS, Verdict.REFUSE: EXIT_FAILED}[worst]


def _describe(report: QualityReport, findings: list[QualityFinding]) -> str:
    minutes, seconds = divmod(report.samples / report.rate_hz, 60)
    bits = "lossy" if report.bits is None else f"{report.bits} bits"
    said = [f"{int(minutes)}:{seconds:06.3f}", f"{report.rate_hz} Hz", bits]
    if report.integrated_lufs is not None:
        said.append(f"{report.integrated_lufs} LUFS")
    if report.true_peak_dbtp is not None:
        said.append(f"{report.true_peak_dbtp} dBTP")
    return f"{worst_of(findings)} ({', '.join(said)})"


def _plain(file: Path, report: QualityReport, findings: list[QualityFinding]) -> dict[str, object]:
    return {
        "file": show_name(file),
        "verdict": worst_of(findings),
        "findings": [asdict(each) for each in findings],
        "report": asdict(report),
    }


def _draw(drawings: "Drawings", folder: Path, name: str) -> None:
    from pipeline.quality import drawings as drawing
    from storage.faults import not_writable

    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / name
        drawn: dict[str, bytes] = {
            ".waveform.svg": drawing.draw_waveform(drawings).encode(),
            ".loudness.svg": drawing.draw_loudness(drawings).encode(),
            ".spectrogram.png": drawing.draw_spectrogram(drawings),
            ".waveform.dat": drawing.waveform_dat(drawings),
            ".waveform.json": json.dumps(drawing.waveform_json(drawings)).encode(),
        }
        for suffix, data in drawn.items():
            place.with_name(place.name + suffix).write_bytes(data)
    except OSError as fault:
        raise not_writable(str(folder), fault) from fault
