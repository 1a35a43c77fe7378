"""What real players make of what the origin serves: every tier of every release, to the sample.

How many samples a player gives is known exactly, because it is known why. ffmpeg, and mpv which
demuxes and decodes with it, leave out AAC's priming because of the header's iTunSMPB tag (of an
edit list they take no notice in fragmented MP4), and ignore the padding that the same tag
declares: they give the track's samples and what fills its last frame. ALAC has neither. The
Vorbis length stands in the last page's granule position, which they obey.
"""

import hashlib
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import m3u8
import pytest
from jsonschema import Draft202012Validator

from tests.audio_tools import Fact, decode, fact, frame_bytes, pcm_format
from tests.e2e.servers import HANG_S, Listener, releases

FILES = [str(release["file"]) for release in releases()]
FILES_OF_SEVERAL_CHUNKS = [
    "prelude.flac",
    "ode-24.aiff",
    "prelude-96.flac",
    "speech.flac",
    "lossy.mp3",
]
LADDER = {
    "ogg-24": "vorbis",
    "ogg-96": "vorbis",
    "ogg-160": "vorbis",
    "ogg-320": "vorbis",
    "aac-128": "mp4a.40.2",
    "aac-256": "mp4a.40.2",
    "alac": "alac",
    "alac-hires": "alac",
    "flac": "fLaC",
    "flac-hires": "fLaC",
}
LOSSLESS = ("alac", "fLaC")


def earned(truth: Fact) -> list[str]:
    """Return the tiers that a master fills: lossless from lossless, hi-res from 24 bits."""
    refused = {None: "alac alac-hires flac flac-hires", 16: "alac-hires flac-hires", 24: ""}
    return [tier for tier in LADDER if tier not in refused[truth.bits].split()]


TIERS = [(file, tier) for file in FILES for tier in earned(fact(file))]
HLS_TIERS = [(file, tier) for file, tier in TIERS if LADDER[tier] != "vorbis"]
OGG_TIERS = [(file, tier) for file, tier in TIERS if LADDER[tier] == "vorbis"]


def base_rate(rate_hz: int) -> int:
    return 48_000 if rate_hz % 48_000 == 0 else 44_100


def tier_rate(truth: Fact, tier: str) -> int:
    if tier == "ogg-24":
        return 16_000
    return truth.rate_hz if tier.endswith("-hires") else base_rate(truth.rate_hz)


def tier_bits(truth: Fact, tier: str) -> int | None:
    if LADDER[tier] not in LOSSLESS:
        return None
    return truth.bits if tier.endswith("-hires") else 16


def tier_samples(truth: Fact, tier: str) -> int:
    """Return the master's length at the tier's rate; what is below the base is made from it."""
    if tier.endswith("-hires"):
        return truth.samples
    base = base_rate(truth.rate_hz)
    at_base = resampled(truth.samples, truth.rate_hz, base)
    return resampled(at_base, base, tier_rate(truth, tier))


def resampled(samples: int, from_hz: int, to_hz: int) -> int:
    """Return a length at another rate: the nearest sample, halves up."""
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)


def grid_samples(rate_hz: int) -> int:
    """Return a chunk's length: 108 (44.1 kHz) or 117 (48 kHz) blocks of 4096 at the base rate."""
    blocks = 117 if base_rate(rate_hz) == 48_000 else 108
    return blocks * 4096 * rate_hz // base_rate(rate_hz)


def aac_padding(samples: int) -> int:
    """Return what fills AAC's last frame of 1024 samples, the priming being a frame of its own."""
    return -samples % 1024


def samples_played(truth: Fact, tier: str) -> int:
    samples = tier_samples(truth, tier)
    return samples + (aac_padding(samples) if LADDER[tier] == "mp4a.40.2" else 0)


def require_heard(pcm: bytes, truth: Fact, tier: str) -> None:
    """Require that a player gave a tier to the sample, and the master's PCM where it can."""
    bits = tier_bits(truth, tier)
    assert len(pcm) == samples_played(truth, tier) * frame_bytes(bits, truth.channels)
    if bits is not None and (bits, tier_rate(truth, tier)) == (truth.bits, truth.rate_hz):
        assert hashlib.sha256(pcm).hexdigest() == truth.pcm_sha256


def play_with_ffmpeg(url: str, bits: int | None, _folder: Path) -> bytes:
    return decode(url, pcm_format(bits))


def play_with_mpv(url: str, bits: int | None, folder: Path) -> bytes:
    """Return what mpv sends to its audio output, as ffmpeg's ``pcm_format`` has it.

    mpv knows no packed 24 bits: it gives 32, of which the lowest eight are empty.
    """
    wide = {16: "s16", 24: "s32", None: "float"}[bits]
    pcm = folder / "pcm"
    output = ["--ao=pcm", f"--ao-pcm-file={pcm}", "--ao-pcm-waveheader=no"]
    quiet = ["--no-config", "--no-terminal", "--vid=no", f"--audio-format={wide}"]
    subprocess.run(["mpv", *quiet, *output, url], check=True, timeout=HANG_S)
    heard = pcm.read_bytes()
    if bits != 24:
        return heard
    assert not any(heard[0::4]), "mpv gave more than 24 bits"
    packed = bytearray(len(heard) // 4 * 3)
    for place in range(3):
        packed[place::3] = heard[place + 1 :: 4]
    return bytes(packed)


PLAYERS = [play_with_ffmpeg, play_with_mpv]
each_player = pytest.mark.parametrize("play", PLAYERS, ids=["ffmpeg", "mpv"])


@pytest.mark.parametrize(("file", "tier"), HLS_TIERS)
def test_ffmpeg_plays_every_media_playlist_to_the_sample(
    file: str, tier: str, listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    require_played(play_with_ffmpeg, file, tier, Listener(listener, tracks[file]), tmp_path)


@pytest.mark.parametrize(
    ("file", "tier"), [pair for pair in HLS_TIERS if pair[0] in FILES_OF_SEVERAL_CHUNKS]
)
def test_mpv_plays_a_media_playlist_to_the_sample(
    file: str, tier: str, listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    require_played(play_with_mpv, file, tier, Listener(listener, tracks[file]), tmp_path)


def require_played(play: Any, file: str, tier: str, found: Listener, folder: Path) -> None:
    truth = fact(file)
    url = found.url(found.rendition(tier), "media.m3u8")
    require_heard(play(url, tier_bits(truth, tier), folder), truth, tier)


@each_player
@pytest.mark.parametrize(
    ("file", "codecs", "tier"),
    [
        ("prelude.flac", "alac", "alac"),
        ("prelude.flac", "vorbis,flac", "flac"),
        ("speech.flac", "alac", "alac"),
        ("speech.flac", "flac", "flac"),
        ("lossy.mp3", "aac,flac", "aac-256"),
    ],
)
def test_a_multivariant_playlist_leads_a_player_to_the_codec_asked_for(
    play: Any,
    file: str,
    codecs: str,
    tier: str,
    listener: httpx.Client,
    tracks: dict[str, str],
    tmp_path: Path,
) -> None:
    truth = fact(file)
    master = urljoin(str(listener.base_url), f"/v1/tracks/{tracks[file]}/master.m3u8")
    pcm = play(f"{master}?codecs={codecs}", tier_bits(truth, tier), tmp_path)
    require_heard(pcm, truth, tier)


@pytest.mark.parametrize("file", ["prelude.flac", "ode.aiff", "ode-24.aiff", "prelude-96.flac"])
def test_ffmpeg_plays_the_dash_manifest_to_the_sample(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    truth, found = fact(file), Listener(listener, tracks[file])
    mpd = urljoin(found.manifest_url, "manifest.mpd")
    for tier in ("alac", "flac"):
        require_heard(decode(f"{mpd}?codecs={tier}"), truth, tier)
    heard = decode(f"{mpd}?codecs=aac")
    # ffmpeg opens each DASH segment as a file of its own, and finds iTunSMPB in front of each.
    lost = 1024 * (len(found.rendition("aac-128")["chunks"]) - 1)
    samples = samples_played(truth, "aac-128") - lost
    assert len(heard) == samples * frame_bytes(16, truth.channels)


def test_a_player_left_to_choose_takes_the_best_tier(
    listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    truth = fact("prelude-96.flac")
    master = urljoin(str(listener.base_url), f"/v1/tracks/{tracks[truth.file]}/master.m3u8")
    pcm = play_with_mpv(master, 24, tmp_path)
    assert hashlib.sha256(pcm).hexdigest() == truth.pcm_sha256


@each_player
def test_a_gapless_pair_joins_to_the_recording_it_was_cut_from(
    play: Any, listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    heard, recorded = b"", b""
    for file in ("canon-1.flac", "canon-2.flac"):
        found = Listener(listener, tracks[file], "alac")
        heard += play(found.url(found.rendition("alac"), "media.m3u8"), 16, tmp_path)
        recorded += decode(fact(file).path)
    assert len(recorded) == 1_032_919 * frame_bytes(16, 2)
    assert heard == recorded


# --------------------------------------------------------------------------- chunks


@pytest.mark.parametrize(("file", "tier"), OGG_TIERS)
def test_ogg_chunks_joined_decode_to_the_masters_length(
    file: str, tier: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    truth, found = fact(file), Listener(listener, tracks[file], "vorbis")
    pcm = decode(found.joined(found.rendition(tier)), "f32le")
    require_heard(pcm, truth, tier)


@pytest.mark.parametrize("file", FILES_OF_SEVERAL_CHUNKS)
def test_every_chunk_alone_decodes_to_its_span_of_the_whole(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks[file])
    for rendition in found.renditions:
        pcm = pcm_format(rendition["bits"])
        size = frame_bytes(rendition["bits"], rendition["channels"])
        whole = decode(found.joined(rendition), pcm)
        assert len(rendition["chunks"]) > 1
        for chunk, body in zip(rendition["chunks"], found.bodies(rendition), strict=True):
            alone = decode(with_preroll(found, rendition, chunk) + body, pcm)
            start, valid = chunk["start_samples"], chunk["valid_samples"]
            padding = samples_after(rendition, chunk)
            assert len(alone) == (valid + padding) * size, chunk
            assert alone == whole[start * size :][: len(alone)], chunk


def with_preroll(found: Listener, rendition: dict[str, Any], chunk: dict[str, Any]) -> bytes:
    """Return the init object and, by a range request, the chunk's own pre-roll.

    Both players leave out the first 1024 samples of AAC as its header asks, which are the priming
    in front of chunk 0 and, equally long, the pre-roll in front of every other.
    """
    init = found.fetch(rendition, rendition["init"]["name"])
    if chunk["preroll_range"] is None:
        assert chunk["preroll_samples"] == 0
        return init
    assert chunk["preroll_samples"] == rendition["priming_samples"]
    first, end = chunk["preroll_range"]
    url = found.url(rendition, rendition["preroll"]["name"])
    answer = found.client.get(url, headers={"Range": f"bytes={first}-{end - 1}"})
    assert (answer.status_code, len(answer.content)) == (206, end - first)
    return init + answer.content


def samples_after(rendition: dict[str, Any], chunk: dict[str, Any]) -> int:
    """Return the padding that a player hears after a chunk: AAC's, at the very end."""
    is_last = chunk is rendition["chunks"][-1]
    return int(rendition["padding_samples"]) if is_last and rendition["frame_samples"] else 0


# --------------------------------------------------------------------------- manifests


@pytest.mark.parametrize("file", FILES)
def test_the_manifest_obeys_the_schema_that_the_origin_serves(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    schema = listener.get("/v1/schemas/manifest.json")
    assert schema.headers["content-type"] == "application/schema+json"
    Draft202012Validator.check_schema(schema.json())
    checker = Draft202012Validator(
        schema.json(), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    checker.validate(Listener(listener, tracks[file]).manifest)


@pytest.mark.parametrize("file", FILES)
def test_the_manifest_tells_the_truth_about_the_master(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    truth, found = fact(file), Listener(listener, tracks[file])
    release = next(each for each in releases() if each["file"] == file)
    track = found.manifest["track"]
    assert track == {
        "id": tracks[file],
        "title": release["title"],
        "artist": release["artist"],
        "isrc": release["isrc"],
        "duration_s": track["duration_s"],
    }
    first = found.renditions[0]
    assert track["duration_s"] == round(first["samples"] / first["rate_hz"], 6)
    assert [rendition["tier"] for rendition in found.renditions] == earned(truth)
    for rendition in found.renditions:
        tier = rendition["tier"]
        assert rendition["samples"] == tier_samples(truth, tier)
        assert rendition["rate_hz"] == tier_rate(truth, tier)
        assert rendition["channels"] == truth.channels
        assert rendition["bits"] == tier_bits(truth, tier)
        assert rendition["codec"] == LADDER[tier]
        assert rendition["lossless"] is (LADDER[tier] in LOSSLESS)
        assert rendition["priming_samples"] == (1024 if LADDER[tier] == "mp4a.40.2" else 0)


@pytest.mark.parametrize("file", FILES)
def test_chunks_tile_every_rendition_on_the_common_grid(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    for rendition in Listener(listener, tracks[file]).renditions:
        end = 0
        for place, chunk in enumerate(rendition["chunks"]):
            assert chunk["start_samples"] == end
            if rendition["frame_samples"]:
                assert end == place * grid_samples(rendition["rate_hz"])
            end += chunk["valid_samples"]
        assert end == rendition["samples"]


@pytest.mark.parametrize("file", FILES)
def test_every_object_has_the_size_and_hash_that_the_manifest_declares(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks[file])
    for rendition in found.renditions:
        preroll = [rendition["preroll"]] if rendition["preroll"] else []
        for declared in [rendition["init"], *preroll, *rendition["chunks"]]:
            content = found.fetch(rendition, declared["name"])
            assert len(content) == declared["size_bytes"]
            assert hashlib.sha256(content).hexdigest() == declared["sha256"]
        assert len(found.joined(rendition)) == rendition["size_bytes"]


@pytest.mark.parametrize("file", FILES)
def test_the_multivariant_playlist_lists_each_mp4_tier_with_its_measured_rates(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks[file])
    answer = listener.get(urljoin(found.manifest_url, "master.m3u8"))
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    variants = m3u8.loads(answer.text, uri=str(answer.url)).playlists
    renditions = [each for each in found.renditions if each["codec"] != "vorbis"]
    for variant, rendition in zip(variants, renditions, strict=True):
        assert variant.absolute_uri == found.url(rendition, "media.m3u8")
        assert variant.stream_info.codecs == rendition["codec"]
        spent = sum(chunk["size_bytes"] for chunk in rendition["chunks"]) * 8
        average = variant.stream_info.average_bandwidth
        assert average == -(-spent * rendition["rate_hz"] // rendition["samples"])
        assert variant.stream_info.bandwidth >= average


@pytest.mark.parametrize(("file", "tier"), HLS_TIERS)
def test_a_media_playlist_is_as_long_as_the_track_to_the_microsecond(
    file: str, tier: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks[file])
    rendition = found.rendition(tier)
    text = found.fetch(rendition, "media.m3u8").decode()
    playlist = m3u8.loads(text)
    assert [part.uri for part in playlist.segments] == [
        chunk["name"] for chunk in rendition["chunks"]
    ]
    microseconds = [round(part.duration * 1_000_000) for part in playlist.segments]
    ends = [chunk["start_samples"] + chunk["valid_samples"] for chunk in rendition["chunks"]]
    for count, end in enumerate(ends, start=1):
        assert sum(microseconds[:count]) == round(end * 1_000_000 / rendition["rate_hz"])
    assert max(microseconds) <= (playlist.target_duration + 0.5) * 1_000_000
    assert playlist.segment_map[0].uri == rendition["init"]["name"]
    assert (playlist.playlist_type, playlist.is_endlist) == ("vod", True)
    assert playlist.is_independent_segments


def test_an_ogg_rendition_has_no_media_playlist(
    listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks["prelude.flac"], "vorbis")
    answer = listener.get(found.url(found.rendition("ogg-160"), "media.m3u8"))
    assert (answer.status_code, answer.json()["code"]) == (404, "object-not-found")
    master = listener.get(urljoin(found.manifest_url, "master.m3u8?codecs=vorbis"))
    assert (master.status_code, master.json()["code"]) == (404, "track-not-ready")


def test_published_tracks_are_listed_page_by_page(
    listener: httpx.Client, tracks: dict[str, str]
) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = listener.get("/v1/tracks", params={"after": after, "limit": 4}).json()
        assert len(page["tracks"]) <= 4
        seen += [track["id"] for track in page["tracks"]]
        after = page["next"]
    assert seen == sorted(seen)
    assert set(tracks.values()) <= set(seen)
