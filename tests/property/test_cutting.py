"""The laws of cutting: pieces of any size give one cut; rubbish is refused, and never hangs."""

import struct
from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.errors import EncoderInexact
from catalogue.nouns import Codec
from pipeline.cutting.boxes import build_box, walk_boxes
from pipeline.cutting.grid import boundary, chunk_samples, samples_at
from pipeline.cutting.ogg import PageReader, build_page, page_checksum
from pipeline.riff import read_wav_data
from tests.cutting_tools import Shelf, cut, encoded, make_cutter
from tests.property.pieces import split

SAMPLES = 442_368 + 4097
RATES_HZ = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
ELEVEN_HOURS_S = 11 * 3600

codecs = st.sampled_from(list(Codec))
quiet = settings(deadline=None, suppress_health_check=list(HealthCheck))


@quiet
@given(codecs, st.data())
def test_pieces_of_any_size_give_the_same_cut(codec: Codec, data: st.DataObject) -> None:
    stream = encoded(SAMPLES)[codec]
    assert cut(codec, split(data, stream), SAMPLES) == cut(codec, [stream], SAMPLES)


def test_single_bytes_give_the_same_cut() -> None:
    for codec, stream in encoded(4097).items():
        single = [stream[place : place + 1] for place in range(len(stream))]
        assert cut(codec, single, 4097) == cut(codec, [stream], 4097)


@quiet
@given(codecs, st.data())
def test_a_damaged_stream_is_cut_or_refused(codec: Codec, data: st.DataObject) -> None:
    stream = bytearray(encoded(4097)[codec])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(stream) - 1))
        stream[place] ^= 1 << data.draw(st.integers(0, 7))
    cutter = make_cutter(codec, Shelf())
    try:
        cutter.feed(bytes(stream))
        made = cutter.finish(4097)
    except (ValueError, EncoderInexact):
        return
    assert sum(chunk.valid_samples for chunk in made.chunks) == 4097


@quiet
@given(codecs, st.binary(max_size=400))
def test_rubbish_is_never_a_cut(codec: Codec, rubbish: bytes) -> None:
    cutter = make_cutter(codec, Shelf())
    try:
        cutter.feed(rubbish)
        cutter.finish(4097)
    except (ValueError, EncoderInexact):
        return
    raise AssertionError("rubbish was cut")


@given(st.lists(st.tuples(st.text("abcdefgh", min_size=4, max_size=4), st.binary(max_size=50))))
def test_boxes_are_walked_as_they_were_built(boxes: list[tuple[str, bytes]]) -> None:
    data = b"".join(build_box(name, body) for name, body in boxes)
    assert list(walk_boxes(data)) == boxes


@given(st.lists(st.binary(max_size=700), min_size=1, max_size=60), st.data())
def test_packets_survive_paging(packets: list[bytes], data: st.DataObject) -> None:
    pages = [
        build_page([packet], serial=1, sequence=turn, granule_position=turn)
        for turn, packet in enumerate(packets)
    ]
    reader, found = PageReader(), []
    for piece in split(data, b"".join(pages)):
        found += reader.feed(piece)
    reader.finish()
    assert found == packets


@given(st.binary(max_size=300))
def test_the_checksum_is_the_polynomial_division_of_rfc_3533(data: bytes) -> None:
    remainder = 0
    for byte in data:
        remainder ^= byte << 24
        for _ in range(8):
            carry = remainder & 0x8000_0000
            remainder = (remainder << 1 ^ (0x04C1_1DB7 if carry else 0)) & 0xFFFF_FFFF
    assert page_checksum(data) == remainder


@given(st.sampled_from(RATES_HZ), st.integers(0, ELEVEN_HOURS_S * 192_000))
def test_the_grid_tiles_eleven_hours(rate_hz: int, samples: int) -> None:
    grid = chunk_samples(rate_hz)
    count = -(-samples // grid)
    assert count * grid >= samples > (count - 1) * grid
    base = 48_000 if rate_hz % 48_000 == 0 else 44_100
    for index in (0, 1, count):
        assert boundary(index, rate_hz=rate_hz, grid_hz=base) == index * grid


@given(st.sampled_from(RATES_HZ))
def test_a_chunk_is_the_multiple_of_a_frame_nearest_to_ten_seconds(rate_hz: int) -> None:
    base = 48_000 if rate_hz % 48_000 == 0 else 44_100
    frame = 4096 * (rate_hz // base)
    grid = chunk_samples(rate_hz)
    assert grid % frame == 0
    others = (grid - frame, grid + frame)
    assert abs(grid - 10 * rate_hz) <= min(abs(other - 10 * rate_hz) for other in others)


@given(st.integers(0, 1 << 45), st.sampled_from(RATES_HZ), st.sampled_from(RATES_HZ))
def test_a_length_at_another_rate_is_the_nearest_sample(
    samples: int, from_hz: int, to_hz: int
) -> None:
    exact = Fraction(samples * to_hz, from_hz)
    found = samples_at(samples, from_hz=from_hz, to_hz=to_hz)
    assert -Fraction(1, 2) < found - exact <= Fraction(1, 2)


chunks = st.lists(
    st.tuples(st.sampled_from([b"fmt ", b"ds64", b"LIST", b"data"]), st.binary(max_size=40)),
    max_size=5,
)
kinds = st.sampled_from([b"RIFF", b"RF64", b"BW64", b"RIFX", b""])


@given(kinds, chunks, st.integers(0, 0xFFFF_FFFF) | st.none(), st.binary(max_size=9))
def test_any_wav_header_is_read_without_harm(
    kind: bytes, parts: list[tuple[bytes, bytes]], lie: int | None, rest: bytes
) -> None:
    data = kind + struct.pack("<I", 0) + b"WAVE"
    for name, body in parts:
        size_bytes = len(body) if lie is None else lie
        data += name + struct.pack("<I", size_bytes) + body + bytes(len(body) % 2)
    with NamedTemporaryFile() as file:
        file.write(data + rest)
        file.flush()
        found = read_wav_data(Path(file.name))
    if found is not None:
        assert kind in (b"RIFF", b"RF64", b"BW64")
        assert 0 <= found.present_bytes <= len(data + rest)
        assert found.declared_bytes is None or found.present_bytes <= found.declared_bytes
