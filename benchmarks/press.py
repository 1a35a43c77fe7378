"""``make bench``: what a press costs, beside the floor, in one run.

The floor is one plain ffmpeg per master: one decode, the same encoders, whole files. What lathe
adds is its start, the master's hash, the hashing of its PCM, cutting, storing and describing.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.floor import build_floor
from benchmarks.masters import list_fixtures, make_long_master
from benchmarks.measure import Cost, run, run_lathe, total
from pipeline.tiers import read_ladder

_ROW = "{:34} {:>9} {:>9} {:>7} {:>9} {:>9} {:>8}"


def main() -> None:
    """Press the fixtures, and two masters of four minutes, and print the ratios."""
    print(_ROW.format("", "floor CPU", "lathe CPU", "ratio", "floor s", "lathe s", "own MB"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _compare("the fixtures, in one command", list_fixtures(), folder)
        for fixture, name in (("prelude.flac", "44.1 kHz, 16"), ("prelude-96.flac", "96 kHz, 24")):
            _compare(f"4 minutes at {name} bit", [make_long_master(folder, fixture, 240)], folder)


def _compare(title: str, masters: Sequence[Path], folder: Path) -> None:
    tiers = read_ladder()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        floors = [build_floor(master, tiers, Path(out)) for master in masters]
        floor = total(run(command) for command in floors)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        ours = run_lathe(["transcode", *masters, "--out", out])
    _print(title, floor, ours)


def _print(title: str, floor: Cost, ours: Cost) -> None:
    print(
        _ROW.format(
            title,
            f"{floor.cpu_s:.2f}",
            f"{ours.cpu_s:.2f}",
            f"{ours.cpu_s / floor.cpu_s:.3f}",
            f"{floor.wall_s:.2f}",
            f"{ours.wall_s:.2f}",
            f"{ours.own_memory_bytes / 1e6:.0f}",
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
