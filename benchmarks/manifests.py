"""What a manifest costs the origin: hot, and cold from PostgreSQL, in catalogues small and large.

The rows of a catalogue are copies of a few real tracks of three and a half minutes, ten to an
album, each with two rights. The manifests that are asked for cold are none that the origin knows;
those that were never asked for are none that the catalogue has a card of.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.wrk import Asked, Rate, in_turn, measure
from catalogue.database.engine import open_engine
from catalogue.database.tracks import SqlTracks
from catalogue.nouns import TrackId
from manifests.json import render_face
from manifests.manifest import VERSION
from tests.audio.pressings import make_wav
from tests.e2e.servers import Plant, accepted, children_of, deliver, wait_for_job
from tests.engines import PostgresServer

_SAMPLES = 210 * 44_100
_HOT = 64
_BATCH = 500
_COLD = """
local turn, last = %d, %d
request = function()
  turn = turn + 1
  if turn >= last then wrk.thread:stop() end
  return wrk.format("GET", string.format("/v1/tracks/trk_%%s%%08d/manifest%s", "%s", turn),
    {["Authorization"] = "Bearer %s"})
end
"""
_ROWS = [
    """INSERT INTO albums (id, label, upc, title)
       SELECT 'alb_{mark}' || lpad(n::text, 8, '0'), 'bench', '{mark}' || lpad(n::text, 9, '0'), 'A'
       FROM generate_series({first} / 10, {last} / 10) n ON CONFLICT DO NOTHING""",
    """INSERT INTO tracks (id, label, isrc, title, artist, updated_at, album_id, disc, number)
       SELECT 'trk_{mark}' || lpad(n::text, 8, '0'), 'bench', '{mark}' || lpad(n::text, 8, '0'),
              'Title ' || n, 'Artist ' || n / 100, updated_at,
              'alb_{mark}' || lpad((n / 10)::text, 8, '0'), 1, n %% 10 + 1
       FROM tracks, generate_series({first}, {last}) n WHERE id = %(track)s""",
    """INSERT INTO rights (track_id, territory, windows)
       SELECT 'trk_{mark}' || lpad(n::text, 8, '0'), territory, NULL
       FROM generate_series({first}, {last}) n, unnest(ARRAY['US', 'FR']) territory""",
    """INSERT INTO track_renditions (track_id, rendition_id, place)
       SELECT 'trk_{mark}' || lpad(n::text, 8, '0'), rendition_id, place
       FROM track_renditions, generate_series({first}, {last}) n WHERE track_id = %(track)s""",
]


def main() -> None:
    """Start a plant, fill its catalogue, ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=60_000, help="of the larger catalogue")
    parser.add_argument("--seconds", type=int, default=4, help="for each kind of request")
    parser.add_argument("--requests", type=int, default=100_000, help="after which memory is told")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _plant(Path(name)) as (plant, database, server):
        folder = Path(name)
        with plant.client() as label:
            master = make_wav(folder / "master.wav", samples=_SAMPLES)
            track_id = wait_for_job(label, accepted(deliver(label, master)))["track_id"]
        plant.make_account("ada@example.org", "--plan", "premium", "--territory", "US")
        with plant.signed_in("ada@example.org") as ada:
            token = ada.headers["Authorization"].removeprefix("Bearer ")
            ada.get(f"/v1/tracks/{track_id}/manifest").raise_for_status()
        for number, tracks in enumerate((1000, said.tracks)):
            mark = "ab"[number]
            _fill(database, track_id, mark, tracks)
            for query in ("?codecs=aac", ""):
                words = query or "every tier"
                hot = _ask_hot(plant, token, mark, query, said.seconds, folder)
                print(f"{tracks:>9,} tracks, {f'hot,  {words}':<17} {hot}")
        third = said.tracks // 3
        _make_cards(database, 2 * third)
        for words, query, first in (
            ("cold, ?codecs=aac", "?codecs=aac", 0),
            ("cold, every tier", "", third),
            ("never asked for", "?codecs=aac", 2 * third),
        ):
            # One that is asked for again is known.
            script = _COLD % (first, first + third - _BATCH, query, "b", token)
            pids = children_of(server.pid)
            cold = measure(
                plant.url, [plant.pid], script, said.seconds, folder, beside=pids, warm=False
            )
            print(
                f"{said.tracks:>9,} tracks, {words:<17} {cold}, "
                f"and {cold.beside_s * 1e6:.0f} µs of PostgreSQL's own"
            )
        _tell_memory(plant, token, said, folder)


def _ask_hot(plant: Plant, token: str, mark: str, query: str, seconds: int, folder: Path) -> Rate:
    asked = [
        Asked(
            path=f"/v1/tracks/trk_{mark}{place:08d}/manifest{query}",
            headers={"Authorization": f"Bearer {token}"},
        )
        for place in range(_HOT)
    ]
    return measure(plant.url, [plant.pid], in_turn(asked), seconds, folder)


def _tell_memory(plant: Plant, token: str, said: argparse.Namespace, folder: Path) -> None:
    """Ask for tracks at random, and print how much memory the origin has had."""
    chosen = random.Random(1).sample(range(said.tracks), min(2000, said.tracks))
    asked = [
        Asked(
            path=f"/v1/tracks/trk_b{place:08d}/manifest",
            headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"},
        )
        for place in chosen
    ]
    done, step = 0, said.requests // 10
    while done < said.requests:
        goal = done + step
        while done < goal:
            done += measure(plant.url, [plant.pid], in_turn(asked), 2, folder, warm=False).number
        print(f"{done:>9,} requests: {_memory_mib(plant.pid):.0f} MiB")


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def _plant(folder: Path) -> Iterator[tuple[Plant, str, PostgresServer]]:
    folder.chmod(0o755)
    with PostgresServer(folder) as server:
        database = server.make_database("bench")
        with Plant(folder / "state", CATALOGUE=database, GUESTS="", TERRITORY="US") as plant:
            yield plant, database, server


def _fill(database: str, track_id: str, mark: str, last: int) -> None:
    """Copy a track until there are so many."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in _ROWS:
            text = statement.format(mark=mark, first=0, last=last)
            connection.execute(text.encode(), {"track": track_id})
        connection.execute("VACUUM ANALYZE")


def _make_cards(database: str, last: int) -> None:
    """Let the catalogue have what manifests need, as if each track had been asked for before."""
    engine = open_engine(database)
    for first in range(0, last, _BATCH):
        ids = [TrackId(f"trk_b{place:08d}") for place in range(first, first + _BATCH)]
        SqlTracks(engine).briefs(ids, version=VERSION, render=render_face)
    engine.dispose()
    # What the server does by itself within a minute.
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
