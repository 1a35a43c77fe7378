"""Running commands and saying what they cost."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_LATHE_AND_ITS_MEMORY = """
import atexit, resource, sys
from pathlib import Path
place = Path(sys.argv.pop(1))
atexit.register(
    lambda: place.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
)
from lathe.cli import main
main()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Seconds of CPU (a command and all its children), seconds of wall time, peak memory.

    ``own_memory_bytes`` is that of the process itself without its children; zero where nobody
    asked it.
    """

    cpu_s: float
    wall_s: float
    own_memory_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            cpu_s=self.cpu_s + other.cpu_s,
            wall_s=self.wall_s + other.wall_s,
            own_memory_bytes=max(self.own_memory_bytes, other.own_memory_bytes),
        )


def run(command: Sequence[str | Path], *, tools: Path | None = None) -> Cost:
    """Run a command to its end and return its cost. Raises CalledProcessError.

    ``tools`` is a folder whose programs are found before all others.
    """
    path = os.environ["PATH"] if tools is None else f"{tools}:{os.environ['PATH']}"
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "PATH": path},
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.stderr.buffer.write(said.read())
            raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(cpu_s=used.ru_utime + used.ru_stime, wall_s=time.monotonic() - began)


def run_lathe(arguments: Sequence[str | Path], *, tools: Path | None = None) -> Cost:
    """Run ``lathe`` with ``arguments`` and return its cost, its own peak memory included."""
    with tempfile.NamedTemporaryFile() as place:
        command = [sys.executable, "-c", _LATHE_AND_ITS_MEMORY, place.name, *arguments]
        cost = run(command, tools=tools)
        own_memory_bytes = int(Path(place.name).read_text()) * 1024
    return Cost(cpu_s=cost.cpu_s, wall_s=cost.wall_s, own_memory_bytes=own_memory_bytes)


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs paid one after the other."""
    return sum(costs, start=Cost(cpu_s=0, wall_s=0))
