"""What was heard in a master, as players and programs ask for it."""

import json
import subprocess
from pathlib import Path

import pytest

from catalogue.errors import TrackNotFound
from tests.audio_tools import FIXTURES
from tests.e2e.servers import LATHE, Plant, accepted, deliver, wait_for_job
from tests.e2e.test_problems import require_problem


def test_a_published_track_tells_what_was_heard_in_it(tmp_path: Path) -> None:
    with Plant(tmp_path / "state", TERRITORY="US") as plant, plant.client() as client:
        sent = accepted(deliver(client, FIXTURES / "canon-1.flac"))
        track_id = wait_for_job(client, sent)["track_id"]
        answer = client.get(f"/v1/tracks/{track_id}/features")
        require_problem(client.get("/v1/tracks/trk_none/features"), TrackNotFound)
    assert answer.status_code == 200
    command = [LATHE, "features", "--json", str(FIXTURES / "canon-1.flac")]
    told = json.loads(subprocess.check_output(command, timeout=60))
    del told["file"], told["vector"]
    heard = answer.json()
    assert set(heard) == set(told)
    assert (heard["key"], heard["mode"], heard["recipe"]) == ("D", "major", told["recipe"])
    for name in ("tempo_bpm", "energy", "valence", "danceability", "acousticness"):
        assert heard[name] == pytest.approx(told[name], abs=0.002), name
    assert len(heard["beats_s"]) == pytest.approx(len(told["beats_s"]), abs=1)
