"""Pressing a file into a folder of its own: what ``lathe transcode`` does for each master."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from catalogue.errors import NoTierEarned, PressedFolderUnreadable
from catalogue.nouns import Pressing, RenditionId, Sha256, Tier, TierRefused
from manifests.dash import render_mpd
from manifests.hls import MEDIA_PLAYLIST, render_media, render_multivariant
from manifests.json import render_json
from manifests.manifest import Manifest, is_fragmented
from pipeline.master import hash_file
from pipeline.press import Report, plan_again, plan_press, press
from storage.faults import not_writable
from storage.local import LocalStore

PRESSING = "pressing.json"
CHECKSUMS = "SHA256SUMS"
_PRESSING = TypeAdapter(Pressing)
_DRAFT = ".lathe-"
_LOCK = ".lock"
_REPLACED = "-replaced"
_NAME_MAX_BYTES = 120


class Overwrite(StrEnum):
    """What to do where a whole folder of the same master stands already."""

    NEVER = "never"
    IF_CHANGED = "if-changed"
    ALWAYS = "always"


@dataclass(frozen=True, kw_only=True, slots=True)
class PressedFolder:
    """A master pressed into ``folder``, now or, when ``kept``, at an earlier time."""

    folder: Path
    pressing: Pressing
    kept: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderPlan:
    """What pressing a file would do: the folder, and the renditions not there yet."""

    folder: Path
    kept: bool
    renditions: tuple[RenditionId, ...]
    refused: tuple[TierRefused, ...]
    samples: int | None


def folder_of(path: Path, sha256: Sha256, out: Path) -> Path:
    """Return the folder of a master below ``out``, named after the file and its content."""
    return out / f"{safe_name(path.stem)}-{sha256[:12]}"


def plan_folder(
    path: Path, out: Path, tiers: Sequence[Tier], *, overwrite: Overwrite
) -> FolderPlan:
    """Return what ``press_to_folder`` would do, without decoding or writing anything."""
    sha256 = hash_file(path)
    folder = folder_of(path, sha256, out)
    found = _find_kept(folder, tiers, overwrite)
    if found is not None:
        ids = tuple(rendition.id for rendition in found.renditions)
        return FolderPlan(
            folder=folder,
            kept=True,
            renditions=ids,
            refused=found.refused,
            samples=found.decoded.samples,
        )
    plan = plan_press(path, sha256, tiers)
    return FolderPlan(
        folder=folder,
        kept=False,
        renditions=tuple(plan.rendition_ids()),
        refused=plan.refused,
        samples=plan.master.declared_samples,
    )


def press_to_folder(
    path: Path,
    out: Path,
    tiers: Sequence[Tier],
    *,
    overwrite: Overwrite = Overwrite.IF_CHANGED,
    lanes: int = 1,
    report: Report = lambda _stage, _percent: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PressedFolder:
    """Press the master at ``path`` into a folder of its own below ``out``.

    The folder appears whole, under its name, or not at all. One that is there already is kept
    as ``overwrite`` says; finding that out costs a hash of the master. Raises what ``plan_press``
    and ``press`` raise, and OutputNotWritable.
    """
    report("hash", 0)
    sha256 = hash_file(path)
    folder = folder_of(path, sha256, out)
    found = _find_kept(folder, tiers, overwrite)
    if found is not None:
        return PressedFolder(folder=folder, pressing=found, kept=True)
    report("probe", 0)
    plan = plan_press(path, sha256, tiers)
    with _draft_folder(out) as draft:
        pressing = press(
            path, plan, LocalStore(draft), lanes=lanes, report=report, should_stop=should_stop
        )
        with _writing(draft):
            _describe(path, pressing, draft)
            _swap(draft, folder)
    return PressedFolder(folder=folder, pressing=pressing, kept=False)


def read_pressing(folder: Path) -> Pressing:
    """Return what a pressed folder declares. Raises PressedFolderUnreadable."""
    try:
        return _PRESSING.validate_json((folder / PRESSING).read_bytes())
    except (OSError, ValidationError) as fault:
        said = fault.strerror if isinstance(fault, OSError) else "it does not hold a pressing"
        raise PressedFolderUnreadable(f"{folder / PRESSING}: {said}.") from fault


def rendition_prefix(rendition: RenditionId) -> str:
    """Return where the objects of a rendition stand in a pressed folder."""
    return f"renditions/{rendition}/"


def clear_drafts(out: Path) -> None:
    """Remove what killed runs left behind in ``out``; drafts of living ones are locked."""
    for draft in out.glob(f"{_DRAFT}*"):
        if draft.name.endswith(_REPLACED):
            shutil.rmtree(draft, ignore_errors=True)
            continue
        with suppress(OSError), open(draft / _LOCK, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(draft)


def _find_kept(folder: Path, tiers: Sequence[Tier], overwrite: Overwrite) -> Pressing | None:
    with _writing(folder):
        if overwrite is Overwrite.ALWAYS or not (folder / CHECKSUMS).is_file():
            return None
    try:
        found = read_pressing(folder)
        if overwrite is Overwrite.NEVER:
            return found
        wanted = plan_again(found.master, tiers).rendition_ids()
    except (PressedFolderUnreadable, NoTierEarned):
        return None
    return found if wanted == [rendition.id for rendition in found.renditions] else None


def _describe(path: Path, pressing: Pressing, draft: Path) -> None:
    """Write the descriptions of the pressing, and last the checksums of every file."""
    # A name that is no Unicode cannot stand in a manifest as it is.
    stem = os.fsencode(path.stem).decode("utf-8", "replace")
    files = _render_descriptions(pressing, pressing.master.tags.title or stem)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for rendition in pressing.renditions:
        prefix = rendition_prefix(rendition.id)
        sums |= {prefix + name: stored.sha256 for name, stored in rendition.objects().items()}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    for name, data in [*files.items(), (CHECKSUMS, "".join(lines).encode())]:
        with open(draft / name, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _render_descriptions(pressing: Pressing, title: str) -> dict[str, bytes]:
    """Return every file of a pressed folder that follows from its pressing, by relative path."""
    manifest = _build_manifest(pressing, title)
    files = {
        PRESSING: _PRESSING.dump_json(pressing, indent=1),
        "manifest.json": render_json(manifest),
    }
    fragmented = [rendition for rendition in pressing.renditions if is_fragmented(rendition)]
    if fragmented:
        files["master.m3u8"] = render_multivariant(manifest).encode()
        files["manifest.mpd"] = render_mpd(manifest)
    for rendition in fragmented:
        files[rendition_prefix(rendition.id) + MEDIA_PLAYLIST] = render_media(rendition).encode()
    return files


@contextmanager
def _draft_folder(out: Path) -> Iterator[Path]:
    """Give a hidden folder in ``out`` to press into, locked while it lives, gone afterwards."""
    draft = out / f"{_DRAFT}{uuid4().hex}"
    with _writing(draft):
        draft.mkdir(parents=True)
        lock = os.open(draft / _LOCK, os.O_CREAT | os.O_RDONLY, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield draft
    finally:
        os.close(lock)
        shutil.rmtree(draft, ignore_errors=True)


def _swap(draft: Path, folder: Path) -> None:
    """Let the draft appear as ``folder``, and remove what stood there."""
    (draft / _LOCK).unlink()
    replaced = draft.with_name(draft.name + _REPLACED)
    while not _rename(draft, folder):
        with suppress(FileNotFoundError):
            folder.rename(replaced)
        shutil.rmtree(replaced, ignore_errors=True)
    handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename(draft: Path, folder: Path) -> bool:
    """Rename one folder to another; False where a folder that is not empty stands already."""
    try:
        draft.rename(folder)
    except OSError as fault:
        if fault.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise not_writable(str(place), fault) from fault


def _build_manifest(pressing: Pressing, title: str) -> Manifest:
    return Manifest(
        title=title,
        artist=pressing.master.tags.artist,
        isrc=None,
        track_id=None,
        quality=None,
        renditions=pressing.renditions,
        prefixes=tuple(rendition_prefix(rendition.id) for rendition in pressing.renditions),
        expires_at=None,
        refresh_after=None,
        refresh_url=None,
    )


def safe_name(stem: str) -> str:
    """Return what a file may be called, of what somebody called something."""
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in stem)
    short = kept.lstrip(".").encode()[:_NAME_MAX_BYTES].decode("utf-8", "ignore")
    return short or "master"
