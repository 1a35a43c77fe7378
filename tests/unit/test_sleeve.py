"""Sleeves: the cover in sizes, the loudest passage, and a waveform that is never too long."""

import io
import json
import struct
import wave
from pathlib import Path
from typing import Any

import mutagen.flac
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from catalogue.errors import ObjectNotFound, Stopped
from catalogue.nouns import RenditionId
from pipeline.analysis import analyse
from pipeline.master import hash_file, probe_master
from pipeline.pictures import SIZES_PX, Resized, resize
from pipeline.preview import Passage, choose_passage, cut_preview
from pipeline.quality.drawings import Drawings, coarsen, waveform_dat, waveform_json
from pipeline.sleeve import WAVEFORM_BINS, make_sleeve, name_sleeve
from pipeline.tags import read_picture
from storage.keys import is_key, rendition_key
from storage.local import LocalStore
from tests.audio_tools import FIXTURES, decode

RATE_HZ = 44_100
Floats = npt.NDArray[np.float64]


# --------------------------------------------------------------------------- pictures


def image(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return a picture whose left half is red, and whose right half is blue."""
    picture = Image.new("RGB", (width, height), (250, 0, 0))
    picture.paste((0, 0, 250), (width // 2, 0, width, height))
    return picture.convert(mode)


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def read(made: Resized) -> Image.Image:
    picture = Image.open(io.BytesIO(made.data))
    picture.load()
    assert (picture.format, picture.mode, picture.size) == (
        "JPEG",
        "RGB",
        (made.width, made.height),
    )
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"} | {
        "progressive",
        "progression",
    }
    return picture


def is_red(colour: object) -> bool:
    red, green, blue = colour if isinstance(colour, tuple) else (0, 0, 0)
    return bool(red > 180 and green < 90 and blue < 90)


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ((3000, 3000), [(64, 64), (300, 300), (640, 640), (1200, 1200)]),
        ((3000, 1500), [(64, 32), (300, 150), (640, 320), (1200, 600)]),
        ((640, 640), [(64, 64), (300, 300), (640, 640)]),
        ((500, 400), [(64, 51), (300, 240), (500, 400)]),
        ((20, 30), [(20, 30)]),
    ],
)
def test_a_cover_is_made_smaller_and_never_larger(
    size: tuple[int, int], made: list[tuple[int, int]]
) -> None:
    found = resize(encode(image(*size), "JPEG", quality=95))
    assert [(each.width, each.height) for each in found] == made
    assert [each.size_px for each in found] == list(SIZES_PX[: len(made)])
    for each in found:
        picture = read(each)
        assert is_red(picture.getpixel((1, 1)))
        assert not is_red(picture.getpixel((each.width - 2, 1)))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGB", "RGBA", "P", "L", "1", "LA", "I;16")),
        *(("JPEG", mode) for mode in ("RGB", "CMYK", "L")),
        *(("WEBP", "RGBA"), ("GIF", "P")),
    ],
)
def test_every_kind_that_covers_come_in_is_shown_in_colours_of_screens(
    kind: str, mode: str
) -> None:
    picture = image(100, 80, "L").convert("I;16") if mode == "I;16" else image(100, 80, mode)
    found = resize(encode(picture, kind))
    assert [(each.width, each.height) for each in found] == [(64, 51), (100, 80)]
    for each in found:
        read(each)


def test_what_shines_through_is_white() -> None:
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    [small, _] = resize(encode(clear))
    assert read(small).getpixel((10, 10)) == (255, 255, 255)


def test_a_cover_is_turned_as_it_says_and_says_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    [small, whole] = resize(encode(image(100, 80), "JPEG", exif=exif, quality=95))
    assert (whole.width, whole.height) == (80, 100)
    assert is_red(read(whole).getpixel((40, 5))) and not is_red(read(whole).getpixel((40, 95)))
    assert b"camera" not in whole.data + small.data


def test_other_colours_become_those_of_screens() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    found = resize(encode(image(70, 70), "PNG", icc_profile=lab.tobytes()))
    assert is_red(read(found[-1]).getpixel((5, 5)))
    broken = resize(encode(image(70, 70), "PNG", icc_profile=b"no profile"))
    assert is_red(read(broken[-1]).getpixel((5, 5)))


def test_a_bomb_is_no_picture() -> None:
    bomb = encode(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    assert resize(bomb) == []
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1 << 30, 1 << 30)
    assert resize(head + bytes([8, 2, 0, 0, 0]) + bytes(100)) == []


@given(data=st.binary(max_size=300), cut=st.integers(0, 2000))
@settings(max_examples=200, deadline=None)
def test_no_bytes_are_more_than_a_picture_or_none(data: bytes, cut: int) -> None:
    assert resize(data) == []
    whole = encode(image(40, 40), "JPEG")
    damaged = whole[:cut] + data + whole[cut + len(data) :]
    assert len(resize(damaged)) <= len(SIZES_PX)


def test_formats_that_run_programs_or_open_files_are_not_opened() -> None:
    for kind in ("EPS", "PDF", "TIFF", "BMP"):
        assert resize(encode(image(70, 70), kind)) == []


def test_the_front_cover_goes_before_other_pictures(tmp_path: Path) -> None:
    path = tmp_path / "short.flac"
    path.write_bytes((FIXTURES / "short.flac").read_bytes())
    flac: Any = mutagen.flac
    file = flac.FLAC(path)
    file.clear_pictures()
    for kind, data in ((4, b"back"), (3, b"front"), (3, b"another")):
        picture = flac.Picture()
        picture.type, picture.data, picture.mime = kind, data, "image/png"
        file.add_picture(picture)
    file.save()
    assert read_picture(path) == b"front"
    file.clear_pictures()
    file.save()
    assert read_picture(path) is None
    path.write_bytes(b"no audio")
    assert read_picture(path) is None


# --------------------------------------------------------------------------- waveforms


def drawn(
    waveform: npt.NDArray[np.int16] | None = None, loudness: Floats | None = None, **said: int
) -> Drawings:
    return Drawings(
        rate_hz=said.get("rate_hz", RATE_HZ),
        samples=said.get("samples", 0),
        waveform=np.zeros((2, 0, 2), np.int16) if waveform is None else waveform,
        short_terms_lufs=np.zeros(0) if loudness is None else loudness,
        spectrogram_db=np.zeros((0, 512)),
    )


@given(
    bins=st.integers(0, 300),
    most=st.integers(1, 64),
    channels=st.integers(1, 2),
    seed=st.integers(0, 9),
)
def test_a_coarser_waveform_holds_what_the_finer_ones_hold(
    bins: int, most: int, channels: int, seed: int
) -> None:
    pairs = np.random.default_rng(seed).integers(-32768, 32768, (channels, bins, 2))
    fine = drawn(np.sort(pairs, axis=2).astype(np.int16))
    coarse = coarsen(fine, most)
    fold = coarse.bin_samples // fine.bin_samples
    assert coarse.waveform.shape == (channels, -(-bins // fold), 2)
    assert coarse.waveform.shape[1] <= most
    assert fold == 1 or -(-bins // (fold // 2)) > most
    for place in range(coarse.waveform.shape[1]):
        part = fine.waveform[:, place * fold : (place + 1) * fold]
        assert (coarse.waveform[:, place, 0] == part[..., 0].min(axis=1)).all()
        assert (coarse.waveform[:, place, 1] == part[..., 1].max(axis=1)).all()
    for bits, kind in ((8, "i1"), (16, "<i2")):
        data, said = waveform_dat(coarse, bits=bits), waveform_json(coarse, bits=bits)
        head = struct.unpack("<iIiiIi", data[:24])
        assert head == (2, int(bits == 8), RATE_HZ, coarse.bin_samples, said["length"], channels)
        assert np.frombuffer(data[24:], kind).tolist() == said["data"]
        assert (said["bits"], said["samples_per_pixel"]) == (bits, coarse.bin_samples)
        assert len(said["data"]) == said["length"] * channels * 2


# --------------------------------------------------------------------------- previews


def loudness_of(powers: Floats) -> Floats:
    return 10 * np.log10(np.maximum(powers, 1e-12))


@given(
    whole_s=st.floats(0, 200),
    seed=st.integers(0, 99),
)
@settings(max_examples=200)
def test_the_passage_is_inside_and_none_is_louder(whole_s: float, seed: int) -> None:
    samples = round(whole_s * RATE_HZ)
    hops = max(0, int((samples / RATE_HZ - 3) / 0.1) + 1)
    powers = np.random.default_rng(seed).uniform(1e-6, 1, hops)
    found = choose_passage(drawn(loudness=loudness_of(powers), samples=samples))
    if found is None:
        assert whole_s < 10.01
        return
    length_s = min(30.0, whole_s / 2)
    assert length_s - 0.11 < found.length_s <= length_s + 1e-9
    assert 0 <= found.start_s <= whole_s - found.length_s + 0.1
    width = round((found.length_s - 3) / 0.1) + 1
    means = [powers[start : start + width].mean() for start in range(hops - width + 1)]
    own = means[round(found.start_s / 0.1)]
    assert own == pytest.approx(max(means))


def test_of_silence_it_is_the_beginning() -> None:
    silent = drawn(loudness=np.full(1000, -np.inf), samples=200 * RATE_HZ)
    assert choose_passage(silent) == Passage(start_s=0.0, length_s=30.0)


def write(path: Path, sound: Floats, rate_hz: int, bits: int) -> Path:
    """Write sound (a row for each channel) as WAV."""
    whole = np.rint(np.ascontiguousarray(sound.T) * (2 ** (bits - 1) - 1)).astype("<i4")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(bits // 8)
        file.setframerate(rate_hz)
        file.writeframes(whole.view("u1").reshape(-1, 4)[:, : bits // 8].tobytes())
    return path


def noisy(seconds: float, loud: tuple[float, float], rate_hz: int, channels: int) -> Floats:
    """Return noise that is louder between two moments."""
    count = round(seconds * rate_hz)
    sound = np.random.default_rng(7).uniform(-0.05, 0.05, (channels, count))
    sound[:, round(loud[0] * rate_hz) : round(loud[1] * rate_hz)] *= 10
    return np.asarray(sound)


@pytest.mark.parametrize(
    ("rate_hz", "bits", "channels", "base_hz"),
    [(44_100, 16, 2, 44_100), (48_000, 24, 1, 48_000), (96_000, 24, 2, 48_000)],
)
def test_a_preview_is_the_loudest_half_minute_to_the_sample(
    tmp_path: Path, rate_hz: int, bits: int, channels: int, base_hz: int
) -> None:
    path = write(tmp_path / "m.wav", noisy(75, (33, 66), rate_hz, channels), rate_hz, bits)
    master = probe_master(path, hash_file(path))
    passage = choose_passage(analyse(path, master).drawings)
    assert passage is not None
    assert passage.length_s == 30 and 33 <= passage.start_s <= 36
    preview = cut_preview(path, master, passage, should_stop=lambda: False)
    pcm = np.frombuffer(decode(preview), "<i2").reshape(-1, channels).astype(float)
    # What follows fills AAC's last frame.
    assert 0 <= len(pcm) - 30 * base_hz < 1024
    heard = pcm[: 30 * base_hz]
    decoded = np.frombuffer(decode(path, "s16le", "-ss", str(passage.start_s)), "<i2")
    if rate_hz == base_hz:
        whole = decoded.reshape(-1, channels)[: len(heard)].astype(float)
        middle = slice(base_hz, 27 * base_hz)
        here, before, after = (
            np.corrcoef(heard[middle, 0], np.roll(whole[:, 0], shift)[middle])[0, 1]
            for shift in (0, 1, -1)
        )
        # Of noise little is left at this bit rate.
        assert here > 0.7 > 0.4 > max(abs(before), abs(after)), "the same samples in their places"
    loud = np.abs(heard[5 * base_hz : 25 * base_hz]).mean()
    assert np.abs(heard[: base_hz // 50]).mean() < loud / 5
    assert np.abs(heard[-base_hz // 50 :]).mean() < loud / 5
    again = cut_preview(path, master, passage, should_stop=lambda: False)
    assert again == preview, "the same bytes each time"


def test_a_preview_is_not_faded_in_where_the_master_begins(tmp_path: Path) -> None:
    path = write(tmp_path / "m.wav", noisy(20, (0, 20), RATE_HZ, 2), RATE_HZ, 16)
    master = probe_master(path, hash_file(path))
    whole = Passage(start_s=0.0, length_s=10.0)
    preview = cut_preview(path, master, whole, should_stop=lambda: False)
    pcm = np.frombuffer(decode(preview), "<i2").reshape(-1, 2).astype(float)
    assert 0 <= len(pcm) - 10 * RATE_HZ < 1024
    assert np.abs(pcm[:2000]).mean() > np.abs(pcm[RATE_HZ : 2 * RATE_HZ]).mean() / 2
    with pytest.raises(Stopped):
        cut_preview(path, master, whole, should_stop=lambda: True)


# --------------------------------------------------------------------------- all of it


def test_a_sleeve_is_made_the_same_each_time(tmp_path: Path) -> None:
    path = FIXTURES / "prelude.flac"
    master = probe_master(path, hash_file(path))
    drawings = analyse(path, master).drawings
    store = LocalStore(tmp_path / "store")
    sleeve = make_sleeve(path, master, drawings, store)
    assert make_sleeve(path, master, drawings, store) == sleeve
    assert sleeve.id == name_sleeve(master)
    assert [each.name for each in sleeve.pictures] == ["cover-64.jpg", "cover-300.jpg"] + [
        f"cover-{size}.jpg" for size in SIZES_PX[2 : len(sleeve.pictures)]
    ]
    assert sleeve.preview is not None and sleeve.preview.length_s == 17.6
    for name, stored in sleeve.objects().items():
        data = store.read(rendition_key(sleeve.id, name))
        assert len(data) == stored.size_bytes
    said = json.loads(store.read(rendition_key(sleeve.id, "waveform.json")))
    assert said["length"] <= WAVEFORM_BINS < 2 * said["length"]
    whole_bins = -(-drawings.samples // said["samples_per_pixel"])
    assert said["length"] == whole_bins


def test_a_short_master_without_a_cover_has_drawings_alone(tmp_path: Path) -> None:
    path = FIXTURES / "tiny.wav"
    master = probe_master(path, hash_file(path))
    sleeve = make_sleeve(path, master, analyse(path, master).drawings, LocalStore(tmp_path))
    assert (sleeve.pictures, sleeve.preview) == ((), None)
    assert sorted(sleeve.objects()) == [
        *("loudness.svg", "spectrogram.png", "waveform.dat", "waveform.json", "waveform.svg"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("cover-64.jpg", "cover-1200.jpg", "preview.m4a", "waveform.dat", "waveform.json"),
        *("spectrogram.png", "loudness.svg"),
    ],
)
def test_names_of_a_sleeve_are_keys(name: str) -> None:
    assert is_key(f"renditions/sleeve-{'0' * 32}/{name}")


@pytest.mark.parametrize(
    "name",
    [
        *("cover-64.jpg/", "../cover-64.jpg", "cover-.jpg", "cover-12345.jpg", "Cover-64.jpg"),
        *("cover-64.exe", "cover-64.jpg.mp4", ".jpg", "cover 64.jpg", "init.jpgx", "init.jpg\n"),
    ],
)
def test_other_names_are_none(name: str) -> None:
    assert not is_key(f"renditions/sleeve-{'0' * 32}/{name}")
    with pytest.raises(ObjectNotFound):
        rendition_key(RenditionId(f"sleeve-{'0' * 32}"), name)
