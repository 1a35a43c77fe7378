"""Inspecting a pressed folder: every file against its checksum, every sound against its word."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalogue.errors import LatheError, PressedFolderUnreadable
from catalogue.nouns import Pressing, Rendition
from lathe.pressing import CHECKSUMS, PRESSING, read_pressing, rendition_prefix
from pipeline.playback import decode_joined

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something in a pressed folder that is not as declared.

    ``rule`` is stable: checksums-unreadable, pressing-unreadable, file-missing, file-differs,
    file-unlisted, declaration-differs, chunks-do-not-tile, decode-failed, decode-length or
    pcm-differs.
    """

    file: str
    rule: str
    detail: str


def find_pressed_folders(path: Path) -> Iterator[Path]:
    """Give ``path`` if it is a pressed folder, else those directly inside it, by name.

    Raises PressedFolderUnreadable when there is none.
    """
    if (path / CHECKSUMS).exists() or (path / PRESSING).exists():
        yield path
        return
    inside = sorted(path.glob(f"*/{PRESSING}")) if path.is_dir() else []
    if not inside:
        raise PressedFolderUnreadable(f"{path}: it holds no {PRESSING}.")
    yield from (found.parent for found in inside)


def inspect_folder(folder: Path, *, decode: bool) -> Iterator[Finding]:
    """Give everything in a pressed folder that is not as it declares itself to be.

    ``decode`` also plays every rendition to its end.
    """
    listed = _read_checksums(folder)
    if listed is None:
        yield _finding(CHECKSUMS, "checksums-unreadable", "it is missing or no list of checksums")
        listed = {}
    for name, digest in listed.items():
        yield from _check_file(folder, name, digest)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    for name in sorted(there - set(listed) - {CHECKSUMS}):
        yield _finding(name, "file-unlisted", f"{CHECKSUMS} does not name it")
    try:
        pressing = read_pressing(folder)
    except PressedFolderUnreadable as fault:
        yield _finding(PRESSING, "pressing-unreadable", fault.detail)
        return
    for rendition in pressing.renditions:
        yield from _check_declaration(rendition, listed)
        if decode:
            yield from _check_sound(folder, pressing, rendition)


def _read_checksums(folder: Path) -> dict[str, str] | None:
    try:
        *lines, rest = (folder / CHECKSUMS).read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if rest:
        return None
    matches = [_LINE.fullmatch(line) for line in lines]
    names = {match[2]: match[1] for match in matches if match is not None}
    inside = all(".." not in Path(name).parts and not Path(name).is_absolute() for name in names)
    return names if len(names) == len(lines) and lines and inside else None


def _check_file(folder: Path, name: str, digest: str) -> Iterator[Finding]:
    try:
        with open(folder / name, "rb") as file:
            measured = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        yield _finding(name, "file-missing", str(fault.strerror))
        return
    if measured != digest:
        yield _finding(name, "file-differs", f"its SHA-256 is {measured}, and should be {digest}")


def _check_declaration(rendition: Rendition, listed: dict[str, str]) -> Iterator[Finding]:
    prefix = rendition_prefix(rendition.id)
    for name, stored in rendition.objects().items():
        if listed.get(prefix + name) != stored.sha256:
            yield _finding(
                prefix + name, "declaration-differs", f"{PRESSING} and {CHECKSUMS} disagree"
            )
    start = 0
    for chunk in rendition.chunks:
        if chunk.start_samples != start or chunk.valid_samples <= 0:
            yield _finding(
                prefix + chunk.body.name,
                "chunks-do-not-tile",
                f"it starts at {chunk.start_samples}, and should at {start}",
            )
        start = chunk.start_samples + chunk.valid_samples
    if start != rendition.samples:
        yield _finding(
            prefix, "chunks-do-not-tile", f"the last ends at {start}, not at {rendition.samples}"
        )


def _check_sound(folder: Path, pressing: Pressing, rendition: Rendition) -> Iterator[Finding]:
    prefix = rendition_prefix(rendition.id)
    stored = [rendition.init, *(chunk.body for chunk in rendition.chunks)]
    try:
        pieces = ((folder / prefix / each.name).read_bytes() for each in stored)
        decoded = decode_joined(rendition, pieces)
    except LatheError as fault:
        yield _finding(prefix, "decode-failed", fault.detail)
        return
    except OSError as fault:
        yield _finding(prefix, "decode-failed", str(fault.strerror))
        return
    expected = rendition.samples + rendition.padding_samples * (rendition.frame_samples is not None)
    if decoded.samples != expected:
        yield _finding(
            prefix, "decode-length", f"it decodes to {decoded.samples} samples, not {expected}"
        )
    own = rendition.tier.codec.lossless and (
        (rendition.rate_hz, rendition.bits) == (pressing.master.rate_hz, pressing.master.bits)
    )
    if own and decoded.pcm_sha256 != pressing.decoded.pcm_sha256:
        yield _finding(prefix, "pcm-differs", "it does not decode to the master's own samples")


def _finding(file: str, rule: str, detail: str) -> Finding:
    return Finding(file=file, rule=rule, detail=detail)
