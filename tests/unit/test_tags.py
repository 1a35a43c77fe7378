"""What masters say of themselves, in the three languages of tags, and when it is damaged."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from mutagen.aiff import AIFF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, TALB, TCON, TDRC, TIT2, TPE1, TRCK, TSRC
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.wave import WAVE

from catalogue.nouns import Artwork, Sha256, Tags
from pipeline.tags import read_flac_md5, read_tags
from tests.audio_tools import FIXTURES, Fact, decode, facts, pcm_format

COVER = Artwork(
    media_type="image/jpeg",
    size_bytes=14_508,
    sha256=Sha256("3d2cab9e677fe5666617841883c428740eb7f103bbeb015a851ef5b5ee48364a"),
)
OURS = Tags(artist="The Lathe Players", album="Turned Wood", date="2026", genre="Classical")
TAGS = {
    "prelude.flac": replace(
        OURS,
        title="Prelude in C major, BWV 846 (Electric Piano)",
        isrc="ZZLTH2600001",
        track_number="1",
        artwork=COVER,
    ),
    "gymnopedie.m4a": replace(OURS, title="Gymnopédie No. 1", track_number="2", artwork=COVER),
    "ode.aiff": Tags(
        title="Ode to Joy (First Phrase)", artist="The Lathe Players", isrc="ZZLTH2600005"
    ),
    "lossy.mp3": Tags(
        title="Prelude in C major (Harpsichord)",
        artist="The Lathe Players",
        album="Turned Wood",
        isrc="ZZLTH2600015",
    ),
    "ode.wav": Tags(),
    "ode-24.aiff": Tags(),
}
ID3_FRAMES: dict[str, Any] = {
    "title": TIT2,
    "artist": TPE1,
    "album": TALB,
    "isrc": TSRC,
    "date": TDRC,
    "track_number": TRCK,
    "genre": TCON,
}
MP4_ATOMS = {"title": "\xa9nam", "artist": "\xa9ART", "album": "\xa9alb", "genre": "\xa9gen"}
COMMENTS = {"title": "TITLE", "artist": "Artist", "album": "album", "genre": "Genre"}
FORMATS: dict[str, Any] = {
    ".flac": FLAC,
    ".m4a": MP4,
    ".mp3": MP3,
    ".aiff": AIFF,
    ".wav": WAVE,
}
PICTURES: dict[str, Any] = {".flac": Picture, ".m4a": MP4Cover, ".mp3": APIC}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PNG_SHA256 = "a1f76d954944aa5baf6d59cbc33793432c6aed8cb308b595e15055a9e37185b7"

Write = Callable[[Path, dict[str, list[str]]], None]


def open_file(path: Path) -> Any:
    return FORMATS[path.suffix](path)


def write_comments(path: Path, fields: dict[str, list[str]]) -> None:
    file = open_file(path)
    file.delete()
    for name, values in fields.items():
        file[COMMENTS[name]] = values
    file.save()


def write_atoms(path: Path, fields: dict[str, list[str]]) -> None:
    file = open_file(path)
    file.tags.clear()
    for name, values in fields.items():
        file[MP4_ATOMS[name]] = values
    file.save()


def write_frames(path: Path, fields: dict[str, list[str]]) -> None:
    file = open_file(path)
    if file.tags is None:
        file.add_tags()
    file.tags.clear()
    for name, values in fields.items():
        file.tags.add(ID3_FRAMES[name](encoding=3, text=values))
    file.save()


WRITERS: dict[str, Write] = {
    "short.flac": write_comments,
    "gymnopedie.m4a": write_atoms,
    "lossy.mp3": write_frames,
    "ode.aiff": write_frames,
    "tiny.wav": write_frames,
}


def copy(file: str, folder: Path) -> Path:
    return Path(shutil.copy(FIXTURES / file, folder))


def written(file: str, folder: Path, **fields: list[str]) -> Tags:
    """Return what is read of a copy of a fixture after these tags were written to it."""
    path = copy(file, folder)
    WRITERS[file](path, fields)
    return read_tags(path)


@pytest.mark.parametrize("file", TAGS)
def test_a_fixture_says_what_was_written_to_it(file: str) -> None:
    assert read_tags(FIXTURES / file) == TAGS[file]


@pytest.mark.parametrize("file", WRITERS)
def test_words_of_any_language_are_read_in_every_format(tmp_path: Path, file: str) -> None:
    fields = {"title": "第九 “Ode”", "artist": "Ödön 🎻", "album": "نشيد", "genre": "Klassik"}
    found = written(file, tmp_path, **{name: [value] for name, value in fields.items()})
    assert {name: said for name, said in asdict(found).items() if said is not None} == fields


@pytest.mark.parametrize("file", WRITERS)
def test_the_first_of_several_values_counts(tmp_path: Path, file: str) -> None:
    assert written(file, tmp_path, artist=["One", "Two"]).artist == "One"


@pytest.mark.parametrize("file", WRITERS)
def test_what_holds_no_word_is_absent(tmp_path: Path, file: str) -> None:
    assert written(file, tmp_path, title=[" \t "], artist=[""]) == Tags()


@pytest.mark.parametrize("file", WRITERS)
def test_an_endless_title_is_cut(tmp_path: Path, file: str) -> None:
    found = written(file, tmp_path, title=["é" * 100_000])
    assert found.title == "é" * 1000


def test_id3_tells_date_number_and_code(tmp_path: Path) -> None:
    found = written(
        "lossy.mp3", tmp_path, date=["2026-03-01"], track_number=["7/12"], isrc=["ZZABC2600001"]
    )
    assert found == Tags(date="2026-03-01", track_number="7/12", isrc="ZZABC2600001")


def test_mp4_tells_date_number_and_code(tmp_path: Path) -> None:
    path = copy("gymnopedie.m4a", tmp_path)
    file = open_file(path)
    file.tags.clear()
    file["\xa9day"], file["trkn"] = ["2026-03-01"], [(7, 12)]
    file["----:com.apple.iTunes:ISRC"] = [b"ZZABC2600001"]
    file.save()
    assert read_tags(path) == Tags(date="2026-03-01", track_number="7", isrc="ZZABC2600001")


def add_to_flac(path: Path, *pictures: bytes) -> None:
    file = open_file(path)
    for data in pictures:
        picture = PICTURES[".flac"]()
        picture.mime, picture.data = "image/png", data
        file.add_picture(picture)
    file.save()


def add_to_mp4(path: Path, *pictures: bytes) -> None:
    file = open_file(path)
    file["covr"] = [PICTURES[".m4a"](data, MP4Cover.FORMAT_PNG) for data in pictures]
    file.save()


def add_to_mp3(path: Path, *pictures: bytes) -> None:
    file = open_file(path)
    for number, data in enumerate(pictures):
        kept = {"mime": "image/png", "desc": str(number), "data": data}
        file.tags.add(PICTURES[".mp3"](encoding=3, **kept))
    file.save()


@pytest.mark.parametrize(
    ("file", "add"),
    [("canon-1.flac", add_to_flac), ("gymnopedie.m4a", add_to_mp4), ("lossy.mp3", add_to_mp3)],
)
def test_the_first_picture_is_the_artwork(
    tmp_path: Path, file: str, add: Callable[..., None]
) -> None:
    path = copy(file, tmp_path)
    add(path, PNG, b"another")
    assert read_tags(path).artwork == Artwork(
        media_type="image/png", size_bytes=108, sha256=Sha256(PNG_SHA256)
    )


# --------------------------------------------------------------------------- damage


@pytest.mark.parametrize("file", ["prelude.flac", "gymnopedie.m4a", "ode.aiff", "lossy.mp3"])
@pytest.mark.parametrize("kept", [0, 3, 40, 1000])
def test_a_file_that_breaks_off_has_no_more_than_its_tags(
    tmp_path: Path, file: str, kept: int
) -> None:
    path = tmp_path / file
    path.write_bytes((FIXTURES / file).read_bytes()[:kept])
    found = asdict(read_tags(path))
    assert all(found[name] in (None, said) for name, said in asdict(TAGS[file]).items())


def test_what_is_no_audio_has_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    for data in (b"", b"text", b"fLaC", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", bytes(4096)):
        path.write_bytes(data)
        assert read_tags(path) == Tags()
        assert read_flac_md5(path) is None
    assert read_tags(tmp_path / "none") == Tags()


def test_comments_that_are_no_unicode_do_not_make_a_master_unreadable(tmp_path: Path) -> None:
    path = copy("short.flac", tmp_path)
    write_comments(path, {"title": ["abcdef"]})
    path.write_bytes(path.read_bytes().replace(b"abcdef", b"ab\xff\xfeef"))
    assert read_tags(path).title in (None, "ab\ufffd\ufffdef")


@pytest.mark.parametrize(
    "truth", [each for each in facts() if each.format == "flac"], ids=lambda truth: truth.file
)
def test_a_flac_carries_the_checksum_of_its_sound(truth: Fact) -> None:
    """As FLAC stores samples, which at 16 and 24 bits is as ffmpeg's raw formats have them."""
    pcm = decode(truth.path, pcm_format(truth.bits))
    assert read_flac_md5(truth.path) == hashlib.md5(pcm).hexdigest()


def test_a_checksum_of_zeros_is_none(tmp_path: Path) -> None:
    path = copy("short.flac", tmp_path)
    data = bytearray(path.read_bytes())
    data[26:42] = bytes(16)
    path.write_bytes(data)
    assert read_flac_md5(path) is None
    data[41] = 1
    path.write_bytes(data)
    assert read_flac_md5(path) == f"{1:032x}"


@pytest.mark.parametrize("file", ["ode.wav", "gymnopedie.m4a", "lossy.mp3"])
def test_only_flac_carries_a_checksum(file: str) -> None:
    assert read_flac_md5(FIXTURES / file) is None
