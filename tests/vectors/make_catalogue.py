"""Fills a SQLite catalogue as a plant does that is killed at work, and prints its rows as SQL.

    python -m tests.vectors.make_catalogue > tests/vectors/catalogue-NNNN.sql

To be run before a migration is added, so that there is a vector of the revision before it. The
files are append-only: what an older version wrote must be read for ever.
"""

import re
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import httpx

from catalogue.offline import DeviceKind
from lathe.client import Keeper
from tests.audio.pressings import make_wav
from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import Plant, accepted, deliver, wait_for_job, wait_until

_HOST = re.compile(r"'[^':]+:[0-9]+'")
_TRUTH = re.compile(r"([01])\);$")
_TRUTH_COMES_LAST = ("jobs", "deliveries", "masters")
_NOT_WRITTEN = ("alembic_version", "sqlite_sequence", "condemned")


def main() -> None:
    """Print the rows, the tables that others refer to first."""
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        with Plant(state, TERRITORY="US") as plant, plant.client() as label:
            done = accepted(
                deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2600001", territories=["US", "CA"])
            )
            wait_for_job(label, done)
            failed = accepted(
                deliver(
                    label, BROKEN / "truncated.wav", isrc="ZZTST2600002", territories=["US", "CA"]
                )
            )
            wait_for_job(label, failed)
            known = accepted(
                deliver(
                    label,
                    FIXTURES / "canon-1.flac",
                    isrc="ZZTST2600004",
                    territories=["US", "CA"],
                    album={"upc": "0123456789012", "title": "Songs", "disc": 1, "number": 2},
                )
            )
            wait_for_job(label, known)
            plant.make_account("ada@example.org", "--plan", "premium", "--territory", "US")
            with plant.signed_in("ada@example.org") as ada:
                lease = ada.post("/v1/playback/lease", json={})
                assert lease.status_code == 200, lease.text
                # What manifests say is written when one is first asked for.
                (track,) = ada.get("/v1/tracks").json()["tracks"][:1]
                ada.get(f"/v1/tracks/{track['id']}/manifest").raise_for_status()
                _keep(ada, Path(name) / "device", track["id"])
            plant.run("labels", "policy", "test", "--sealed-for", "device")
            plant.run("jobs", "drain", "--queue", "bulk")
            long = make_wav(Path(name) / "long.wav", samples=120 * 44_100)
            running = accepted(deliver(label, long, isrc="ZZTST2600003", territories=["US", "CA"]))
            wait_for_job(label, running, lambda job: job["stage"] == "press")
            plant.kill()
        for line in _rows(state / "catalogue.sqlite3"):
            sys.stdout.write(f"{line}\n")


def _keep(http: httpx.Client, folder: Path, track_id: str) -> None:
    """Take a track onto a new device, and leave a challenge that nobody answers."""
    keeper = Keeper(http, lambda: datetime.now(UTC))
    shelf = keeper.register(folder, "passphrase", name="a computer", kind=DeviceKind.COMPUTER)
    taken = keeper.take(shelf, track_id=track_id)
    wait_until(lambda: keeper.download(taken["id"])["ready"], "a sealed download")
    keeper.renew(shelf)
    http.post("/v1/devices/challenges", json={}).raise_for_status()


def _rows(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = [line for line in connection.iterdump() if line.startswith("INSERT INTO")]
        order = _order(connection)
    named = [(_table(line), _plain(line)) for line in lines]
    kept = [(table, line) for table, line in named if table not in _NOT_WRITTEN]
    return [line for _, line in sorted(kept, key=lambda each: order.index(each[0]))]


def _plain(line: str) -> str:
    """Return a row as every database reads it: SQLite writes truths as numbers."""
    line = _HOST.sub("'machine:1'", line)
    if _table(line) in _TRUTH_COMES_LAST:
        line = _TRUTH.sub(lambda found: ("FALSE", "TRUE")[int(found[1])] + ");", line)
    return line


def _table(line: str) -> str:
    return line.split('"')[1]


def _order(connection: sqlite3.Connection) -> list[str]:
    """Return the tables, each after those that it refers to."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    refers = {
        name: {row[2] for row in connection.execute(f'PRAGMA foreign_key_list("{name}")')}
        for name in names
    }
    found: list[str] = []
    while len(found) < len(names):
        found += [name for name in names if name not in found and refers[name] <= {*found, name}]
    return found


if __name__ == "__main__":
    main()
