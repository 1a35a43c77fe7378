"""What ``lathe transcode`` says: words for people, or one JSON object a line for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from catalogue.errors import LatheError
from catalogue.nouns import TierRefused
from lathe.batch import Advanced, Event, Failed, Planned, Pressed, Started, Tally
from lathe.cli import show_error

_PERCENT_STEP = 10


class WordReport:
    """Results on stdout, one line or two each; failures and findings on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def hear(self, event: Event) -> None:
        """Say what there is to say of an event."""
        match event:
            case Failed():
                show_error(event.fault, file=show_name(event.file))
            case Pressed():
                if not self._quiet:
                    click.echo(_describe_pressed(event))
                for finding in event.findings:
                    click.echo(f"{show_name(event.file)}: {finding}", err=True)
            case Planned():
                click.echo(_describe_planned(event))

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        """Say how it all went."""
        if interrupted:
            click.echo("lathe: interrupted; the same command goes on from here", err=True)
        if self._quiet:
            return
        counts = {
            "pressed": tally.pressed,
            "to press": tally.planned,
            "there already": tally.kept,
            "failed": tally.failed,
            "findings": tally.findings,
        }
        words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        speed = f", {tally.sound_s / tally.seconds:.0f} × real time" if tally.sound_s else ""
        click.echo(f"{words or 'nothing pressed'} in {tally.seconds:.1f} s{speed}", err=True)


class JsonReport:
    """Every event as a JSON object on a line of its own, on stdout; failures on stderr as well."""

    def __init__(self) -> None:
        self._told: dict[Path, tuple[str, int]] = {}

    def hear(self, event: Event) -> None:
        """Write an event down; of progress only stages and whole tens of per cent."""
        match event:
            case Started():
                _write("started", file=str(event.file), size_bytes=event.size_bytes)
            case Advanced():
                step = event.stage, event.percent // _PERCENT_STEP
                if self._told.get(event.file) != step:
                    self._told[event.file] = step
                    _write(
                        "progress",
                        file=str(event.file),
                        stage=event.stage,
                        percent=event.percent,
                    )
            case Planned():
                self._told.pop(event.file, None)
                _write(
                    "planned",
                    file=str(event.file),
                    folder=str(event.plan.folder),
                    kept=event.plan.kept,
                    renditions=list(event.plan.renditions),
                    refused=_refused_fields(event.plan.refused),
                    samples=event.plan.samples,
                )
            case Pressed():
                self._told.pop(event.file, None)
                _write("pressed", **_pressed_fields(event))
            case Failed():
                self._told.pop(event.file, None)
                show_error(event.fault, file=show_name(event.file))
                _write("failed", **_failed_fields(event))

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        """Write the summary."""
        _write(
            "summary",
            interrupted=interrupted,
            pressed=tally.pressed,
            planned=tally.planned,
            kept=tally.kept,
            failed=tally.failed,
            findings=tally.findings,
            seconds=round(tally.seconds, 3),
            sound_s=round(tally.sound_s, 3),
        )


def show_name(path: Path) -> str:
    """Return a path as a line of text can hold it, whatever its characters."""
    text = click.format_filename(path)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _write(name: str, **fields: Any) -> None:
    click.echo(json.dumps({"event": name, **fields}))


def _describe_pressed(event: Pressed) -> str:
    pressing = event.pressed.pressing
    renditions = pressing.renditions
    if event.pressed.kept:
        return f"{show_name(event.file)}: there already\n  {show_name(event.pressed.folder)}"
    lines = [
        f"{show_name(event.file)}: {pressing.decoded.samples} samples "
        f"at {pressing.master.rate_hz} Hz, "
        f"{' '.join(rendition.tier.name for rendition in renditions)}, "
        f"{sum(len(rendition.chunks) for rendition in renditions)} chunks, "
        f"{sum(rendition.size_bytes for rendition in renditions):,} bytes, {event.seconds:.1f} s"
    ]
    lines += [f"  no {refused.tier}: {refused.reason}" for refused in pressing.refused]
    return "\n".join([*lines, f"  {show_name(event.pressed.folder)}"])


def _describe_planned(event: Planned) -> str:
    plan = event.plan
    length = "" if plan.samples is None else f"{plan.samples} samples, "
    done = "there already" if plan.kept else "to press"
    lines = [f"{show_name(event.file)}: {length}{done}"]
    lines += [f"  {rendition}" for rendition in plan.renditions]
    lines += [f"  no {refused.tier}: {refused.reason}" for refused in plan.refused]
    return "\n".join([*lines, f"  {show_name(plan.folder)}"])


def _pressed_fields(event: Pressed) -> dict[str, Any]:
    pressing = event.pressed.pressing
    return {
        "file": str(event.file),
        "folder": str(event.pressed.folder),
        "kept": event.pressed.kept,
        "seconds": round(event.seconds, 3),
        "samples": pressing.decoded.samples,
        "rate_hz": pressing.master.rate_hz,
        "pcm_sha256": pressing.decoded.pcm_sha256,
        "renditions": [
            {
                "id": rendition.id,
                "tier": rendition.tier.name,
                "samples": rendition.samples,
                "chunks": len(rendition.chunks),
                "size_bytes": rendition.size_bytes,
            }
            for rendition in pressing.renditions
        ],
        "refused": _refused_fields(pressing.refused),
        "findings": list(event.findings),
    }


def _refused_fields(tiers: Sequence[TierRefused]) -> list[dict[str, str]]:
    return [{"tier": refused.tier, "reason": refused.reason} for refused in tiers]


def _failed_fields(event: Failed) -> dict[str, Any]:
    fault = event.fault
    fields: dict[str, Any] = {"file": str(event.file), "seconds": round(event.seconds, 3)}
    if not isinstance(fault, LatheError):
        return fields | {"code": "unexpected", "detail": f"{type(fault).__name__}: {fault}"}
    return fields | {
        "code": fault.code,
        "title": fault.title,
        "detail": fault.detail,
        "measured": dict(fault.measured),
        "advice": fault.advice,
    }
