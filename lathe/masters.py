"""Finding masters: files as named, folders walked, lists read line by line."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from catalogue.errors import InvalidInput, ListUnreadable, MasterNotAFile, MasterOutsideTree

SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".aif", ".aiff", ".aifc"),
        *(".m4a", ".mp4", ".alac", ".mp3", ".ogg", ".oga", ".opus", ".aac"),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A path that was asked for: a file of some size, or the fault that keeps it from being one."""

    path: Path
    size_bytes: int
    fault: InvalidInput | None = None


def find_masters(paths: Iterable[Path], out: Path) -> Iterator[Found]:
    """Give every file among ``paths`` as it is named, and every audio file in folders among them.

    Folders are walked in the order of names; hidden files and ``out`` itself are left out. A
    symbolic link inside a folder is followed only to a file within that folder. Nothing is
    opened: pipes and devices are found by their status.
    """
    skipped = os.path.realpath(out)
    for path in paths:
        if _is_folder(path):
            yield from _walk(path, skipped)
        else:
            yield _look_at(path)


def read_list(source: TextIO) -> Iterator[Path]:
    """Give the paths of a list, one a line; empty lines are left out. Raises ListUnreadable."""
    try:
        for line in source:
            if name := line.rstrip("\r\n"):
                yield Path(name)
    except (OSError, UnicodeDecodeError) as fault:
        raise ListUnreadable(f"{fault}.") from fault


def _walk(top: Path, skipped: str) -> Iterator[Found]:
    """Walk a folder without calling itself: it may be deeper than Python's stack."""
    root = os.path.realpath(top)
    waiting = [_list(top)]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
        elif isinstance(found, Found):
            yield found
        elif found.is_symlink() and not _is_below(os.path.realpath(found.path), root):
            outside = MasterOutsideTree(f"{found.path} leads to {os.path.realpath(found.path)}.")
            yield Found(path=Path(found.path), size_bytes=0, fault=outside)
        elif not found.is_dir(follow_symlinks=False):
            yield _look_at(Path(found.path))
        elif os.path.realpath(found.path) != skipped:
            waiting.append(_list(Path(found.path)))


def _list(folder: Path) -> Iterator[Found | os.DirEntry[str]]:
    """Give a folder's folders and audio files in the order of names, or its fault."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as fault:
        yield Found(path=folder, size_bytes=0, fault=MasterNotAFile(f"{folder}: {fault.strerror}."))
        return
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        is_audio = Path(entry.name).suffix.lower() in SUFFIXES
        if is_audio or entry.is_dir(follow_symlinks=False):
            yield entry


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # A name too long to be one.
        return False


def _is_below(path: str, root: str) -> bool:
    return os.path.commonpath((path, root)) == root


def _look_at(path: Path) -> Found:
    try:
        status = path.stat()
    except (OSError, ValueError) as fault:
        said = fault.strerror if isinstance(fault, OSError) else "it is no path"
        return Found(path=path, size_bytes=0, fault=MasterNotAFile(f"{path}: {said}."))
    if not stat.S_ISREG(status.st_mode):
        other = MasterNotAFile(f"{path}: it is a folder, a pipe or a device.")
        return Found(path=path, size_bytes=0, fault=other)
    return Found(path=path, size_bytes=status.st_size)
