"""What independent readers make of the manifests and of the fragments that they lead to."""

import json
import subprocess
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import m3u8
import pytest
from lxml import etree

from manifests.cpix import render_cpix
from protection.cenc import derive_cenc_key
from protection.content_keys import ContentKey
from protection.cpix import read_partners, seal_keys
from tests.audio_tools import Fact, fact
from tests.e2e.servers import HANG_S, Listener
from tests.e2e.test_players import (
    HLS_TIERS,
    LADDER,
    LOSSLESS,
    aac_padding,
    earned,
    grid_samples,
    tier_rate,
    tier_samples,
)
from tests.partners import TestPartner

JUDGES = Path(__file__).parent / "judges"
BUILD = Path(__file__).parents[2] / "build"
FILES = ["prelude.flac", "ode-24.aiff", "prelude-96.flac", "gymnopedie-192.flac", "lossy.mp3"]
TIERS = [(file, tier) for file, tier in HLS_TIERS if file in FILES]


# mp4box.js 2.4 takes a FLAC's first metadata block, marked as the last one, for one of several.
MP4BOX_ON_FLAC = b"Parsing of box 'dfLa' read 38 more bytes than the indicated box data size"


def judge(name: str, source: bytes, *words: str, known: bytes = b"") -> Any:
    """Return what a judge says of what it is given; an objection that is not known is an error."""
    done = subprocess.run(
        ["node", str(JUDGES / f"{name}.js"), *words],
        input=source,
        capture_output=True,
        cwd=JUDGES,
        timeout=HANG_S,
        check=False,
    )
    objections = [line for line in done.stderr.splitlines() if not known or known not in line]
    assert (done.returncode, objections) == (0, []), done.stderr.decode()
    return json.loads(done.stdout)


def fetch(client: httpx.Client, track: str, face: str) -> httpx.Response:
    answer = client.get(f"/v1/tracks/{track}/{face}")
    assert answer.status_code == 200, answer.text
    return answer


def fragmented(truth: Fact) -> list[str]:
    return [tier for tier in earned(truth) if LADDER[tier] != "vorbis"]


# --------------------------------------------------------------------------- HLS


@pytest.mark.parametrize("file", FILES)
def test_hls_parser_finds_nothing_wrong_with_the_multivariant_playlist(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    told = judge("hls", fetch(listener, tracks[file], "master.m3u8").content)
    codecs = [LADDER[tier] for tier in fragmented(fact(file))]
    assert [variant["codecs"] for variant in told["variants"]] == codecs
    for variant in told["variants"]:
        assert 0 < variant["averageBandwidth"] <= variant["bandwidth"]


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_media_playlists_last_as_long_as_the_track(
    file: str, tier: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks[file])
    rendition = found.rendition(tier)
    text = found.fetch(rendition, "media.m3u8")
    told = judge("hls", text)
    assert (told["endlist"], told["type"]) == (True, "VOD")
    names = [chunk["name"] for chunk in rendition["chunks"]]
    assert [segment["uri"] for segment in told["segments"]] == names
    assert told["segments"][0]["map"] == rendition["init"]["name"]
    rate_hz = tier_rate(fact(file), tier)
    valid = [chunk["valid_samples"] for chunk in rendition["chunks"]]
    for segment, samples in zip(told["segments"], valid, strict=True):
        assert abs(segment["duration"] - samples / rate_hz) <= 0.000_001
    assert told["targetDuration"] >= ceil(max(valid) / rate_hz - 0.5)
    parsed = m3u8.loads(text.decode())
    assert parsed.is_endlist and parsed.is_independent_segments
    seconds = sum(Fraction(str(segment.duration)) for segment in parsed.segments)
    assert round(seconds * rate_hz) == tier_samples(fact(file), tier)


# --------------------------------------------------------------------------- DASH


@pytest.mark.parametrize("file", FILES)
def test_mpd_parser_finds_every_sample_of_every_tier(
    file: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    truth = fact(file)
    answer = fetch(listener, tracks[file], "manifest.mpd")
    told = judge("mpd", answer.content, str(answer.url))
    assert told["warnings"] == []
    assert sorted(each["codecs"] for each in told["playlists"]) == sorted(
        LADDER[tier] for tier in fragmented(truth)
    )
    found = Listener(listener, tracks[file])
    for rendition in found.renditions:
        if rendition["codec"] == "vorbis":
            continue
        rate_hz = rendition["rate_hz"]
        base = urljoin(found.manifest_url, rendition["base_url"])
        (playlist,) = [
            each for each in told["playlists"] if each["segments"][0]["uri"].startswith(base)
        ]
        samples = [round(segment["seconds"] * rate_hz) for segment in playlist["segments"]]
        assert samples == [chunk["valid_samples"] for chunk in rendition["chunks"]]
        assert sum(samples) == tier_samples(truth, rendition["tier"])
        starts = [round(segment["start"] * rate_hz) for segment in playlist["segments"]]
        assert starts == [chunk["start_samples"] for chunk in rendition["chunks"]]
        uris = [segment["uri"] for segment in playlist["segments"]]
        assert uris == [f"{base}{chunk['name']}" for chunk in rendition["chunks"]]
        assert playlist["segments"][0]["init"] == f"{base}{rendition['init']['name']}"
    longest = max(Fraction(each["samples"], each["rate_hz"]) for each in found.renditions)
    assert abs(Fraction(told["duration"]) - longest) < Fraction(1, 48_000)


# --------------------------------------------------------------------------- MP4


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_mp4box_reads_the_fragments_as_they_are_declared(
    file: str, tier: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    truth, found = fact(file), Listener(listener, tracks[file])
    rendition = found.rendition(tier)
    known = MP4BOX_ON_FLAC if LADDER[tier] == "fLaC" else b""
    told = judge("mp4", found.joined(rendition), known=known)
    samples, rate_hz = tier_samples(truth, tier), tier_rate(truth, tier)
    lossless = LADDER[tier] in LOSSLESS
    priming, frame = (0, 4096) if lossless else (1024, 1024)
    field = rate_hz
    while field > 65_535:
        field //= 2
    assert told["timescale"] == rate_hz
    assert (told["entry"]["rate"], told["entry"]["channels"]) == (field, truth.channels)
    assert told["edits"] == ([] if lossless else [[samples, 1024]])
    grid = grid_samples(rate_hz)
    starts = range(0, samples, grid)
    times = [start + (priming if start else 0) for start in starts]
    assert told["fragments"] == [[turn + 1, time] for turn, time in enumerate(times)]
    heard = samples if lossless else samples + aac_padding(samples)
    end = 0
    for time, duration, size, is_sync in told["samples"]:
        assert (time, is_sync) == (end, True)
        assert size > 0
        end = time + duration
    assert end == priming + heard
    durations = {duration for _, duration, _, _ in told["samples"][:-1]}
    assert durations <= {frame}
    assert told["samples"][-1][1] == (heard - 1) % frame + 1


# --------------------------------------------------------------------------- keys for partners


def test_an_exported_document_is_what_the_schema_says(tmp_path: Path) -> None:
    """Judged by the schema of DASH-IF, which the package cpix carries."""
    TestPartner.make().put(tmp_path, "one")
    keys = [derive_cenc_key(ContentKey(f"{number:032x}", bytes(32))) for number in (1, 2)]
    document = render_cpix(seal_keys(read_partners(tmp_path, "setting")["one"], keys))
    schema = etree.XMLSchema(etree.parse(BUILD / "cpix" / "cpix" / "schema" / "cpix.xsd"))
    # It is that of CPIX 2.2, which did not name schemes yet.
    document = document.replace(b' commonEncryptionScheme="cbcs"', b"")
    schema.assertValid(etree.fromstring(document))
    with pytest.raises(etree.DocumentInvalid):
        schema.assertValid(etree.fromstring(document.replace(b" kid=", b" name=", 1)))
