"""What goes with a track, as players and labels get it from a plant that runs."""

import io
import json
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree

import httpx
import pytest
from PIL import Image

from tests.audio_tools import BROKEN, FIXTURES, decode, fact
from tests.e2e.servers import QuickPlant, accepted, deliver, get_job, wait_for_job

PRELUDE = fact("prelude.flac")
PREVIEW_S = 17.6


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickPlant]:
    with QuickPlant(tmp_path_factory.mktemp("sleeves") / "state") as plant:
        yield plant


@pytest.fixture(scope="module")
def label(plant: QuickPlant) -> Iterator[httpx.Client]:
    with plant.client() as label:
        yield label


@pytest.fixture(scope="module")
def job(label: httpx.Client) -> dict[str, Any]:
    """The job of a published track that is licensed in the US and nowhere else."""
    said = deliver(label, PRELUDE.path, isrc="ZZTST2620001", territories=["US"])
    job = wait_for_job(label, accepted(said))
    assert job["state"] == "done", job
    return job


def sleeve_of(client: httpx.Client, track_id: str) -> dict[str, Any]:
    answer = client.get(f"/v1/tracks/{track_id}/sleeve")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def fetch(client: httpx.Client, of: str, url: str, **headers: str) -> httpx.Response:
    """Return what is behind a signed URL, for somebody who is not signed in."""
    whole = urljoin(f"{client.base_url}{of}", url)
    answer = httpx.get(whole, headers=headers)
    assert answer.status_code in (200, 206), answer.text
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    return answer


def test_a_track_has_a_cover_a_waveform_and_a_preview(
    plant: QuickPlant, job: dict[str, Any]
) -> None:
    track = f"/v1/tracks/{job['track_id']}/sleeve"
    with plant.client(key="") as guest:
        sleeve = sleeve_of(guest, job["track_id"])
        assert [(each["width"], each["height"]) for each in sleeve["artwork"]] == [
            (64, 64),
            (300, 300),
        ]
        for shown in sleeve["artwork"]:
            answer = fetch(guest, track, shown["url"])
            assert answer.headers["content-type"] == "image/jpeg"
            with Image.open(io.BytesIO(answer.content)) as picture:
                assert (picture.format, picture.width) == ("JPEG", shown["width"])
        data = fetch(guest, track, sleeve["waveform"]["dat"])
        assert data.headers["content-type"] == "application/octet-stream"
        version, short, rate_hz, samples, bins, channels = struct.unpack(
            "<iIiiIi", data.content[:24]
        )
        assert (version, short, rate_hz, channels) == (2, 1, 44_100, 2)
        assert bins == -(-PRELUDE.samples // samples)
        assert len(data.content) == 24 + bins * channels * 2
        told = fetch(guest, track, sleeve["waveform"]["json"])
        assert told.headers["content-type"] == "application/json"
        assert (told.json()["length"], told.json()["samples_per_pixel"]) == (bins, samples)
        preview = sleeve["preview"]
        assert preview["length_s"] == PREVIEW_S
        assert 0 <= preview["start_s"] <= PRELUDE.samples / 44_100 - PREVIEW_S
        sound = fetch(guest, track, preview["url"])
        assert sound.headers["content-type"] == "audio/mp4"
        pcm = decode(sound.content)
        assert 0 <= len(pcm) // 4 - round(PREVIEW_S * 44_100) < 1024
        part = fetch(guest, track, preview["url"], range="bytes=100-199")
        assert (part.status_code, part.content) == (206, sound.content[100:200])


def test_signed_urls_of_a_sleeve_open_nothing_else(plant: QuickPlant, job: dict[str, Any]) -> None:
    with plant.client(key="") as guest:
        sleeve = sleeve_of(guest, job["track_id"])
        url = urljoin(f"{guest.base_url}/v1/tracks/x/sleeve", sleeve["preview"]["url"])
        prefix, _, name = url.rpartition("/")
        head, _, own = prefix.rpartition("/")
        manifest = guest.get(f"/v1/tracks/{job['track_id']}/manifest").json()
        rendition = manifest["renditions"][0]["base_url"].rstrip("/").rpartition("/")[2]
        refused = {
            f"{head}/{rendition}/init.mp4": 403,
            f"{head}/{own[:-1]}{'0' if own[-1] != '0' else '1'}/{name}": 403,
            f"{prefix}/playlist.m3u8": 404,
            f"{prefix}/cover-1200.jpg": 404,
            f"{prefix}/..%2f{name}": 404,
        }
        for other, status in refused.items():
            assert httpx.get(other).status_code == status, other


def test_only_who_might_hear_a_track_hears_its_preview(
    plant: QuickPlant, label: httpx.Client, job: dict[str, Any]
) -> None:
    plant.make_account("abroad@example.org", "--plan", "premium", "--territory", "DE")
    plant.make_account("poor@example.org", "--plan", "free", "--territory", "US")
    with (
        plant.signed_in("abroad@example.org") as abroad,
        plant.signed_in("poor@example.org") as poor,
    ):
        assert abroad.get(f"/v1/tracks/{job['track_id']}/manifest").status_code == 451
        sleeve = sleeve_of(abroad, job["track_id"])
        assert sleeve["preview"] is None
        assert sleeve["artwork"] and sleeve["waveform"]
        assert sleeve_of(poor, job["track_id"])["preview"]
        said = deliver(label, FIXTURES / "ode.wav", isrc="ZZTST2620002", territories=["US"])
        other = wait_for_job(label, accepted(said))
        assert label.put(f"/v1/tracks/{other['track_id']}/takedown").status_code == 204
        gone = poor.get(f"/v1/tracks/{other['track_id']}/sleeve")
        assert (gone.status_code, gone.json()["code"]) == (410, "track-taken-down")
        with plant.client(plant.make_key("Another Label")) as stranger:
            hidden = stranger.get(f"/v1/tracks/{job['track_id']}/sleeve")
            assert hidden.status_code == 403
        unknown = poor.get("/v1/tracks/trk_00000000000000000000000000/sleeve")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "track-not-found")


def test_a_label_sees_its_master_drawn(label: httpx.Client, job: dict[str, Any]) -> None:
    of = f"/v1/jobs/{job['id']}/quality"
    drawings = label.get(of).json()["drawings"]
    for name in ("waveform", "loudness"):
        answer = fetch(label, of, drawings[name])
        assert answer.headers["content-type"] == "image/svg+xml"
        assert ElementTree.fromstring(answer.content).tag.endswith("svg")
    answer = fetch(label, of, drawings["spectrogram"])
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (picture.format, picture.height) == ("PNG", 512)


def test_a_track_that_is_not_there_yet_has_no_sleeve(label: httpx.Client) -> None:
    broken = accepted(deliver(label, BROKEN / "truncated.wav", isrc="ZZTST2620003"))
    wait_for_job(label, broken)
    answer = label.get(f"/v1/tracks/{get_job(label, broken)['track_id']}/sleeve")
    assert (answer.status_code, answer.json()["code"]) == (404, "track-not-ready")


def test_a_sleeve_is_needed_and_its_leftovers_are_not(
    plant: QuickPlant, label: httpx.Client, job: dict[str, Any]
) -> None:
    before = {name for name in plant.objects() if "/sleeve-" in name}
    assert len(before) >= 8
    orphan = plant.state / "store" / "renditions" / f"sleeve-{'0' * 32}" / "cover-64.jpg"
    orphan.parent.mkdir()
    orphan.write_bytes(b"nobody's")
    plant.run("gc")
    assert not orphan.exists()
    assert {name for name in plant.objects() if "/sleeve-" in name} == before
    assert json.loads(plant.objects()[sorted(n for n in before if n.endswith(".json"))[0]][1])
    assert sleeve_of(label, job["track_id"])["preview"]
