"""``make bench-similar``: how long it takes to find what is nearest among very many tracks.

The rows are synthetic, written as an atlas writes them; every search looks at all of them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import insert
from threadpoolctl import threadpool_limits

from catalogue.database.engine import open_engine, upgrade, writing
from catalogue.database.schema import features, masters
from catalogue.database.tracks import SqlTracks
from catalogue.nouns import Features, Measure
from origin.atlas import KEY, WIDTHS, FileAtlas
from tests.contract.examples import FEATURES, sha256_of

_QUERIES, _COUNT, _TAKEN_IN = 200, 101, 5000
_BLOCK = 100_000


def main() -> None:
    """Write rows, search, and print."""
    parser = argparse.ArgumentParser(description="Times the search for similar tracks.")
    parser.add_argument("--tracks", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        folder = Path(name)
        engine = open_engine(f"sqlite:///{folder / 'catalogue.sqlite3'}")
        upgrade(engine)
        dice = np.random.default_rng(1)
        atlas = FileAtlas(folder, FEATURES.recipe, SqlTracks(engine))
        heard = [_hear(dice) for _ in range(_QUERIES)]
        with writing(engine) as connection:
            # They are older than all that is written below, so that they are taken in first.
            for number in range(_TAKEN_IN):
                sha256, at = sha256_of(str(number)), datetime.now(UTC) - timedelta(days=1)
                row = {"sha256": sha256, "facts": {}, "samples": 1, "pcm_sha256": sha256}
                connection.execute(insert(masters).values(**row, created_at=at))
                said = {"heard": asdict(heard[number % _QUERIES]), "recipe": FEATURES.recipe}
                connection.execute(
                    insert(features).values(master_sha256=sha256, created_at=at, **said)
                )
        took_s = _time(lambda: atlas.nearest(heard[0], by=Measure.SCORES, count=1))
        print(f"taken in from the catalogue: {_TAKEN_IN / took_s:,.0f} tracks a second")
        _fill(folder / FEATURES.recipe, options.tracks, dice)
        atlas = FileAtlas(folder, FEATURES.recipe, SqlTracks(engine))
        opened_s = _time(lambda: atlas.nearest(heard[0], by=Measure.SCORES, count=1))
        print(f"{options.tracks:,} tracks on one core, opened in {opened_s:.1f} s")
        for measure in Measure:
            times = [_time(_ask(atlas, one, measure)) * 1000 for one in heard]
            ordered = sorted(times)
            p95 = ordered[round(0.95 * (_QUERIES - 1))]
            median = statistics.median(times)
            print(f"  nearest {_COUNT} by {measure:7} median {median:5.1f} ms, p95 {p95:5.1f} ms")
        engine.dispose()


def _hear(dice: np.random.Generator) -> Features:
    return replace(
        FEATURES,
        tempo_bpm=float(dice.uniform(60, 180)),
        energy=float(dice.random()),
        valence=float(dice.random()),
        danceability=float(dice.random()),
        vector=tuple(dice.normal(0, 1, WIDTHS[Measure.VECTOR]).tolist()),
    )


def _ask(atlas: FileAtlas, heard: Features, measure: Measure) -> Callable[[], object]:
    return lambda: atlas.nearest(heard, by=measure, count=_COUNT)


def _fill(folder: Path, tracks: int, dice: np.random.Generator) -> None:
    """Add rows to the files of an atlas."""
    for start in range(0, tracks, _BLOCK):
        count = min(_BLOCK, tracks - start)
        for measure, width in WIDTHS.items():
            rows = dice.normal(0, 1, (count, width)).astype(np.float32)
            with open(folder / measure, "ab") as file:
                file.write(rows.tobytes())
        keys = np.zeros(count, KEY)
        keys["sha256"] = np.frombuffer(dice.bytes(32 * count), "S32")
        keys["heard_us"] = round(time.time() * 1e6)
        with open(folder / "keys", "ab") as file:
            file.write(keys.tobytes())


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
