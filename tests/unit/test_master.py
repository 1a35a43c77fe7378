import os
import subprocess
from pathlib import Path

import pytest

from catalogue.errors import (
    LatheError,
    MasterAmbiguous,
    MasterChannels,
    MasterHasVideo,
    MasterNotAFile,
    MasterTruncated,
)
from catalogue.nouns import Master, Sha256
from pipeline.master import hash_file, probe_master
from tests.audio.pressings import make_wav
from tests.audio_tools import Fact, fact, facts

LOSSLESS = [each for each in facts() if each.bits is not None]


def probe(path: Path) -> Master:
    return probe_master(path, Sha256("0" * 64))


def ffmpeg(*words: str | Path) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", *map(str, words)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("truth", LOSSLESS, ids=lambda truth: truth.file)
def test_a_master_is_what_it_was_made_as(truth: Fact) -> None:
    master = probe(truth.path)
    assert (master.rate_hz, master.bits, master.channels) == (
        truth.rate_hz,
        truth.bits,
        truth.channels,
    )
    assert master.declared_samples == truth.samples
    assert (master.lossy, master.size_bytes) == (False, truth.path.stat().st_size)
    assert (master.audio_md5 is not None) == (truth.format == "flac")


def test_a_lossy_master_is_marked() -> None:
    master = probe(fact("lossy.mp3").path)
    assert (master.lossy, master.codec, master.bits, master.declared_samples) == (
        True,
        "mp3",
        None,
        None,
    )


@pytest.mark.parametrize("file", ["prelude.flac", "gymnopedie.m4a"])
def test_tags_and_cover_are_read_in_every_language(file: str) -> None:
    tags = probe(fact(file).path).tags
    assert tags.title and tags.artist and tags.album and tags.date and tags.track_number
    assert tags.artwork is not None
    assert tags.artwork.media_type == "image/jpeg"
    assert tags.artwork.size_bytes > 1000


def test_a_master_without_tags_has_none() -> None:
    assert probe(fact("ode-24.aiff").path).tags.title is None


@pytest.mark.parametrize("channels", [3, 6, 64])
def test_more_than_two_channels_are_refused(tmp_path: Path, channels: int) -> None:
    path = make_wav(tmp_path / "many.wav", samples=100, channels=channels)
    with pytest.raises(MasterChannels) as caught:
        probe(path)
    assert caught.value.measured == {"channels": channels}


def test_moving_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sound = ["-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000"]
    ffmpeg("-i", "color=size=64x64:duration=1", *sound, "-c:v", "mpeg4", "-c:a", "aac", path)
    with pytest.raises(MasterHasVideo):
        probe(path)


def test_two_sounds_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.m4a"
    sound = "sine=duration=1:sample_rate=48000"
    ffmpeg("-i", sound, "-f", "lavfi", "-i", sound, "-map", "0", "-map", "1", "-c:a", "alac", path)
    with pytest.raises(MasterAmbiguous) as caught:
        probe(path)
    assert caught.value.measured == {"streams": 2}


@pytest.mark.parametrize("samples", [1, 999])
def test_a_wav_that_was_cut_short_tells_by_how_much(tmp_path: Path, samples: int) -> None:
    path = make_wav(tmp_path / "short.wav", samples=1000)
    path.write_bytes(path.read_bytes()[: 44 + 4 * samples])
    with pytest.raises(MasterTruncated) as caught:
        probe(path)
    assert caught.value.measured == {"declared_samples": 1000, "present_samples": samples}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (tmp_path, tmp_path / "none", loop, Path("/dev/null")):
        with pytest.raises(MasterNotAFile):
            hash_file(path)


@pytest.mark.parametrize("name", ["-i.wav", "concat:x.wav", "a%03d.wav", "x\n.wav", "http:.wav"])
def test_a_name_is_never_an_option_a_pattern_or_a_protocol(tmp_path: Path, name: str) -> None:
    path = make_wav(tmp_path / name, samples=5)
    assert probe(path).declared_samples == 5


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"master", b"50%.flac", b"a'b;c.wav", b" .wav"])
def test_a_name_without_a_suffix_or_unicode_is_a_name(tmp_path: Path, name: bytes) -> None:
    path = make_wav(tmp_path / "x", samples=5).rename(tmp_path / os.fsdecode(name))
    assert probe(path).declared_samples == 5


@pytest.mark.parametrize(
    "name",
    [
        b"x.wav",
        b"secret/x.wav",
        b"caf\xe9.wav",
        b"secret \xe9/x.wav",
        b"line\nsecret/x.wav",
        b"secret" * 30 + b"/" + b"secret" * 30 + b"/x.wav",
    ],
    ids=["plain", "folder", "bytes", "bytes in the folder", "line break", "long"],
)
def test_an_error_never_tells_where_a_master_is_kept(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(LatheError) as caught:
        probe(path)
    said = f"{caught.value.detail} {caught.value.measured}"
    assert str(tmp_path) not in said and "secret" not in said
