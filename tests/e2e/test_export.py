"""Renditions as files of their own: every sample as it was, and tags that others read."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen.flac import Picture

from catalogue.nouns import Tags
from pipeline.tags import read_picture, read_tags
from tests.audio_tools import FIXTURES, decode, fact
from tests.e2e.command_line import lathe
from tests.e2e.servers import Listener, QuickPlant, accepted, deliver, wait_for_job

PRELUDE = fact("prelude.flac")


def probe(path: Path) -> dict[str, str]:
    """Return the tags that ffprobe reads."""
    told = subprocess.check_output(
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", path]
    )
    found: dict[str, Any] = json.loads(told)
    tags = found["format"].get("tags", {}) | found["streams"][0].get("tags", {})
    return {name.lower(): text for name, text in tags.items()}


@pytest.fixture(scope="module")
def pressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pressed")
    assert lathe("transcode", PRELUDE.path, "--out", out).returncode == 0
    [folder] = out.iterdir()
    return folder


def test_every_tier_is_a_file_with_the_tags_of_its_master(pressed: Path, tmp_path: Path) -> None:
    done = lathe("export", pressed, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    files = [Path(json.loads(line)["file"]) for line in done.stdout.splitlines()]
    manifest = json.loads((pressed / "manifest.json").read_text("utf-8"))
    assert len(files) == len(manifest["renditions"]) == 8
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    ours = read_tags(PRELUDE.path)
    for rendition, file in zip(manifest["renditions"], files, strict=True):
        assert file.name.split(".")[-2] == rendition["tier"]
        joined = b"".join(
            (pressed / rendition["base_url"] / named["name"]).read_bytes()
            for named in (rendition["init"], *rendition["chunks"])
        )
        said = read_tags(file)
        assert said == Tags(
            **{name: getattr(ours, name) for name in ("title", "artist", "album", "isrc")},
            **{name: getattr(ours, name) for name in ("date", "track_number", "genre")},
        )
        told = probe(file)
        assert (told["title"], told["artist"]) == (ours.title, ours.artist)
        # ffmpeg leaves the priming out by what the file says of it: every sample is the same.
        assert decode(file, "s24le") == decode(joined, "s24le"), rendition["tier"]


def test_a_track_has_the_tags_of_its_label_and_its_cover(tmp_path: Path) -> None:
    with QuickPlant(tmp_path / "state") as plant, plant.client() as label:
        said = deliver(
            label,
            PRELUDE.path,
            title="Präludium",
            artist="Ein Label",
            isrc="ZZTST2630001",
            album={"upc": "0123456789012", "title": "Songs", "disc": 1, "number": 3},
        )
        job = wait_for_job(label, accepted(said))
        track_id = job["track_id"]
        out = tmp_path / "out"
        files = [Path(each) for each in plant.run("export", track_id, "--out", str(out)).split()]
        assert [file.name for file in files] == ["Präludium.ogg-24.ogg", "Präludium.flac.m4a"]
        listener = Listener(label, track_id)
        for file in files:
            told = read_tags(file)
            assert (told.title, told.artist, told.album) == ("Präludium", "Ein Label", "Songs")
            assert (told.isrc, told.track_number) == ("ZZTST2630001", "3")
            # What the label did not say, the master did.
            assert told.genre == "Classical"
            cover = read_picture(file) if file.suffix == ".m4a" else ogg_cover(file)
            sleeve = label.get(f"/v1/tracks/{track_id}/sleeve").json()
            largest = sleeve["artwork"][-1]["url"]
            shown = label.get(largest.replace("../../..", ""))
            assert cover == shown.content
            rendition = listener.rendition(file.name.split(".")[-2])
            assert decode(file) == decode(listener.joined(rendition))
        pcm = decode(files[1], "s16le")
        assert hashlib.sha256(pcm).hexdigest() == PRELUDE.pcm_sha256


def ogg_cover(path: Path) -> bytes:
    file: Any = mutagen.File(path)
    picture: Any = Picture
    data: bytes = picture(base64.b64decode(file["metadata_block_picture"][0])).data
    return data


def test_what_cannot_be_exported_is_told_and_the_rest_is(pressed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = lathe("export", tmp_path, pressed, "--out", out, "--tiers", "aac-128")
    assert done.returncode == 1
    assert "pressed-folder-unreadable" in done.stderr
    [file] = out.iterdir()
    assert done.stdout == f"{file}\n"
    unknown = lathe("export", pressed, "--out", out, "--tiers", "aac-999")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "tier-unknown" in unknown.stderr
    (tmp_path / "file").write_bytes(b"")
    full = lathe("export", pressed, "--out", tmp_path / "file" / "out")
    assert full.returncode == 1
    assert "output-not-writable" in full.stderr
    damaged = next((pressed / "renditions").glob("aac-128-*/00001.m4s"))
    kept = damaged.read_bytes()
    try:
        for code in ("object-damaged", "pressed-folder-unreadable"):
            damaged.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
            if code != "object-damaged":
                damaged.unlink()
            refused = lathe("export", pressed, "--out", out, "--tiers", "aac-128")
            assert refused.returncode == 1
            assert f": {code}: " in refused.stderr
            assert [each.name for each in out.iterdir()] == [file.name], "no draft is left"
    finally:
        damaged.write_bytes(kept)


def test_names_and_tags_of_strangers_stay_inside(tmp_path: Path) -> None:
    with QuickPlant(tmp_path / "state") as plant, plant.client() as label:
        said = deliver(label, FIXTURES / "tiny.wav", title="../../../etc/passwd\t\x7f", artist="A")
        job = wait_for_job(label, accepted(said))
        out = tmp_path / "out"
        plant.run("export", job["track_id"], "--out", str(out), "--tiers", "flac")
        assert [each.parent for each in out.iterdir()] == [out]
        [file] = out.iterdir()
        assert "/" not in file.name and not file.name.startswith(".")
