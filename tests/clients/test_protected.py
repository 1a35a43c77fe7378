"""Shaka Player in Chromium with downloads in common encryption, with an origin and without."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from protection.encoding import encode_bytes
from tests.clients.conftest import Call
from tests.e2e.test_cenc import take
from tests.e2e.test_offline import SAMPLES, Label, Person, label

__all__ = ["label"]

AAC_FRAME, RATE_HZ = 1024, 44_100
DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A track that a person keeps, as a player is told of it."""

    person: Person
    mpd: str
    kid: str

    @property
    def origin(self) -> dict[str, str]:
        """Where a player asks for licences, and how it shows who asks."""
        base, device = str(self.person.http.base_url), self.person.shelf.registered().device
        licence = urljoin(base, f"/v1/licences/clearkey?device_id={device}")
        return {"licence": licence, "token": self.person.token}


@pytest.fixture
def kept(label: Label, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Kept]:
    label.plant.run("labels", "policy", "development", "--standard-players")
    person = Person(label, f"{tmp_path.name}@example.org", tmp_path / "device")
    _, mpd, key_id = take(person, codec=getattr(request, "param", "aac"))
    url = urljoin(str(person.http.base_url), mpd)
    yield Kept(person=person, mpd=url, kid=encode_bytes(bytes.fromhex(key_id)))
    label.plant.run("labels", "policy", "development", "--no-standard-players")


def played(told: dict[str, Any], slack_s: float) -> None:
    """Assert that all of the track was played."""
    assert told["errors"] == []
    ((start, end),) = told["ranges"]
    assert start == 0
    assert abs(end - SAMPLES / RATE_HZ) <= slack_s
    assert told["ended"] == told["duration"] == end
    assert told["system"] == "org.w3.clearkey"
    assert told["decoded"] > 0


@pytest.mark.parametrize("kept", ["aac", "flac"], indirect=True)
def test_shaka_plays_what_is_encrypted(kept: Kept, call: Call) -> None:
    told = call("protected.js", "playOnline", kept.mpd, kept.origin)
    played(told, AAC_FRAME / RATE_HZ)


LICENCE_REFUSED = "6007"


def test_who_may_not_keep_it_any_more_gets_no_licence(kept: Kept, call: Call) -> None:
    """The manifest may still be there; the licence is what is refused, and why is told."""
    kept.person.label.plant.run("labels", "policy", "development", "--no-standard-players")
    told = call("protected.js", "playOnline", kept.mpd, kept.origin)
    assert told["errors"] == [LICENCE_REFUSED]
    assert "standard-players-not-allowed" in told["told"][0]


def test_what_is_stored_plays_with_the_origin_gone(kept: Kept, call: Call) -> None:
    stored = call("protected.js", "store", kept.mpd, kept.origin, kept.kid)
    assert (stored["errors"], stored["extractable"]) == ([], False)
    uri, now = stored["uri"], datetime.now(UTC).timestamp() * 1000
    plant = kept.person.label.plant
    plant.kill()
    try:
        assert not call("protected.js", "reaches", kept.mpd)
        played(call("protected.js", "playStored", uri, now, None), AAC_FRAME / RATE_HZ)
        wrong = call("protected.js", "playStored", uri, now, "00" * 16)
        assert wrong["errors"]
        late = call("protected.js", "playStored", uri, now + 31 * DAY_MS, None)
        assert late["errors"] == ["the licence has ended"]
        ahead = call("protected.js", "playStored", uri, now + 2 * DAY_MS, None)
        played(ahead, AAC_FRAME / RATE_HZ)
        back = call("protected.js", "playStored", uri, now, None)
        assert back["errors"] == ["the clock was turned back"]
    finally:
        plant.start()
