"""What a manifest grants, and what it refuses and why, over HTTP and on the command line."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue.errors import (
    LatheError,
    MetadataInvalid,
    RequestInvalid,
    RightEnded,
    RightNotBegun,
    RoleMayNot,
    SubscriptionTooLow,
    TerritoryNotLicensed,
    TierNotLicensed,
    TrackTakenDown,
    UseNotLicensed,
)
from tests.audio_tools import FIXTURES
from tests.e2e.servers import LATHE, Plant, accepted, deliver, wait_for_job
from tests.e2e.test_problems import FACES, require_documented, require_problem

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
LADDER = """
[[tier]]
name = "ogg-24"
codec = "vorbis"
bitrate_kbps = 24
mono_bitrate_kbps = 16
rate_hz = 16000
[[tier]]
name = "aac-128"
codec = "aac"
bitrate_kbps = 128
mono_bitrate_kbps = 64
[[tier]]
name = "flac"
codec = "flac"
"""
RIGHTS: dict[str, list[dict[str, Any]]] = {
    "always": [{"territories": ["Worldwide"]}],
    "past": [{"territories": ["Worldwide"], "ends_at": (NOW - DAY).isoformat()}],
    "coming": [{"territories": ["Worldwide"], "starts_at": (NOW + DAY).isoformat()}],
    "download": [{"territories": ["Worldwide"], "uses": ["download"]}],
    "lossy": [{"territories": ["Worldwide"], "max_quality": "high"}],
    "elsewhere": [{"territories": ["Worldwide"], "excluded": ["US"]}],
    "ending": [{"territories": ["US"], "ends_at": (NOW + timedelta(minutes=20)).isoformat()}],
}
REFUSED: dict[str, tuple[type[LatheError], dict[str, str]]] = {
    "past": (RightEnded, {}),
    "coming": (RightNotBegun, {}),
    "download": (UseNotLicensed, {}),
    "elsewhere": (TerritoryNotLicensed, {}),
    "lossy": (TierNotLicensed, {"codecs": "flac"}),
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A plant whose guests are on the free plan, in the United States."""
    folder = tmp_path_factory.mktemp("rights")
    ladder = folder / "ladder.toml"
    ladder.write_text(LADDER)
    with Plant(folder / "state", LADDER=str(ladder), TERRITORY="US", GUESTS="free") as plant:
        yield plant


@pytest.fixture(scope="module")
def ids(plant: Plant) -> dict[str, str]:
    """Tracks by the name of their rights."""
    with plant.client() as label:
        jobs = {
            name: accepted(
                deliver(label, FIXTURES / "speech.flac", isrc=f"ZZTST26{number:05}", rights=rights)
            )
            for number, (name, rights) in enumerate(RIGHTS.items())
        }
        return {name: wait_for_job(label, job)["track_id"] for name, job in jobs.items()}


@pytest.fixture(scope="module")
def premium(plant: Plant) -> Iterator[httpx.Client]:
    plant.make_account("premium@example.org", "--plan", "premium")
    with plant.signed_in("premium@example.org") as client:
        yield client


@pytest.fixture(scope="module")
def guest(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client(key="") as client:
        yield client


def manifest(client: httpx.Client, track: str, **query: str) -> dict[str, Any]:
    answer = client.get(f"/v1/tracks/{track}/manifest", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def tiers(found: dict[str, Any]) -> list[str]:
    return [each["tier"] for each in found["renditions"]]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_its_reason(
    premium: httpx.Client, ids: dict[str, str], name: str, face: str
) -> None:
    kind, query = REFUSED[name]
    answer = premium.get(f"/v1/tracks/{ids[name]}/{face}", params=query)
    assert answer.status_code == 451
    require_problem(answer, kind)
    require_documented(premium, "GET", f"/v1/tracks/{{track_id}}/{face}", kind)


def test_quality_is_bounded_by_plan_right_preference_and_network(
    premium: httpx.Client, guest: httpx.Client, ids: dict[str, str]
) -> None:
    always, url = ids["always"], f"/v1/tracks/{ids['always']}/manifest"
    assert tiers(manifest(premium, always)) == ["ogg-24", "aac-128", "flac"]
    assert tiers(manifest(guest, always)) == ["ogg-24", "aac-128"]
    assert tiers(manifest(premium, ids["lossy"])) == ["ogg-24", "aac-128"]
    assert manifest(premium, ids["lossy"])["quality"] == "high"
    for query in ({"quality": "high"}, {"network": "4g"}, {"quality": "hires", "network": "3g"}):
        assert tiers(manifest(premium, always, **query)) == ["ogg-24", "aac-128"]
    assert manifest(premium, always, network="2g")["quality"] == "low"
    for headers in ({"X-Preferred-Quality": "normal"}, {"X-Network-Type": "4g"}):
        assert tiers(premium.get(url, headers=headers).json()) == ["ogg-24", "aac-128"]
        # What stands in the query goes before.
        said = {"quality": "lossless", "network": "wifi"}
        found = premium.get(url, headers=headers, params=said).json()
        assert (tiers(found)[-1], found["quality"]) == ("flac", "lossless")
    for bad in ({"quality": "best"}, {"network": "6g"}):
        require_problem(premium.get(url, params=bad), RequestInvalid)
    require_problem(premium.get(url, headers={"X-Network-Type": "6g"}), RequestInvalid)
    answer = guest.get(url, params={"codecs": "flac"})
    require_problem(answer, SubscriptionTooLow)
    assert answer.status_code == 403


def test_no_url_outlives_the_right(premium: httpx.Client, ids: dict[str, str]) -> None:
    found = manifest(premium, ids["ending"])
    end = (NOW + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found["expires_at"] == found["refresh_after"] == end
    assert int(found["renditions"][0]["base_url"].split("/s/")[1].split(".")[0]) == int(
        (NOW + timedelta(minutes=20)).timestamp()
    )


def test_a_track_that_was_taken_down_is_gone(
    plant: Plant, premium: httpx.Client, ids: dict[str, str]
) -> None:
    with plant.client() as label:
        said = deliver(label, FIXTURES / "canon-1.flac", isrc="ZZTST2600055")
        track = wait_for_job(label, accepted(said))["track_id"]
    assert manifest(premium, track)
    assert plant.run("tracks", "take-down", track) == f"{track}: taken down\n"
    for face in FACES:
        require_problem(premium.get(f"/v1/tracks/{track}/{face}"), TrackTakenDown)
    require_problem(premium.get(f"/v1/tracks/{track}/similar"), TrackTakenDown)
    found = premium.get(f"/v1/tracks/{ids['always']}/similar").json()["tracks"]
    assert track not in [each["id"] for each in found]
    plant.run("tracks", "restore", track)
    assert manifest(premium, track)


@pytest.mark.parametrize(
    ("rights", "pointer"),
    [
        ([], "/rights"),
        ([{"territories": ["US"], "excluded": ["FR"]}], "/rights/0/excluded"),
        (
            [{"territories": ["US"]}, {"territories": ["US"], "uses": ["broadcast"]}],
            "/rights/1/uses/0",
        ),
        ([{"territories": ["US"], "starts_at": "2026-01-01T00:00:00"}], "/rights/0/starts_at"),
        (
            [
                {
                    "territories": ["US"],
                    "starts_at": "2026-01-02T00:00:00Z",
                    "ends_at": "2026-01-02T00:00:00Z",
                }
            ],
            "/rights/0/ends_at",
        ),
        ([{"territories": ["US"], "max_quality": "best"}], "/rights/0/max_quality"),
    ],
)
def test_rights_that_make_no_sense_are_refused(
    plant: Plant, rights: list[dict[str, Any]], pointer: str
) -> None:
    with plant.client() as label:
        answer = deliver(label, FIXTURES / "tiny.wav", rights=rights)
    problem = require_problem(answer, MetadataInvalid)
    assert problem["measured"] == {"pointer": pointer}


# --------------------------------------------------------------------------- explanations


def explain(plant: Plant, *words: str) -> tuple[int, dict[str, Any], str]:
    """Return the exit code of ``lathe explain``, its JSON, and what it says on stderr."""
    environment = {"PATH": str(Path(LATHE).parent), **plant.environment}
    command = [LATHE, "explain", *words, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.mark.parametrize("name", RIGHTS)
def test_an_explanation_says_what_the_manifest_does(
    plant: Plant, premium: httpx.Client, ids: dict[str, str], name: str
) -> None:
    answer = premium.get(f"/v1/tracks/{ids[name]}/manifest")
    status, told, _ = explain(plant, ids[name], "premium@example.org")
    granted = answer.status_code == 200
    assert (status, told["granted"]) == (0 if granted else 1, granted)
    last = told["findings"][-1]
    assert last["code"] == (None if granted else answer.json()["code"])
    if not granted:
        assert last["told"] == answer.json()["detail"]


def test_an_operator_asks_about_another_time_place_and_use(
    plant: Plant, premium: httpx.Client, ids: dict[str, str]
) -> None:
    later = (NOW + DAY + DAY).isoformat()
    assert explain(plant, ids["coming"], "guest", "--at", later)[0] == 0
    assert explain(plant, ids["past"], "guest", "--at", "2020-01-01T00:00:00")[0] == 0
    assert explain(plant, ids["elsewhere"], "guest", "fr")[0] == 0
    assert explain(plant, ids["download"], "guest", "--use", "download")[0] == 0
    status, told, _ = explain(plant, ids["always"], "guest", "--quality", "hires")
    assert (status, told["findings"][-1]["told"]) == (0, "normal: ogg-24, aac-128")
    assert explain(plant, ids["always"], "guest", "--at", "noon")[0] == 2
    assert explain(plant, ids["always"], "guest", "Atlantis")[0] == 2
    assert explain(plant, ids["always"], "nobody@example.org")[0] == 1
    said = plant.run("explain", ids["always"], "guest")
    assert "yes  territory: licensed in US" in said


def test_an_explanation_of_the_past_tells_what_was_changed_since(
    plant: Plant, ids: dict[str, str]
) -> None:
    track, email = ids["always"], "changed@example.org"
    account = plant.make_account(email, "--territory", "US")
    assert explain(plant, track, email)[1]["changed_since"] == []
    before = datetime.now(UTC).isoformat()
    with plant.client() as label:
        assert label.put(f"/v1/tracks/{track}/takedown").status_code == 204
        refused_at = datetime.now(UTC).isoformat()
        assert label.delete(f"/v1/tracks/{track}/takedown").status_code == 204
    plant.run("accounts", "change", account, "--plan", "premium")
    for moment, deeds in (
        (before, ["taken-down", "restored", "account-changed"]),
        (refused_at, ["restored", "account-changed"]),
        (datetime.now(UTC).isoformat(), []),
    ):
        status, told, _ = explain(plant, track, email, "--at", moment)
        assert (status, told["granted"]) == (0, True)
        assert [each["deed"] for each in told["changed_since"]] == deeds
    plant.make_account("operator@example.org", "--role", "operator")
    with plant.signed_in("operator@example.org") as operator:
        asked = {"account": account, "at": refused_at}
        found = operator.get(f"/v1/tracks/{track}/explanation", params=asked).json()
    assert [each["deed"] for each in found["changed_since"]] == ["restored", "account-changed"]
    assert found["changed_since"][1]["details"]["plan"] == ["free", "premium"]
    said = plant.run("explain", track, email, "--at", refused_at)
    assert "What was changed since then:" in said
    assert f"account-changed {account} " in said


def test_curators_ask_over_http(plant: Plant, premium: httpx.Client, ids: dict[str, str]) -> None:
    account = plant.make_account("curator@example.org", "--role", "curator", "--territory", "fr")
    url = f"/v1/tracks/{ids['elsewhere']}/explanation"
    with plant.signed_in("curator@example.org") as curator:
        found = curator.get(url, params={"account": account, "territory": "US"}).json()
        assert (found["granted"], found["territory"]) == (True, "FR")
        past = curator.get(
            f"/v1/tracks/{ids['past']}/explanation", params={"account": account}
        ).json()
        assert (past["granted"], past["answers"][-1]["code"]) == (False, "right-ended")
    require_problem(premium.get(url, params={"account": account}), RoleMayNot)
