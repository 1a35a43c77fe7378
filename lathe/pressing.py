"""Pressing a file into a folder of its own: what ``lathe transcode`` does for each master."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter

from catalogue.errors import OutputNotWritable
from catalogue.nouns import Pressing, RenditionId, Tier
from manifests.dash import render_mpd
from manifests.hls import MEDIA_PLAYLIST, render_media, render_multivariant
from manifests.json import render_json
from manifests.manifest import Manifest, is_fragmented
from pipeline.master import hash_file
from pipeline.press import Report, plan_press, press
from storage.local import LocalStore

_PRESSING = TypeAdapter(Pressing)
_NAME_MAX = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class PressedFolder:
    """A master pressed into ``folder``."""

    folder: Path
    pressing: Pressing


def press_to_folder(
    path: Path,
    out: Path,
    tiers: Sequence[Tier],
    *,
    lanes: int = 1,
    report: Report = lambda _stage, _percent: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PressedFolder:
    """Press the master at ``path`` into a folder of its own below ``out``.

    The folder is named after the file and its content. ``manifest.json`` is written last: a
    folder that has it is whole. Raises what ``plan_press`` and ``press`` raise.
    """
    sha256 = hash_file(path)
    plan = plan_press(path, sha256, tiers)
    folder = out / f"{_safe_name(path.stem)}-{sha256[:12]}"
    pressing = press(
        path, plan, LocalStore(folder), lanes=lanes, report=report, should_stop=should_stop
    )
    manifest = _describe(path, pressing)
    for rendition in pressing.renditions:
        if is_fragmented(rendition):
            playlist = folder / _prefix(rendition.id) / MEDIA_PLAYLIST
            _write(playlist, render_media(rendition).encode())
    if any(is_fragmented(rendition) for rendition in pressing.renditions):
        _write(folder / "master.m3u8", render_multivariant(manifest).encode())
        _write(folder / "manifest.mpd", render_mpd(manifest))
    _write(folder / "pressing.json", _PRESSING.dump_json(pressing, indent=1))
    _write(folder / "manifest.json", render_json(manifest))
    return PressedFolder(folder=folder, pressing=pressing)


def _describe(path: Path, pressing: Pressing) -> Manifest:
    tags = pressing.master.tags
    return Manifest(
        title=tags.title or path.stem,
        artist=tags.artist,
        isrc=None,
        track_id=None,
        renditions=pressing.renditions,
        prefixes=tuple(_prefix(rendition.id) for rendition in pressing.renditions),
        expires_at=None,
        refresh_after=None,
        refresh_url=None,
    )


def _prefix(rendition: RenditionId) -> str:
    return f"renditions/{rendition}/"


def _safe_name(stem: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in stem)
    return kept.lstrip(".")[:_NAME_MAX] or "master"


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole, over whatever stood there."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        try:
            with open(draft, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as fault:
        raise OutputNotWritable(f"{path}: {fault.strerror}.") from fault
