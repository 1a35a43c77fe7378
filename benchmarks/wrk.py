"""Asking servers with wrk, and what their answers cost them of their own CPU."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_IN_TURN = """
local asked = %s
local turn = 0
request = function()
  turn = turn + 1
  local each = asked[turn %% #asked + 1]
  return wrk.format("GET", each[1], each[2])
end
"""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many answers of what size a server gave for a second of its CPU.

    ``beside_s`` is what others used meanwhile for an answer, such as a database.
    """

    answers: float
    size_bytes: float
    number: int
    beside_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.answers:>9,.0f} a core-second, {self.size_bytes / 1024:6.0f} KiB each"


def add_up(rates: Sequence[Rate]) -> Rate:
    """Return the rate of all that was answered at several."""
    number = sum(rate.number for rate in rates)
    return Rate(
        answers=number / sum(rate.number / rate.answers for rate in rates),
        size_bytes=sum(rate.size_bytes * rate.number for rate in rates) / number,
        number=number,
        beside_s=sum(rate.beside_s * rate.number for rate in rates) / number,
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A path, and headers beside it."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


def in_turn(asked: Sequence[Asked]) -> str:
    """Return the script that asks for some paths over and over."""
    each = (
        f'{{"{one.path}", {{'
        + ", ".join(f'["{name}"] = "{value}"' for name, value in one.headers.items())
        + "}}"
        for one in asked
    )
    return _IN_TURN % ("{" + ",\n".join(each) + "}")


def measure(
    url: str,
    pids: Sequence[int],
    script: str,
    seconds: int,
    folder: Path,
    *,
    beside: Sequence[int] = (),
    warm: bool = True,
    connections: int = 16,
) -> Rate:
    """Return the rate at which the processes ``pids`` answer what a script asks for.

    ``beside`` are processes whose CPU is told apart. Raises AssertionError if an answer is none.
    """
    place = folder / "asked.lua"
    place.write_text(script)
    command = ["wrk", "-t1", f"-c{connections}", "-s", str(place)]
    if warm:
        subprocess.run([*command, "-d1", url], check=True, capture_output=True)
    before, before_beside = _all_cpu_s(pids), _all_cpu_s(beside)
    done = subprocess.run(
        [*command, f"-d{seconds}", url], check=True, capture_output=True, text=True
    ).stdout
    used_s, used_beside_s = _used_s(before), _used_s(before_beside)
    found = re.search(r"(\d+) requests in [^,]+, ([0-9.]+)([KMG]?)B read", done)
    assert found is not None, done
    assert "Non-2xx" not in done, done
    number, scale = int(found[1]), {"": 0, "K": 10, "M": 20, "G": 30}[found[3]]
    return Rate(
        answers=number / used_s,
        size_bytes=float(found[2]) * 2**scale / number,
        number=number,
        beside_s=used_beside_s / number,
    )


def _used_s(before: Mapping[int, float]) -> float:
    """Return what processes have used since, of those that still run."""
    return sum(used_s - before[pid] for pid, used_s in _all_cpu_s(list(before)).items())


def _all_cpu_s(pids: Sequence[int]) -> dict[int, float]:
    """Return the CPU of those processes that still run."""
    return {pid: cpu_s(pid) for pid in pids if Path(f"/proc/{pid}/stat").exists()}


def cpu_s(pid: int) -> float:
    """Return the CPU that a process has used, user and system."""
    # The clock of another process, as clock_getcpuclockid (POSIX) names it on Linux.
    return time.clock_gettime(~pid << 3 | 2)
