"""Downloads while keys rotate, and while a plant is killed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue.errors import ContentKeyLost
from lathe.client import play_kept
from tests.audio.pressings import make_wav
from tests.audio_tools import decode
from tests.e2e.servers import LATHE, Plant, QuickPlant, wait_until
from tests.e2e.test_offline import Label, Person, now, play


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Label]:
    """A plant of its own, which may be stopped and killed."""
    with QuickPlant(tmp_path / "own") as plant:
        found = Label(plant, tmp_path)
        with found.clients:
            yield found


def start_again(plant: Plant) -> None:
    plant.stop()
    plant.start()


def test_keys_rotate_and_what_was_given_opens_still(small: Label, tmp_path: Path) -> None:
    ada = Person(small, "ada@example.org", tmp_path / "device")
    ada.keep(track_id=small.one, codec="flac")
    stored = {name: data for name, (_, data) in small.plant.objects().items()}
    for name in ("content-keys", "licence-keys"):
        ring = small.plant.state / name
        new = small.plant.run("keys", "make").strip()
        ring.write_text(f"{new}\n{ring.read_text('utf-8')}")
    start_again(small.plant)
    ada.sign_in()
    # A licence that the older key signed opens as long as it lasts.
    assert play(ada.shelf, small.one) == decode(small.master)
    said = small.plant.run("keys", "rotate")
    assert said.startswith("1 content keys are wrapped with ")
    assert small.plant.run("keys", "rotate").startswith("0 content keys")
    ring = small.plant.state / "content-keys"
    ring.write_text(ring.read_text("utf-8").splitlines()[0])
    start_again(small.plant)
    ada.sign_in()
    ada.keeper.renew(ada.shelf)
    assert play(ada.shelf, small.one) == decode(small.master)
    assert stored == {name: data for name, (_, data) in small.plant.objects().items()}


def test_a_ring_one_key_short_is_told_of_and_gives_nothing(small: Label, tmp_path: Path) -> None:
    ada = Person(small, "ada@example.org", tmp_path / "device")
    ada.keep(track_id=small.one, codec="flac")
    (small.plant.state / "content-keys").write_text(small.plant.run("keys", "make"))
    start_again(small.plant)
    ada.sign_in()
    with pytest.raises(ContentKeyLost):
        ada.keeper.renew(ada.shelf)
    assert play(ada.shelf, small.one) == decode(small.master)


def test_a_ring_that_others_may_read_is_refused(small: Label) -> None:
    small.plant.stop()
    (small.plant.state / "content-keys").chmod(0o644)
    found = subprocess.run(
        [LATHE, "serve"],
        env={"PATH": os.environ["PATH"], **small.plant.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 1
    assert "give it mode 0600" in found.stderr
    (small.plant.state / "content-keys").chmod(0o600)
    small.plant.start()


def test_a_killed_plant_seals_on_when_it_is_back(small: Label, tmp_path: Path) -> None:
    long = make_wav(tmp_path / "long.wav", samples=600 * 44_100)
    track_id = small.deliver("long", long, isrc="ZZTST2600009")
    ada = Person(small, "ada@example.org", tmp_path / "device")
    taken = ada.keeper.take(ada.shelf, track_id=track_id, codec="flac")
    small.plant.kill()
    small.plant.start()
    ada.sign_in()
    wait_until(lambda: ada.keeper.download(taken["id"])["ready"], "a sealed download")
    ada.keeper.fetch(ada.shelf, taken["id"])
    ada.keeper.renew(ada.shelf)
    path = tmp_path / "played.wav"
    assert play_kept(ada.shelf, track_id, path, now=now()) == 600 * 44_100
    assert decode(path) == decode(long)
