"""``make bench``: what a press costs, beside the floor and beside others, in one run.

The floor is one plain ffmpeg per master: one decode, the same encoders, whole files. What lathe
adds is its start, the master's hash, the hashing of its PCM, cutting, storing and describing.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.floor import build_floor
from benchmarks.masters import list_fixtures, make_long_master
from benchmarks.measure import Cost, run, run_lathe, total
from benchmarks.script import build_script
from benchmarks.streamer import build_streamer, install_streamer
from lathe.machine import count_cores
from pipeline.tiers import choose_tiers, read_ladder

_ROW = "{:46} {:>8} {:>8} {:>8} {:>9} {:>7}"
_SONG_S = 240
_ROUNDS = 3
_STREAMER_TIERS = ("aac-128", "aac-256")
_MEMORY_TIERS = ("ogg-24", "flac")


def main() -> None:
    """Press the fixtures and longer masters, and print what each way costs."""
    print(f"{count_cores()} cores\n")
    print(_ROW.format("", "CPU s", "ratio", "wall s", "wall/CPU", "own MB"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cd = make_long_master(folder, "prelude.flac", _SONG_S)
        hires = make_long_master(folder, "prelude-96.flac", _SONG_S)
        _beside_the_floor("the fixtures", list_fixtures(), folder, rounds=1)
        _beside_the_floor("4 minutes at 44.1 kHz, 16 bit, all tiers", [cd], folder)
        _beside_the_floor("4 minutes at 96 kHz, 24 bit, all tiers", [hires], folder)
        _beside_a_script(cd, folder)
        _beside_the_streamer(cd, folder)
        _by_length(folder)


def _beside_the_floor(
    title: str, masters: Sequence[Path], folder: Path, *, rounds: int = _ROUNDS
) -> None:
    """Take turns, and let the least cost of each count: what else the machine does only adds."""
    tiers = read_ladder()
    floors, ours = [], []
    for _ in range(rounds):
        with _fresh(folder) as out:
            floors.append(total(run(build_floor(master, tiers, out)) for master in masters))
        with _fresh(folder) as out:
            ours.append(run_lathe(["transcode", *masters, "--out", out]))
    floor, least = (min(costs, key=lambda cost: cost.cpu_s) for costs in (floors, ours))
    _print(f"{title}: the floor", floor, floor)
    _print(f"{title}: lathe", least, floor)


def _beside_a_script(master: Path, folder: Path) -> None:
    with _fresh(folder) as out:
        script = total(map(run, build_script(master, read_ladder(), out, _SONG_S)))
    with _fresh(folder) as out:
        ours = run_lathe(["transcode", master, "--out", out])
    _print("an ffmpeg per tier and per chunk: a script", script, script)
    _print("an ffmpeg per tier and per chunk: lathe", ours, script)


def _beside_the_streamer(master: Path, folder: Path) -> None:
    tools = install_streamer()
    tiers = choose_tiers(read_ladder(), _STREAMER_TIERS)
    with _fresh(folder) as out:
        streamer = run(build_streamer(master, out))
    with _fresh(folder) as out:
        chosen = ",".join(tier.name for tier in tiers)
        ours = run_lathe(["transcode", master, "--out", out, "--tiers", chosen], tools=tools)
    _print("AAC 128 and 256, its ffmpeg: Shaka Streamer", streamer, streamer)
    _print("AAC 128 and 256, its ffmpeg: lathe", ours, streamer)


def _by_length(folder: Path) -> None:
    for title, seconds in (("3 minutes", 180), ("3 hours", 3 * 3600)):
        master = make_long_master(folder, "prelude.flac", seconds)
        with _fresh(folder) as out:
            ours = run_lathe(
                ["transcode", master, "--out", out, "--tiers", ",".join(_MEMORY_TIERS)]
            )
        _print(f"{' and '.join(_MEMORY_TIERS)} of {title}: lathe", ours, ours)
        master.unlink()


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        yield Path(out)


def _print(title: str, cost: Cost, beside: Cost) -> None:
    own = f"{cost.own_memory_bytes / 1e6:.0f}" if cost.own_memory_bytes else ""
    figures = (f"{cost.cpu_s:.2f}", f"{cost.cpu_s / beside.cpu_s:.3f}", f"{cost.wall_s:.2f}")
    print(_ROW.format(title, *figures, f"{cost.wall_s / cost.cpu_s:.2f}", own), flush=True)


if __name__ == "__main__":
    main()
