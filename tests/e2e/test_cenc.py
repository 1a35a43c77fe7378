"""Downloads for standard players: in common encryption, with keys that are asked for."""

import hashlib
import json
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree

import httpx
import pytest

from catalogue.offline import DeviceKind
from lathe.client import Keeper
from protection.encoding import decode_bytes, encode_bytes
from tests.audio_tools import FIXTURES
from tests.e2e.servers import Plant, accepted, deliver, wait_for_job, wait_until
from tests.e2e.test_offline import Label, Person, ada, label
from tests.partners import TestPartner

__all__ = ["ada", "label"]

MPD = "{urn:mpeg:dash:schema:mpd:2011}"


@pytest.fixture
def open_label(label: Label) -> Label:
    """The label, which lets its tracks be kept by standard players."""
    label.plant.run("labels", "policy", "development", "--standard-players")
    return label


def take(person: Person, **wanted: Any) -> tuple[str, str, str]:
    """Take a track encrypted; return the download, the URL of its MPD, and its key's id."""
    device = person.shelf.registered().device
    said = {"device_id": device, "track_id": person.label.one, "form": "cenc"} | wanted
    taken = person.http.post("/v1/downloads", json=said)
    assert taken.status_code == 202, taken.text
    (track,) = taken.json()["tracks"]
    assert track["form"] == "cenc"
    download = taken.json()["id"]
    wait_until(lambda: person.keeper.download(download)["ready"], "an encrypted download")
    mpd = f"/v1/downloads/{download}/tracks/{track['track_id']}/manifest.mpd"
    return download, mpd, track["key_id"]


def ask(person: Person, *key_ids: str, **more: Any) -> httpx.Response:
    """Ask for keys as a player does."""
    kids = [encode_bytes(bytes.fromhex(each)) for each in key_ids]
    return person.http.post(
        "/v1/licences/clearkey",
        params={"device_id": person.shelf.registered().device},
        json={"kids": kids, "type": "temporary"} | more,
    )


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def read_mpd(person: Person, mpd: str) -> tuple[ElementTree.Element, list[bytes]]:
    """Return an MPD, and what its URLs give: the init segment first."""
    answer = person.http.get(mpd)
    assert answer.headers["content-type"] == "application/dash+xml", answer.text
    root = ElementTree.fromstring(answer.content)
    (base,) = root.iter(f"{MPD}BaseURL")
    count = len(list(root.iter(f"{MPD}S")))
    names = ["init.mp4", *(f"{place:05d}.m4s" for place in range(count))]
    url = urljoin(urljoin(str(person.http.base_url), mpd), base.text)
    with httpx.Client() as anybody:
        got = [anybody.get(urljoin(url, name)) for name in names]
    assert {each.status_code for each in got} == {200}
    return root, [each.content for each in got]


def pcm(path: Path, data: bytes, *options: str) -> tuple[int, str]:
    """Return how many bytes of PCM ffmpeg makes of it, and their hash."""
    path.write_bytes(data)
    command = ["ffmpeg", "-v", "error", *options, "-i", str(path), "-f", "s32le", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return len(done.stdout), hashlib.sha256(done.stdout).hexdigest()


@pytest.mark.parametrize(("codec", "tier"), [("aac", "aac-128"), ("flac", "flac")])
def test_ffmpeg_decrypts_to_the_same_samples(
    open_label: Label, ada: Person, codec: str, tier: str, tmp_path: Path
) -> None:
    _, mpd, key_id = take(ada, codec=codec)
    root, objects = read_mpd(ada, mpd)
    told = next(root.iter(f"{MPD}ContentProtection"))
    assert told.attrib["value"] == "cbcs"
    kid = told.attrib["{urn:mpeg:cenc:2013}default_KID"]
    assert kid.replace("-", "") == key_id
    found = ask(ada, key_id)
    assert found.headers["cache-control"] == "no-store"
    (key,) = found.json()["keys"]
    secret = decode_bytes(key["k"])
    clear = ada.http.get(f"/v1/tracks/{ada.label.one}/manifest?codecs={codec}")
    (rendition,) = [each for each in clear.json()["renditions"] if each["tier"] == tier]
    url = urljoin(str(clear.url), rendition["base_url"])
    names = [rendition["init"]["name"], *(chunk["name"] for chunk in rendition["chunks"])]
    plain = [httpx.get(urljoin(url, name)).content for name in names]
    assert [len(each) for each in plain[1:]] == [len(each) for each in objects[1:]]
    assert not set(plain) & set(objects)
    path, joined = tmp_path / "track.mp4", b"".join(objects)
    expected = pcm(path, b"".join(plain))
    assert pcm(path, joined, "-decryption_key", secret.hex()) == expected
    wrong = bytes([secret[0] ^ 1]) + secret[1:]
    for options in ((), ("-decryption_key", wrong.hex())):
        assert pcm(path, joined, *options) != expected


def test_what_is_encrypted_is_told_in_full_before_it_is_made(
    open_label: Label, ada: Person
) -> None:
    download, mpd, _ = take(ada, codec="aac")
    progress = ada.keeper.download(download)["progress"]
    _, objects = read_mpd(ada, mpd)
    (key,) = ada.keeper.download(download)["tracks"]
    clear = ada.http.get(f"/v1/tracks/{ada.label.one}/manifest?codecs=aac").json()
    preroll = clear["renditions"][0]["preroll"]["size_bytes"]
    assert progress["bytes"] == sum(map(len, objects)) + preroll == key["size_bytes"]


def test_a_label_that_does_not_let_it_is_asked_each_time(open_label: Label, ada: Person) -> None:
    _, mpd, key_id = take(ada, codec="aac")
    open_label.plant.run("labels", "policy", "development", "--no-standard-players")
    refused(ask(ada, key_id), 451, "standard-players-not-allowed")
    said = {"device_id": ada.shelf.registered().device, "track_id": ada.label.one, "form": "cenc"}
    refused(ada.http.post("/v1/downloads", json=said), 451, "standard-players-not-allowed")
    open_label.plant.run("labels", "policy", "development", "--standard-players")
    assert ask(ada, key_id).status_code == 200
    assert ada.http.get(mpd).status_code == 200


def test_keys_are_for_those_who_keep_the_track(
    open_label: Label, ada: Person, tmp_path: Path
) -> None:
    download, mpd, key_id = take(ada, codec="aac")
    bob = Person(open_label, f"bob-{key_id[:8]}@example.org", tmp_path / "bob")
    refused(ask(bob, key_id), 404, "download-not-found")
    refused(bob.http.get(mpd), 404, "download-not-found")
    refused(ask(ada, "0" * 32), 404, "download-not-found")
    refused(ask(ada, key_id, type="persistent-license"), 422, "request-invalid")
    refused(ask(ada, key_id, kids=["nonsense"]), 422, "request-invalid")
    refused(ask(ada, key_id, kids=[]), 422, "request-invalid")
    with httpx.Client(base_url=ada.http.base_url) as guest:
        answer = guest.post("/v1/licences/clearkey?device_id=d", json={"kids": ["a"]})
        refused(answer, 401, "session-missing")
    # What is sealed has no key that a standard player gets, and no MPD; and the other way round.
    sealed = ada.keep(track_id=ada.label.one, quality="normal", codec="aac")
    (track,) = sealed["tracks"]
    refused(ask(ada, track["key_id"]), 404, "download-not-found")
    place = f"/v1/downloads/{sealed['id']}/tracks/{ada.label.one}/manifest.mpd"
    refused(ada.http.get(place), 404, "track-not-found")
    refused(ada.http.get(mpd.removesuffix("/manifest.mpd")), 404, "track-not-found")
    (licence,) = ada.keeper.renew(ada.shelf)["licences"]
    told = json.loads(decode_bytes(licence.split(".")[1]))["tracks"]
    assert [each["kid"] for each in told] == [track["key_id"]]
    # Some of what is asked for is given.
    both = ask(ada, key_id, track["key_id"]).json()["keys"]
    assert [decode_bytes(each["kid"]).hex() for each in both] == [key_id]
    ada.http.delete(f"/v1/downloads/{download}").raise_for_status()
    refused(ask(ada, key_id), 404, "download-not-found")


def test_only_what_players_read_is_encrypted(open_label: Label, ada: Person) -> None:
    for codec in ("vorbis", "alac"):
        said = {
            "device_id": ada.shelf.registered().device,
            "track_id": ada.label.one,
            "form": "cenc",
            "codec": codec,
        }
        refused(ada.http.post("/v1/downloads", json=said), 422, "request-invalid")


def test_what_may_be_kept_no_more_gets_no_key(open_label: Label, ada: Person) -> None:
    _, mpd, key_id = take(ada, codec="aac")
    plant = open_label.plant
    plant.run("tracks", "take-down", ada.label.one)
    refused(ask(ada, key_id), 410, "track-taken-down")
    refused(ada.http.get(mpd), 410, "track-taken-down")
    plant.run("tracks", "restore", ada.label.one)
    assert ask(ada, key_id).status_code == 200
    plant.run("accounts", "change", ada.email, "--plan", "free")
    refused(ask(ada, key_id), 403, "role-may-not")
    plant.run("accounts", "change", ada.email, "--plan", "premium")
    assert ask(ada, key_id).status_code == 200
    ada.http.delete(f"/v1/devices/{ada.shelf.registered().device}").raise_for_status()
    refused(ask(ada, key_id), 410, "device-revoked")


def test_keys_leave_for_a_partner_alone(tmp_path: Path) -> None:
    partner = TestPartner.make()
    partner.put(tmp_path / "partners", "one")
    state = tmp_path / "state"
    with ExitStack() as clients:
        plant = clients.enter_context(
            Plant(state, TERRITORY="US", CPIX_PARTNERS=str(tmp_path / "partners"))
        )
        with plant.client() as sender:
            job = accepted(deliver(sender, FIXTURES / "tiny.wav"))
            track_id = wait_for_job(sender, job)["track_id"]
        plant.run("labels", "policy", "development", "--standard-players")
        plant.make_account("ada@example.org", "--plan", "premium", "--territory", "US")
        plant.make_account("olga@example.org", "--role", "operator")
        ada = clients.enter_context(plant.signed_in("ada@example.org"))
        olga = clients.enter_context(plant.signed_in("olga@example.org"))
        said = {"partner": "one", "track_ids": [track_id]}
        refused(ada.post("/v1/cpix", json=said), 403, "role-may-not")
        refused(olga.post("/v1/cpix", json=said), 404, "track-not-encrypted")
        keeper = Keeper(ada, lambda: datetime.now(UTC))
        kind = DeviceKind.COMPUTER
        shelf = keeper.register(tmp_path / "device", "passphrase", name="a computer", kind=kind)
        wanted = {"track_id": track_id, "form": "cenc", "codec": "aac"}
        taken = ada.post("/v1/downloads", json=wanted | {"device_id": shelf.registered().device})
        key_id = taken.json()["tracks"][0]["key_id"]
        kids = {"kids": [encode_bytes(bytes.fromhex(key_id))]}
        asked = f"/v1/licences/clearkey?device_id={shelf.registered().device}"
        (key,) = ada.post(asked, json=kids).json()["keys"]
        answer = olga.post("/v1/cpix", json=said)
        assert answer.headers["content-type"] == "application/xml"
        found = partner.read(answer.content)
        assert {each: secret for each, (secret, _) in found.items()} == {
            key_id: decode_bytes(key["k"])
        }
        refused(olga.post("/v1/cpix", json=said | {"partner": "two"}), 404, "partner-not-found")
        refused(olga.post("/v1/cpix", json=said | {"partner": "../one"}), 404, "partner-not-found")
        trail = [json.loads(line) for line in plant.run("audit", "--json").splitlines()]
        (exported,) = [each for each in trail if each["deed"] == "keys-exported"]
        assert (exported["subject"], exported["details"]) == ("one", {"keys": [key_id]})
