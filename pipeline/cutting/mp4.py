"""Writing fragmented MP4: the init segment of a rendition and one fragment per chunk.

Sources: ISO/IEC 14496-12 (boxes), 14496-14 and 14496-1 (AAC's ``esds``), "Encapsulation of FLAC
in ISO Base Media File Format" (the rate field above 65,535 Hz), Apple's iTunSMPB convention.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from catalogue.nouns import Codec
from pipeline.cutting.boxes import build_box, build_full_box

TRACK_ID = 1
_SYNC_SAMPLE = 0x0200_0000
_UNITY = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_ENTRY_NAMES = {Codec.AAC: "mp4a", Codec.ALAC: "alac", Codec.FLAC: "fLaC"}
_RATE_FIELD_MAX = 65_535


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """What an init segment says of the sound.

    ``config`` is what configures the decoder: for AAC the AudioSpecificConfig, for others the
    body of their own box (``alac``, ``dfLa``) as a full box holds it, version and flags included.
    ``samples`` are valid ones; priming and padding come on top.
    """

    codec: Codec
    config: bytes
    rate_hz: int
    channels: int
    bits: int
    samples: int
    priming_samples: int
    padding_samples: int
    average_bps: int
    peak_bps: int


def build_init(sound: Sound) -> bytes:
    """Return the init segment (``ftyp`` and ``moov``) of a rendition.

    The edit list starts presentation after the priming and gives its exact length; the track's
    timescale is its sample rate.
    """
    return build_box("ftyp", b"iso6", struct.pack(">I", 0), b"iso6", b"mp41", b"cmfc") + build_box(
        "moov",
        _movie_header(sound),
        build_box("trak", _track_header(), _edits(sound), _media(sound)),
        build_box(
            "mvex",
            build_full_box("mehd", struct.pack(">Q", sound.samples), version=1),
            build_full_box("trex", struct.pack(">5I", TRACK_ID, 1, 0, 0, 0)),
        ),
        _gapless(sound),
    )


def build_fragment(
    *,
    sequence: int,
    decode_time: int,
    sizes: Sequence[int],
    frame_samples: int,
    last_samples: int,
    data: bytes,
) -> bytes:
    """Return one movie fragment (``moof`` and ``mdat``).

    ``decode_time`` is in samples from the start of the priming; every frame lasts
    ``frame_samples`` but the last, which lasts ``last_samples``.
    """
    even = last_samples == frame_samples
    columns: list[int] = list(sizes)
    if not even:
        columns = [
            frame_samples if place % 2 == 0 else sizes[place // 2]
            for place in range(2 * len(sizes))
        ]
        columns[-2] = last_samples
    run_flags = 0x201 if even else 0x301
    run_size = 20 + 4 * len(columns)
    head = build_full_box("mfhd", struct.pack(">I", sequence))
    defaults = build_full_box(
        "tfhd", struct.pack(">III", TRACK_ID, frame_samples, _SYNC_SAMPLE), flags=0x020028
    )
    time = build_full_box("tfdt", struct.pack(">Q", decode_time), version=1)
    moof_size = 8 + len(head) + 8 + len(defaults) + len(time) + run_size
    run = build_full_box(
        "trun",
        struct.pack(f">II{len(columns)}I", len(sizes), moof_size + 8, *columns),
        flags=run_flags,
    )
    moof = build_box("moof", head, build_box("traf", defaults, time, run))
    return b"".join((moof, struct.pack(">I4s", 8 + len(data), b"mdat"), data))


def read_audio_config(esds: bytes) -> bytes:
    """Return the AudioSpecificConfig inside the body of an ``esds`` box. Raises ValueError."""
    place = 4
    while place < len(esds):
        tag, size_bytes, place = _read_descriptor(esds, place)
        if tag == 0x03:
            place += 3
        elif tag == 0x04:
            place += 13
        elif tag == 0x05:
            return esds[place : place + size_bytes]
        else:
            place += size_bytes
    raise ValueError("the esds box configures no decoder")


def _read_descriptor(data: bytes, place: int) -> tuple[int, int, int]:
    tag, size_bytes, place = data[place], 0, place + 1
    while place < len(data):
        byte = data[place]
        size_bytes, place = size_bytes << 7 | byte & 0x7F, place + 1
        if byte < 0x80:
            break
    return tag, size_bytes, place


def _movie_header(sound: Sound) -> bytes:
    fields = struct.pack(">QQIQIHH8x9I24xI", 0, 0, sound.rate_hz, 0, 0x10000, 0x100, 0, *_UNITY, 2)
    return build_full_box("mvhd", fields, version=1)


def _track_header() -> bytes:
    fields = struct.pack(">QQIIQ8xHHHH9III", 0, 0, TRACK_ID, 0, 0, 0, 0, 0x100, 0, *_UNITY, 0, 0)
    return build_full_box("tkhd", fields, version=1, flags=3)


def _edits(sound: Sound) -> bytes:
    if not sound.priming_samples:
        return b""
    edit = struct.pack(">IQqHH", 1, sound.samples, sound.priming_samples, 1, 0)
    return build_box("edts", build_full_box("elst", edit, version=1))


def _media(sound: Sound) -> bytes:
    header = build_full_box(
        "mdhd", struct.pack(">QQIQHH", 0, 0, sound.rate_hz, 0, 0x55C4, 0), version=1
    )
    handler = build_full_box("hdlr", struct.pack(">I4s12x", 0, b"soun"), b"sound\0")
    reference = build_full_box("dref", struct.pack(">I", 1), build_full_box("url ", flags=1))
    tables = build_box(
        "stbl",
        build_full_box("stsd", struct.pack(">I", 1), _sample_entry(sound)),
        build_full_box("stts", bytes(4)),
        build_full_box("stsc", bytes(4)),
        build_full_box("stsz", bytes(8)),
        build_full_box("stco", bytes(4)),
    )
    info = build_box("minf", build_full_box("smhd", bytes(4)), build_box("dinf", reference), tables)
    return build_box("mdia", header, handler, info)


def _sample_entry(sound: Sound) -> bytes:
    rate_field = sound.rate_hz
    while rate_field > _RATE_FIELD_MAX:
        rate_field //= 2
    fields = struct.pack(
        ">6xH8xHHHHI",
        1,
        sound.channels,
        16 if sound.codec is Codec.AAC else sound.bits,
        0,
        0,
        rate_field << 16,
    )
    if sound.codec is Codec.AAC:
        config = _elementary_stream(sound)
    else:
        config = build_box({Codec.ALAC: "alac", Codec.FLAC: "dfLa"}[sound.codec], sound.config)
    return build_box(_ENTRY_NAMES[sound.codec], fields, config)


def _elementary_stream(sound: Sound) -> bytes:
    decoder = struct.pack(
        ">BBBHII", 0x40, 0x15, 0, 0, sound.peak_bps, sound.average_bps
    ) + _descriptor(0x05, sound.config)
    stream = struct.pack(">HB", 0, 0) + _descriptor(0x04, decoder) + _descriptor(0x06, b"\x02")
    return build_full_box("esds", _descriptor(0x03, stream))


def _descriptor(tag: int, body: bytes) -> bytes:
    if len(body) > 0x7F:
        raise ValueError("a descriptor of more than 127 bytes")
    return struct.pack(">BB", tag, len(body)) + body


def _gapless(sound: Sound) -> bytes:
    """Return the ``iTunSMPB`` tag: priming, padding and valid samples in hexadecimal."""
    if not sound.priming_samples:
        return b""
    text = (
        f" 00000000 {sound.priming_samples:08X} {sound.padding_samples:08X} {sound.samples:016X}"
        + " 00000000" * 8
    )
    tag = build_box(
        "----",
        build_full_box("mean", b"com.apple.iTunes"),
        build_full_box("name", b"iTunSMPB"),
        build_box("data", struct.pack(">II", 1, 0), text.encode("ascii")),
    )
    handler = build_full_box("hdlr", struct.pack(">I4s4s8x", 0, b"mdir", b"appl"), b"\0")
    return build_box("udta", build_full_box("meta", handler, build_box("ilst", tag)))
