"""``lathe`` as an operator runs it: a process of its own, its words, its events, its traces."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.servers import HANG_S, LATHE

Done = subprocess.CompletedProcess[str]
Told = dict[str, Any]

# Root obeys no permissions; without these two capabilities it does, as everybody else.
AS_ORDINARY_USER = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **more}


def lathe(*words: str | Path, through: Sequence[str] = (), **options: Any) -> Done:
    """Run the command line to its end, ``through`` another program if one is named."""
    given: dict[str, Any] = {"env": environment(), "stdin": subprocess.DEVNULL}
    return subprocess.run(
        [*through, LATHE, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        **given | options,
    )


def transcode(out: Path, *words: str | Path, **options: Any) -> Done:
    return lathe("transcode", "--out", out, *words, **options)


def events(done: Done) -> list[Told]:
    """Return what ``--json`` told, having seen that every line is an object with a name."""
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(isinstance(each["event"], str) for each in told)
    return told


def named(told: list[Told], event: str) -> dict[str, Told]:
    """Return the events of one kind by the name of their file."""
    return {Path(each["file"]).name: each for each in told if each["event"] == event}


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_whole(folder: Path) -> bool:
    """Whether every file of a pressed folder is as its own list of checksums says."""
    command = ["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"]
    done = subprocess.run(
        command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL, timeout=HANG_S
    )
    return done.returncode == 0


def processes_with(variable: str) -> list[int]:
    """Return the ids of the living processes that have ``NAME=value`` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(variable) in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def read_all(screen: int) -> Iterator[bytes]:
    """Give what a terminal is sent until nobody holds it open."""
    while True:
        try:
            data = os.read(screen, 65_536)
        except OSError:  # Linux says EIO when the other end has gone.
            return
        if not data:
            return
        yield data
