"""Boxes, fragments, pages and packets, on bytes built by hand and on what ffmpeg writes."""

import struct

import pytest

from catalogue.errors import EncoderInexact
from catalogue.nouns import Codec
from pipeline.cutting.boxes import build_box, build_full_box, find_box, walk_boxes
from pipeline.cutting.fragments import FragmentReader
from pipeline.cutting.mp4 import Sound, build_fragment, build_init, read_audio_config
from pipeline.cutting.ogg import PageReader, build_page, count_segments, page_checksum
from pipeline.cutting.vorbis import PacketClock, read_modes
from tests.cutting_tools import RATE_HZ, Shelf, cut, encoded, ffprobe_packets, make_cutter

GRID = 442_368
LENGTHS = [1, 1024, 4097, GRID + 1]
ALAC_CONFIG = bytes(4) + bytes(24)


def sound(codec: Codec = Codec.ALAC, **changes: int) -> Sound:
    said = {
        "rate_hz": RATE_HZ,
        "channels": 2,
        "bits": 24,
        "samples": 1_000_003,
        "priming_samples": 1024 if codec is Codec.AAC else 0,
        "padding_samples": 445 if codec is Codec.AAC else 0,
        "average_bps": 128_000,
        "peak_bps": 130_000,
    }
    config = b"\x12\x10" if codec is Codec.AAC else ALAC_CONFIG
    return Sound(codec=codec, config=config, **(said | changes))


# --------------------------------------------------------------------------- boxes


def test_a_box_is_its_size_its_type_and_its_body() -> None:
    assert build_box("free", b"ab", b"c") == b"\0\0\0\x0bfreeabc"
    assert build_full_box("smhd", b"x", version=1, flags=2) == b"\0\0\0\x0dsmhd\x01\0\0\x02x"


def test_boxes_are_walked_in_order_and_found_by_path() -> None:
    inner = build_box("tkhd", b"1") + build_box("mdia", build_box("mdhd", b"2"))
    data = build_box("moov", build_box("trak", inner), build_box("mvex"))
    assert [name for name, _ in walk_boxes(data)] == ["moov"]
    assert find_box(data, "moov/trak/mdia/mdhd") == b"2"
    with pytest.raises(ValueError, match="no box mdix on moov/trak/mdix"):
        find_box(data, "moov/trak/mdix")


@pytest.mark.parametrize("size_bytes", [0, 1, 7, 17, 0xFFFF_FFFF])
def test_a_box_that_lies_about_its_size_is_refused(size_bytes: int) -> None:
    data = struct.pack(">I4s", size_bytes, b"moov") + bytes(8)
    with pytest.raises(ValueError, match="moov"):
        list(walk_boxes(data))


# --------------------------------------------------------------------------- fragmented MP4


def test_a_fragment_is_read_back_as_it_was_written() -> None:
    data = bytes(range(60))
    written = build_init(sound()) + build_fragment(
        sequence=3,
        decode_time=442_368,
        sizes=[10, 20, 30],
        frame_samples=4096,
        last_samples=7,
        data=data,
    )
    reader = FragmentReader()
    (frames,) = reader.feed(written)
    reader.finish()
    assert reader.codec_box == ("alac", ALAC_CONFIG)
    assert (frames.sizes, frames.durations, frames.data) == ((10, 20, 30), (4096, 4096, 7), data)


def test_a_fragment_tells_its_time_and_where_its_data_is() -> None:
    fragment = build_fragment(
        sequence=9,
        decode_time=1 << 40,
        sizes=[5],
        frame_samples=1024,
        last_samples=1024,
        data=b"12345",
    )
    assert find_box(fragment, "moof/mfhd") == struct.pack(">II", 0, 9)
    assert find_box(fragment, "moof/traf/tfdt") == struct.pack(">IQ", 1 << 24, 1 << 40)
    _, count, offset = struct.unpack_from(">III", find_box(fragment, "moof/traf/trun"))
    assert (count, fragment[offset:]) == (1, b"12345")


@pytest.mark.parametrize(
    ("rate_hz", "field"),
    [
        (44_100, 44_100),
        (48_000, 48_000),
        (88_200, 44_100),
        (96_000, 48_000),
        (176_400, 44_100),
        (192_000, 48_000),
    ],
)
@pytest.mark.parametrize("codec", [Codec.ALAC, Codec.FLAC])
def test_a_rate_that_does_not_fit_the_sample_entry_is_halved_there_only(
    codec: Codec, rate_hz: int, field: int
) -> None:
    init = build_init(sound(codec, rate_hz=rate_hz))
    entry = find_box(init, "moov/trak/mdia/minf/stbl/stsd")[8:]
    assert struct.unpack_from(">I", entry, 8 + 24)[0] == field << 16
    assert struct.unpack_from(">I", find_box(init, "moov/trak/mdia/mdhd"), 20)[0] == rate_hz


def test_aac_priming_is_told_by_an_edit_list_and_by_itunsmpb() -> None:
    init = build_init(sound(Codec.AAC))
    edit = struct.unpack(">IIQqHH", find_box(init, "moov/trak/edts/elst"))
    assert edit == (1 << 24, 1, 1_000_003, 1024, 1, 0)
    assert b" 00000000 00000400 000001BD 00000000000F4243" in find_box(init, "moov/udta")


def test_lossless_tracks_have_no_edits() -> None:
    assert b"elst" not in build_init(sound()) and b"iTunSMPB" not in build_init(sound())


def test_the_audio_config_is_found_inside_its_descriptors() -> None:
    init = build_init(sound(Codec.AAC))
    entry = find_box(init, "moov/trak/mdia/minf/stbl/stsd")[8:]
    assert read_audio_config(find_box(entry[36:], "esds")) == b"\x12\x10"
    with pytest.raises(ValueError, match="configures no decoder"):
        read_audio_config(bytes(4) + b"\x06\x01\x02")


# --------------------------------------------------------------------------- Ogg


def test_a_page_is_read_back_as_it_was_written() -> None:
    packets = [b"", b"a", bytes(254), bytes(255), bytes(256), bytes(1000)]
    page = build_page(packets, serial=7, sequence=5, granule_position=99, first=True, last=True)
    assert page[:6] == b"OggS\0\x06"
    (found,) = PageReader().feed_pages(page)
    assert (found.granule_position, found.sequence, found.last, found.continued) == (
        99,
        5,
        True,
        False,
    )
    assert PageReader().feed(page) == packets
    assert len(found.lacing) == sum(count_segments(len(packet)) for packet in packets)


def test_a_page_holds_no_more_than_255_segments() -> None:
    build_page([b""] * 255, serial=1, sequence=0, granule_position=0)
    with pytest.raises(ValueError, match="256 segments"):
        build_page([b""] * 256, serial=1, sequence=0, granule_position=0)


def test_the_checksum_is_that_of_ffmpegs_own_pages() -> None:
    stream, place, pages = encoded(4097)[Codec.VORBIS], 0, 0
    while place < len(stream):
        count = stream[place + 26]
        size_bytes = 27 + count + sum(stream[place + 27 : place + 27 + count])
        page = bytearray(stream[place : place + size_bytes])
        declared = struct.unpack_from("<I", page, 22)[0]
        page[22:26] = bytes(4)
        assert page_checksum(page) == declared
        place, pages = place + size_bytes, pages + 1
    assert pages >= 3


def test_packets_have_the_durations_that_libvorbis_gave_them() -> None:
    reader = PageReader()
    packets = reader.feed(encoded(GRID + 1)[Codec.VORBIS])
    reader.finish()
    clock = PacketClock(packets[:3])
    assert (clock.channels, clock.rate_hz, clock.block_sizes) == (1, RATE_HZ, (256, 2048))
    ticks = [clock.tick(packet) for packet in packets[3:]]
    assert ticks[0] == 0
    assert set(ticks[1:]) <= {128, 576, 1024}
    assert GRID + 1 <= sum(ticks) < GRID + 1 + 2048


@pytest.mark.parametrize("setup", [b"", b"\x05vorbis", bytes(40), b"\xff" * 60])
def test_a_setup_without_modes_is_refused(setup: bytes) -> None:
    with pytest.raises(ValueError, match="modes"):
        read_modes(setup)


@pytest.mark.parametrize("headers", [[], [b"\x01vorbis"], [b"\x03vorbis" + bytes(30)] * 3])
def test_what_is_no_vorbis_is_refused(headers: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not the three Vorbis headers"):
        PacketClock(headers)


# --------------------------------------------------------------------------- cutters


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("samples", LENGTHS)
def test_cutting_keeps_every_packet(codec: Codec, samples: int) -> None:
    stream = encoded(samples)[codec]
    made, objects = cut(codec, [stream], samples)
    joined = b"".join(objects[part.name] for part in (made.init, *(c.body for c in made.chunks)))
    assert ffprobe_packets(joined) == ffprobe_packets(stream)
    assert sum(chunk.valid_samples for chunk in made.chunks) == made.samples == samples


@pytest.mark.parametrize("codec", list(Codec))
def test_a_stream_of_another_length_than_the_master_is_inexact(codec: Codec) -> None:
    longer = 4097 + 4096
    with pytest.raises(EncoderInexact):
        cut(codec, [encoded(4097)[codec]], longer)


@pytest.mark.parametrize("codec", list(Codec))
def test_a_stream_that_stops_early_is_refused(codec: Codec) -> None:
    stream = encoded(4097)[codec]
    for size_bytes in (0, 1, 40, len(stream) // 2, len(stream) - 1):
        cutter = make_cutter(codec, Shelf())
        with pytest.raises((ValueError, EncoderInexact)):
            cutter.feed(stream[:size_bytes])
            cutter.finish(4097)
