"""Chromium: Shaka Player, hls.js, chunks laid by hand, Ogg through WebAudio, and our own page."""

import base64
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.audio_tools import FIXTURES, decode, fact
from tests.clients.conftest import Call
from tests.e2e.servers import (
    PASSWORD,
    Listener,
    QuickPlant,
    accepted,
    deliver,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_players import tier_samples

FILE = "prelude.flac"
PAIR = ["canon-1.flac", "canon-2.flac"]
PAIR_SAMPLES = [541_357, 491_562]
RATE_HZ = 44_100
AAC_FRAME = 1024
_ENDS = re.compile(r"/s/([0-9]{10})\.[^/]+/[^/]+/[^/]+/[0-9]{5}\.m4s$")


def floats(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), "<f4")


# --------------------------------------------------------------------------- players


AAC, MIXED = ["aac-128", "aac-256"], ["aac-128", "aac-256", "flac"]


FACES = [("shaka", "manifest.mpd"), ("shaka", "master.m3u8"), ("hls", "master.m3u8")]
WALKS: list[tuple[str, list[str], list[int]]] = [
    ("flac", ["flac"], [0, 0, 0, 0]),
    ("aac", AAC, [0, 1, 0, 1]),
    ("aac,flac", MIXED, [0, 2, 2, 2]),
]


@pytest.mark.parametrize(("codecs", "tiers", "walk"), WALKS, ids=["flac", "aac", "aac-to-flac"])
@pytest.mark.parametrize(("kind", "face"), FACES)
def test_a_player_plays_seeks_changes_tier_and_ends(
    kind: str,
    face: str,
    codecs: str,
    tiers: list[str],
    walk: list[int],
    call: Call,
    listener: httpx.Client,
    tracks: dict[str, str],
) -> None:
    """Every chunk comes from the tier that was chosen for it, and they make one range."""
    url = urljoin(str(listener.base_url), f"/v1/tracks/{tracks[FILE]}/{face}?codecs={codecs}")
    told = call("players.js", "play", kind, url, walk)
    assert (told["errors"], told["tiers"]) == ([], len(tiers))
    # Of AAC's last frame, which the track does not fill, a player keeps all or nothing. Where the
    # coding changes in mid-track, Shaka Player places what follows to the millisecond.
    slack_s = 0.5 / RATE_HZ if codecs == "flac" else AAC_FRAME / RATE_HZ
    seconds = fact(FILE).samples / RATE_HZ
    ((start, end),) = told["ranges"]
    assert start == 0
    assert abs(end - seconds) <= slack_s
    assert told["ended"] == told["duration"] == end
    assert abs(told["sought"] - seconds / 2) < 0.1
    found = Listener(listener, tracks[FILE])
    chunks = [chunk["name"] for chunk in found.rendition(tiers[0])["chunks"]]
    assert len(chunks) == len(walk)
    for place, tier in enumerate(tiers):
        wanted = {chunk for chunk, chosen in zip(chunks, walk, strict=True) if chosen == place}
        fetched = names_fetched(told["urls"], url, found.rendition(tier))
        # hls.js may have fetched the next chunk already when it is told to change.
        assert fetched == wanted if kind == "shaka" else fetched >= wanted


LIFE_S = 12


@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh", "left-alone"])
@pytest.mark.parametrize(("kind", "face"), FACES)
def test_a_player_plays_on_when_its_urls_end(
    kind: str,
    face: str,
    is_fresh: bool,
    call: Call,
    label: httpx.Client,
    listener: httpx.Client,
    tracks: dict[str, str],
) -> None:
    """One right ends while the track plays, and so do the URLs; the next one begins at once."""
    assert tracks
    turn = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LIFE_S)
    rights = [
        {"territories": ["Worldwide"], "ends_at": turn.isoformat()},
        {"territories": ["Worldwide"], "starts_at": turn.isoformat(), "max_quality": "lossless"},
    ]
    isrc = f"ZZTST26{90_000 + 2 * FACES.index((kind, face)) + is_fresh}"
    job = accepted(deliver(label, FIXTURES / FILE, isrc=isrc, rights=rights))
    track_id = wait_for_job(label, job)["track_id"]
    manifest = urljoin(str(listener.base_url), f"/v1/tracks/{track_id}/manifest")
    url = f"{manifest.removesuffix('manifest')}{face}?codecs=aac"
    ends_ms = turn.timestamp() * 1000
    told = call("players.js", "playThrough", kind, url, manifest, ends_ms, is_fresh)
    assert told["early"]
    ends = {found[1] for found in map(_ENDS.search, told["urls"]) if found}
    if not is_fresh:
        assert told["ended"] is None
        assert told["errors"]
        assert ends == {str(int(turn.timestamp()))}
        return
    assert told["errors"] == []
    ((start, end),) = told["ranges"]
    assert start == 0
    assert abs(end - fact(FILE).samples / RATE_HZ) <= AAC_FRAME / RATE_HZ
    assert told["ended"] == end
    assert len(ends) == 2


def names_fetched(urls: list[str], base: str, rendition: dict[str, Any]) -> set[str]:
    """Return which chunks of a rendition are among the URLs."""
    folder = urlsplit(urljoin(base, rendition["base_url"])).path.split("/", 3)[-1]
    names = {chunk["name"] for chunk in rendition["chunks"]}
    return {url.rpartition("/")[2] for url in urls if f"/{folder}" in url} & names


# --------------------------------------------------------------------------- chunks by hand


@pytest.mark.parametrize("tier", ["flac", "aac-128", "aac-256"])
def test_a_gapless_pair_is_one_range_in_the_browser(
    tier: str, call: Call, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    manifests = [Listener(listener, tracks[file]).manifest_url for file in PAIR]
    told = call("chunks.js", "joinTracks", manifests, tier)
    ((start, end),) = told["ranges"]
    assert start == 0
    assert round(end * RATE_HZ) == round(told["duration"] * RATE_HZ) == sum(PAIR_SAMPLES)


@pytest.mark.parametrize("tier", ["flac", "aac-256"])
def test_the_seam_of_a_gapless_pair_is_heard_as_it_was_encoded(
    tier: str, call: Call, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    pair = [Listener(listener, tracks[file]) for file in PAIR]
    urls, seam = [found.manifest_url for found in pair], PAIR_SAMPLES[0]
    heard = floats(call("chunks.js", "recordSeam", urls, tier, RATE_HZ, seam / RATE_HZ, 2)).reshape(
        -1, 2
    )
    heard = heard[np.argmax(heard.any(axis=1)) :]
    assert len(heard) > RATE_HZ * 1.5
    wanted = np.concatenate([track_pcm(found, tier) for found in pair])[seam - RATE_HZ :]
    wanted = wanted[: len(heard)]
    if tier == "flac":
        assert np.array_equal(chromium_to_s16(heard), wanted * 32768)
    else:
        # Where it was sought to, the decoder has not heard the frame before.
        assert np.abs(heard - wanted)[AAC_FRAME:].max() < 0.000_001


def track_pcm(found: Listener, tier: str) -> NDArray[np.float32]:
    """Return what ffmpeg makes of a rendition's own samples."""
    rendition = found.rendition(tier)
    pcm = np.frombuffer(decode(found.joined(rendition), "f32le"), "<f4").reshape(-1, 2)
    return pcm[: rendition["samples"]]


def chromium_to_s16(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 16-bit samples that Chromium made floats of, each sign by its own full scale."""
    return np.where(pcm > 0, np.rint(pcm * 32767), np.rint(pcm * 32768))


@pytest.mark.parametrize("tier", ["ogg-24", "ogg-96", "ogg-160", "ogg-320"])
def test_ogg_chunks_decode_alone_to_the_samples_of_the_whole(
    tier: str, call: Call, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    found = Listener(listener, tracks[FILE])
    told = call("chunks.js", "decodeOgg", found.manifest_url, tier)
    joined = [floats(channel) for channel in told["joined"]]
    alone = [
        np.concatenate([floats(chunk[channel]) for chunk in told["alone"]]) for channel in (0, 1)
    ]
    assert [len(channel) for channel in joined] == [tier_samples(fact(FILE), tier)] * 2
    assert all(map(np.array_equal, alone, joined))


# --------------------------------------------------------------------------- our own page


def test_our_page_plays_on_from_track_to_track_and_changes_tier(
    chromium: webdriver.Chrome, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    chromium.get(str(listener.base_url))

    def rows() -> Any:
        return chromium.find_elements(By.CSS_SELECTOR, "#tracks li")

    wait_until(lambda: len(rows()) >= len(tracks) - 1, "the list of tracks")
    first = next(row for row in rows() if "Part One" in row.text)
    first.find_element(By.TAG_NAME, "button").click()

    def state() -> dict[str, Any]:
        script = """
            const { buffered, currentTime, paused } = document.getElementById('player');
            const ranges = Array.from(buffered, (_, i) => [buffered.start(i), buffered.end(i)]);
            const status = document.getElementById('status').textContent;
            return { ranges, currentTime, paused, status };
        """
        found: dict[str, Any] = chromium.execute_script(script)
        return found

    wait_until(lambda: state()["currentTime"] > 0, "sound")
    assert not state()["paused"]
    Select(chromium.find_element(By.ID, "tier")).select_by_value("aac-128")
    chromium.execute_script("document.getElementById('player').currentTime = arguments[0]", 11)
    wait_until(lambda: state()["currentTime"] > PAIR_SAMPLES[0] / RATE_HZ, "the second track")
    wait_until(lambda: "Part Two" in state()["status"], "its title")
    assert len(state()["ranges"]) == 1
    names = chromium.execute_script(
        "return performance.getEntriesByType('resource').map(({ name }) => name)"
    )
    second = Listener(listener, tracks[PAIR[1]])
    assert names_fetched(names, second.manifest_url, second.rendition("aac-128"))


def test_our_page_asks_who_listens(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    with QuickPlant(tmp_path / "state", GUESTS="") as plant:
        with plant.client() as label:
            wait_for_job(label, accepted(deliver(label, FIXTURES / PAIR[0], title="Part One")))
        plant.make_account("ada@example.org", "--plan", "individual")
        chromium.get(plant.url)

        def find(selector: str) -> WebElement:
            return chromium.find_element(By.CSS_SELECTOR, selector)

        def said() -> str:
            return str(find("#status").text)

        wait_until(lambda: chromium.find_elements(By.CSS_SELECTOR, "#tracks li"), "the track")
        find("#tracks button").click()
        wait_until(lambda: "Listeners sign in here" in said(), "the question")
        for name, text in (("email", "ada@example.org"), ("password", "guess")):
            find(f"#{name}").send_keys(text)
        find("#sign-in button").click()
        wait_until(lambda: "do not belong together" in said(), "a refusal")
        find("#password").clear()
        find("#password").send_keys(PASSWORD)
        find("#sign-in button").click()
        wait_until(lambda: "ada@example.org, individual" in find("#who").text, "the account")
        find("#tracks button").click()
        played = "return document.getElementById('player').currentTime"
        wait_until(lambda: chromium.execute_script(played) > 0, "sound")
        find("#sign-out").click()
        wait_until(lambda: find("#sign-in").is_displayed(), "the form")
        with plant.signed_in("ada@example.org") as ada:
            (own,) = ada.get("/v1/sessions").json()["sessions"]
            assert own["current"]
