import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from catalogue.errors import TrackNotReady
from catalogue.licensing import Listener, Wish, grant_stream
from catalogue.nouns import Codec, RenditionId
from manifests.json import read_schema, render_json
from manifests.manifest import Manifest, build_manifest
from tests.contract.examples import AAC, ALAC, NOON, OGG, make_rendition, make_track

Document = dict[str, Any]
RENDITIONS = [make_rendition(tier) for tier in (OGG, AAC, ALAC)]
TRACK = make_track("US", renditions=RENDITIONS)
LISTENER = Listener(territory="US")


def build(*codecs: Codec) -> Manifest:
    def prefix(rendition: RenditionId) -> str:
        return f"../s/{rendition}/"

    now = NOON + timedelta(seconds=1)
    grant = grant_stream(TRACK, LISTENER, wish=Wish(codecs=codecs), now=now)
    return build_manifest(TRACK, grant, prefix, refresh_url="manifest")


def render(*codecs: Codec) -> Document:
    document: Document = json.loads(render_json(build(*codecs)))
    return document


def faults(document: Document) -> list[str]:
    return [fault.message for fault in Draft202012Validator(read_schema()).iter_errors(document)]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(read_schema())


def test_a_manifest_is_valid() -> None:
    assert faults(render()) == []


def test_a_manifest_of_plain_files_is_valid() -> None:
    plain = Manifest(
        title="Ode",
        artist=None,
        isrc=None,
        track_id=None,
        quality=None,
        renditions=(make_rendition(lengths=[1], sizes=[1]),),
        prefixes=("renditions/x/",),
        expires_at=None,
        refresh_after=None,
        refresh_url=None,
    )
    document = json.loads(render_json(plain))
    assert faults(document) == []
    assert document["renditions"][0]["preroll"] is None
    assert document["track"]["duration_s"] == round(1 / 44_100, 6)


def test_a_manifest_says_until_when_it_holds() -> None:
    document = render()
    assert document["expires_at"] == "2026-03-01T13:05:00Z"
    assert document["refresh_after"] == "2026-03-01T12:55:00Z"
    assert document["refresh_url"] == "manifest"


def test_a_manifest_names_its_track() -> None:
    assert render()["track"] == {
        "id": TRACK.id,
        "title": "Ode",
        "artist": "The Players",
        "isrc": "ZZTST2600001",
        "duration_s": round((442_368 * 2 + 24_000) / 44_100, 6),
    }


def test_a_manifest_has_every_rendition_in_order_with_its_prefix() -> None:
    found = [(each["tier"], each["base_url"]) for each in render()["renditions"]]
    assert found == [(each.tier.name, f"../s/{each.id}/") for each in RENDITIONS]


def test_a_rendition_says_how_to_play_it_to_the_sample() -> None:
    rendition, told = RENDITIONS[1], render()["renditions"][1]
    for name in ("id", "media_type", "rate_hz", "channels", "bits", "samples", "frame_samples"):
        assert told[name] == getattr(rendition, name)
    assert (told["priming_samples"], told["padding_samples"]) == (1024, 0)
    assert (told["codec"], told["lossless"]) == ("mp4a.40.2", False)
    assert told["size_bytes"] == 1000 + 300_000 + 310_000 + 17_000
    assert told["bitrate_bps"] == told["size_bytes"] * 8 * 44_100 // rendition.samples
    assert sum(chunk["valid_samples"] for chunk in told["chunks"]) == told["samples"]


def test_a_chunk_says_where_its_preroll_is() -> None:
    first, second, third = render()["renditions"][1]["chunks"]
    assert (first["preroll_range"], first["preroll_samples"]) == (None, 0)
    assert (second["preroll_range"], second["preroll_samples"]) == ([0, 700], 1024)
    assert third["preroll_range"] == [700, 1400]
    assert third["start_samples"] == 2 * 442_368
    body = RENDITIONS[1].chunks[2].body
    stored = {"name": body.name, "size_bytes": body.size_bytes, "sha256": body.sha256}
    assert {name: third[name] for name in stored} == stored


def test_words_of_any_language_stay_as_they_are() -> None:
    manifest = build()
    assert "Gymnopédie № 1 – 春" in render_json(
        Manifest(
            title="Gymnopédie № 1 – 春",
            artist=manifest.artist,
            isrc=manifest.isrc,
            track_id=manifest.track_id,
            quality=manifest.quality,
            renditions=manifest.renditions,
            prefixes=manifest.prefixes,
            expires_at=manifest.expires_at,
            refresh_after=manifest.refresh_after,
            refresh_url=manifest.refresh_url,
        )
    ).decode("utf-8")


def test_equal_requests_get_equal_bytes() -> None:
    assert render_json(build()) == render_json(build())


@pytest.mark.parametrize(
    ("codecs", "tiers"),
    [
        ([], ["ogg-160", "aac-256", "alac"]),
        ([Codec.AAC], ["aac-256"]),
        ([Codec.ALAC, Codec.VORBIS], ["ogg-160", "alac"]),
    ],
)
def test_a_manifest_is_limited_to_codecs(codecs: list[Codec], tiers: list[str]) -> None:
    assert [each["tier"] for each in render(*codecs)["renditions"]] == tiers


def test_a_codec_that_the_track_lacks_is_not_ready() -> None:
    with pytest.raises(TrackNotReady):
        build(Codec.FLAC)


# --------------------------------------------------------------------------- faulty manifests


def objects_of(document: Document) -> dict[str, Document]:
    """Return one object of every kind that the schema describes."""
    rendition = document["renditions"][1]
    return {
        "manifest": document,
        "track": document["track"],
        "rendition": rendition,
        "init": rendition["init"],
        "preroll": rendition["preroll"],
        "chunk": rendition["chunks"][1],
    }


MEMBERS = [(kind, name) for kind, found in objects_of(render()).items() for name in found]


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_every_member_is_required(kind: str, name: str) -> None:
    document = copy.deepcopy(render())
    del objects_of(document)[kind][name]
    assert faults(document) != []


@pytest.mark.parametrize("kind", ["manifest", "track", "rendition", "chunk"])
def test_no_other_member_is_allowed(kind: str) -> None:
    document = copy.deepcopy(render())
    objects_of(document)[kind]["loudness"] = 1
    assert faults(document) != []


FAULTS: dict[str, Callable[[Document], None]] = {
    "another version": lambda it: it.update(version=2),
    "no rendition": lambda it: it.update(renditions=[]),
    "no title": lambda it: it["track"].update(title=None),
    "an ISRC with hyphens": lambda it: it["track"].update(isrc="ZZ-TST-26-00001"),
    "no length": lambda it: it["track"].update(duration_s=0),
    "a base URL that is no prefix": lambda it: it["renditions"][0].update(base_url="../s/x"),
    "an unknown codec": lambda it: it["renditions"][0].update(codec="mp3"),
    "three channels": lambda it: it["renditions"][0].update(channels=3),
    "half a sample": lambda it: it["renditions"][0].update(samples=1.5),
    "negative priming": lambda it: it["renditions"][0].update(priming_samples=-1),
    "no chunk": lambda it: it["renditions"][0].update(chunks=[]),
    "an empty chunk": lambda it: it["renditions"][0]["chunks"][0].update(size_bytes=0),
    "a silent chunk": lambda it: it["renditions"][0]["chunks"][0].update(valid_samples=0),
    "a hash in capitals": lambda it: it["renditions"][0]["init"].update(sha256="A" * 64),
    "a short hash": lambda it: it["renditions"][0]["chunks"][0].update(sha256="a" * 63),
    "a range of one": lambda it: it["renditions"][0]["chunks"][1].update(preroll_range=[0]),
    "a range of three": lambda it: it["renditions"][0]["chunks"][1].update(preroll_range=[0] * 3),
    "a size in words": lambda it: it["renditions"][0].update(size_bytes="1000"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_manifest_is_refused(fault: str) -> None:
    document = copy.deepcopy(render())
    FAULTS[fault](document)
    assert faults(document) != []
