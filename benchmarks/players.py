"""Hundreds of players at one origin: how soon they start, and whether any of them ever waits.

Their clocks run faster than the music, so that the origin's core is about half loaded.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks.wrk import cpu_s
from tests.audio.pressings import make_wav
from tests.e2e.servers import Plant, accepted, deliver, wait_for_job
from tests.simulator import simulate

_ACCOUNTS = 20
_LENGTHS_S = (60, 90, 120)


def main() -> None:
    """Start an origin, let players listen, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--speed", type=float, default=5.0, help="of their clocks")
    said = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        Plant(Path(name) / "state", TERRITORY="US", GUESTS="") as plant,
    ):
        tracks = _publish(plant, Path(name))
        tokens = []
        plant.make_account("ada@example.org", "--plan", "premium")
        for _ in range(_ACCOUNTS):
            with plant.signed_in("ada@example.org") as ada:
                tokens.append(ada.headers["Authorization"].removeprefix("Bearer "))
        before_s = cpu_s(plant.pid)
        seen = uvloop.run(
            simulate(
                [plant.url],
                tokens,
                tracks,
                players=said.players,
                seconds=said.seconds,
                speed=said.speed,
            )
        )
        used = (cpu_s(plant.pid) - before_s) / said.seconds
    print(f"{said.players} players at {said.speed:g} times real time for {said.seconds:g} s")
    print(f"  origin's core                 {used:.0%} busy")
    print(f"  starts (manifest and chunk)   {_spread(seen.starts_s)}")
    print(f"  seeks                         {_spread(seen.seeks_s)}")
    print(f"  chunks                        {seen.chunks:,}, {seen.size_bytes >> 20:,} MiB")
    print(f"  tracks fetched ahead          {seen.gapless:,}")
    print(f"  tier switches                 {seen.switches:,}")
    print(f"  underruns                     {seen.underruns}")
    print(f"  wrong answers                 {len(seen.wrong)}")


def _publish(plant: Plant, folder: Path) -> list[str]:
    masters = [make_wav(folder / f"{each}.wav", samples=each * 44_100) for each in _LENGTHS_S]
    with plant.client() as label:
        jobs = [
            accepted(deliver(label, master, isrc=f"ZZTST26{number:05}"))
            for number, master in enumerate(masters)
        ]
        return [str(wait_for_job(label, job)["track_id"]) for job in jobs]


def _spread(times_s: Sequence[float]) -> str:
    ordered = sorted(times_s)
    if not ordered:
        return "none"
    at = {share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95)}
    return (
        f"{len(ordered):,}: median {at[0.5] * 1000:.1f} ms, p95 {at[0.95] * 1000:.1f} ms, "
        f"longest {ordered[-1] * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()
