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
    skipped = out.absolute()
    for path in paths:
        if path.is_dir():
            yield from _walk(path, path.resolve(), skipped)
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


def _walk(folder: Path, root: Path, skipped: Path) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as fault:
        yield Found(path=folder, size_bytes=0, fault=MasterNotAFile(f"{folder}: {fault.strerror}."))
        return
    for entry in ordered:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if path.absolute() != skipped:
                yield from _walk(path, root, skipped)
        elif path.suffix.lower() in SUFFIXES:
            if entry.is_symlink() and not path.resolve().is_relative_to(root):
                outside = MasterOutsideTree(f"{path} leads to {path.resolve()}.")
                yield Found(path=path, size_bytes=0, fault=outside)
            else:
                yield _look_at(path)


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
