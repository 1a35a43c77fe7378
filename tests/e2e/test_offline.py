"""Downloads from end to end: taken, sealed, fetched, licensed, and played with the network gone."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue.errors import (
    ClockTurnedBack,
    DeviceRevoked,
    DeviceUntrusted,
    DownloadNotFound,
    DownloadUntrusted,
    LatheError,
    LicenceExpired,
    RoleMayNot,
    TooManyRequests,
    TrackTakenDown,
    UseNotLicensed,
)
from catalogue.offline import DeviceKind
from lathe.client import Keeper, Shelf, play_kept
from tests.audio.pressings import make_wav
from tests.audio_tools import decode
from tests.e2e.servers import (
    LATHE,
    Plant,
    accepted,
    deliver,
    wait_for_job,
    wait_until,
)

PASSPHRASE = "open, sesame"
SAMPLES = 25 * 44_100
SAME_WORDS = "It was not sealed for here, or it was altered."


def now() -> datetime:
    return datetime.now(UTC)


class Label:
    """A plant, and the tracks that a label delivered to it."""

    def __init__(self, plant: Plant, folder: Path) -> None:
        self.plant, self.folder = plant, folder
        self.clients = ExitStack()
        self.master = make_wav(folder / "one.wav", samples=SAMPLES)
        self.one = self.deliver("one", self.master, isrc="ZZTST2600001")

    def deliver(self, name: str, master: Path, **metadata: Any) -> str:
        """Return the id of a track that was delivered, when it is published."""
        with self.plant.client() as label:
            job_id = accepted(deliver(label, master, **metadata))
            return str(wait_for_job(label, job_id)["track_id"])


@pytest.fixture(scope="module")
def label(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Label]:
    folder = tmp_path_factory.mktemp("offline")
    ladder = folder / "ladder.toml"
    ladder.write_text(
        '[[tier]]\nname = "aac-128"\ncodec = "aac"\nbitrate_kbps = 128\n'
        '[[tier]]\nname = "ogg-160"\ncodec = "vorbis"\nbitrate_kbps = 160\n'
        '[[tier]]\nname = "flac"\ncodec = "flac"\n'
    )
    with Plant(folder / "state", LADDER=str(ladder), TERRITORY="US") as plant:
        found = Label(plant, folder)
        with found.clients:
            yield found


class Person:
    """A listener with a device."""

    def __init__(self, label: Label, email: str, folder: Path, *options: str) -> None:
        self.label, self.email = label, email
        self.id = label.plant.make_account(email, "--plan", "premium", "--territory", "US")
        self.sign_in()
        self.shelf = self.register(folder)

    def sign_in(self) -> None:
        with self.label.plant.signed_in(self.email) as client:
            self.token = client.headers["Authorization"].removeprefix("Bearer ")
        headers = {"Authorization": f"Bearer {self.token}"}
        client = httpx.Client(base_url=self.label.plant.url, headers=headers, timeout=60)
        self.http = self.label.clients.enter_context(client)
        self.keeper = Keeper(self.http, now)

    def register(self, folder: Path) -> Shelf:
        return self.keeper.register(folder, PASSPHRASE, name="a computer", kind=DeviceKind.COMPUTER)

    def keep(self, shelf: Shelf | None = None, **wanted: Any) -> dict[str, Any]:
        """Take a download as far as it can be played, and return what was answered first."""
        shelf = shelf or self.shelf
        taken = self.keeper.take(shelf, **wanted)
        wait_until(lambda: self.keeper.download(taken["id"])["ready"], "a sealed download")
        self.keeper.fetch(shelf, taken["id"])
        self.keeper.renew(shelf)
        return taken


@pytest.fixture
def ada(label: Label, tmp_path: Path) -> Person:
    return Person(label, f"{os.urandom(6).hex()}@example.org", tmp_path / "device")


def play(shelf: Shelf, track_id: str, at: datetime | None = None) -> bytes:
    """Return the PCM that a track plays, 16 bits."""
    path = shelf.folder / "played.wav"
    samples = play_kept(shelf, track_id, path, now=at or now())
    assert samples == SAMPLES
    return decode(path)


def refused(shelf: Shelf, track_id: str) -> None:
    """Assert that a track does not open, and that nothing more is told, or left."""
    with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
        play_kept(shelf, track_id, shelf.folder / "refused.wav", now=now())
    assert not (shelf.folder / "refused.wav").exists()


# --------------------------------------------------------------------------- as it is meant


def test_a_download_plays_to_the_sample_with_the_network_gone(ada: Person) -> None:
    taken = ada.keep(track_id=ada.label.one, quality="lossless", codec="flac")
    (track,) = taken["tracks"]
    assert (track["tier"], taken["kind"], taken["left_out"]) == ("flac", "track", [])
    ada.http.close()
    assert play(ada.shelf, ada.label.one) == decode(ada.label.master)
    kept = ada.shelf.find(ada.label.one)
    sizes = [path.stat().st_size for path in kept.folder.glob("*.lso")]
    assert sum(sizes) == track["size_bytes"]
    for path in kept.folder.glob("*.lso"):
        assert path.read_bytes().startswith(b"LSO\x01")


@pytest.mark.parametrize(("codec", "tier"), [("aac", "aac-128"), ("vorbis", "ogg-160")])
def test_a_lossy_download_is_as_long_as_the_track(ada: Person, codec: str, tier: str) -> None:
    taken = ada.keep(track_id=ada.label.one, codec=codec)
    assert taken["tracks"][0]["tier"] == tier
    assert len(play(ada.shelf, ada.label.one)) == SAMPLES * 4


def test_the_command_line_keeps_and_plays(ada: Person, tmp_path: Path) -> None:
    folder = tmp_path / "by hand"
    environment = {
        "PATH": os.environ["PATH"],
        "DEVICE_PASSPHRASE": PASSPHRASE,
        "LISTENER_TOKEN": ada.token,
    }

    def run(*words: str) -> bytes:
        command = [LATHE, *words, "--folder", str(folder)]
        return subprocess.check_output(command, env=environment, timeout=60)

    run("device", "register", ada.label.plant.url)
    run("device", "take", "--track", ada.label.one, "--codec", "flac")
    (listed,) = run("device", "list", "--json").splitlines()
    assert json.loads(listed)["track_id"] == ada.label.one
    run("device", "sync")
    del environment["LISTENER_TOKEN"]
    sound = run("play", ada.label.one, "--offline")
    (tmp_path / "sound.wav").write_bytes(sound)
    assert decode(tmp_path / "sound.wav") == decode(ada.label.master)
    environment["DEVICE_PASSPHRASE"] = "another"
    command = [LATHE, "play", ada.label.one, "--offline", "--folder", str(folder)]
    wrong = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 1
    assert "lathe: download-untrusted" in wrong.stderr
    assert wrong.stdout == ""


def test_sealed_objects_are_there_once_for_all_devices(ada: Person, tmp_path: Path) -> None:
    one = ada.keep(track_id=ada.label.one, codec="flac")
    second = ada.register(tmp_path / "second")
    two = ada.keep(second, track_id=ada.label.one, codec="flac")
    assert one["tracks"][0]["key_id"] == two["tracks"][0]["key_id"]
    assert play(second, ada.label.one) == play(ada.shelf, ada.label.one)


def test_what_breaks_off_is_gone_on_with(ada: Person) -> None:
    taken = ada.keeper.take(ada.shelf, track_id=ada.label.one, codec="flac")
    wait_until(lambda: ada.keeper.download(taken["id"])["ready"], "a sealed download")
    told: list[int] = []

    class Cut(Exception):
        pass

    def cut(progress: Any) -> None:
        told.append(progress.bytes_done)
        if len(told) == 2:
            raise Cut

    with pytest.raises(Cut):
        ada.keeper.fetch(ada.shelf, taken["id"], cut)
    with pytest.raises(DownloadNotFound):
        ada.shelf.find(ada.label.one)
    folder = ada.shelf.folder_of(taken["tracks"][0]["key_id"])
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.lso")}
    assert len(before) == 2
    ada.keeper.fetch(ada.shelf, taken["id"])
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    ada.keeper.renew(ada.shelf)
    assert play(ada.shelf, ada.label.one) == decode(ada.label.master)


# --------------------------------------------------------------------------- who may keep what


def test_only_a_premium_listener_downloads(label: Label, tmp_path: Path) -> None:
    email = f"{os.urandom(6).hex()}@example.org"
    label.plant.make_account(email, "--plan", "individual", "--territory", "US")
    with label.plant.signed_in(email) as client, pytest.raises(RoleMayNot):
        Keeper(client, now).register(
            tmp_path / "device", PASSPHRASE, name="a phone", kind=DeviceKind.PHONE
        )


def test_a_right_to_stream_is_none_to_download(ada: Person) -> None:
    rights = [{"territories": ["Worldwide"], "uses": ["stream"]}]
    track_id = ada.label.deliver("two", ada.label.master, isrc="ZZTST2600002", rights=rights)
    with pytest.raises(UseNotLicensed):
        ada.keeper.take(ada.shelf, track_id=track_id)
    taken = ada.keep(track_ids=[track_id, ada.label.one], title="Mine", codec="flac")
    assert [each["track_id"] for each in taken["tracks"]] == [ada.label.one]
    (left_out,) = taken["left_out"]
    assert (left_out["track_id"], left_out["problem"]["code"]) == (track_id, "use-not-licensed")


def test_collections_are_counted(ada: Person) -> None:
    for _ in range(5):
        ada.keeper.take(ada.shelf, track_ids=[ada.label.one])
    with pytest.raises(TooManyRequests) as caught:
        ada.keeper.take(ada.shelf, track_ids=[ada.label.one])
    assert caught.value.measured["limit"] == 5
    ada.keeper.take(ada.shelf, track_id=ada.label.one)


def test_a_label_that_demands_it_has_a_key_for_each_device(ada: Person, tmp_path: Path) -> None:
    plant = ada.label.plant
    plant.run("labels", "policy", "development", "--sealed-for", "device")
    try:
        second = ada.register(tmp_path / "second")
        keys = {
            ada.keep(shelf, track_id=ada.label.one, codec="flac")["tracks"][0]["key_id"]
            for shelf in (ada.shelf, second)
        }
        assert len(keys) == 2
        assert play(second, ada.label.one) == play(ada.shelf, ada.label.one)
    finally:
        plant.run("labels", "policy", "development", "--sealed-for", "all")


def test_what_is_taken_down_is_gone_at_the_next_sync(ada: Person) -> None:
    track_id = ada.label.deliver("three", ada.label.master, isrc="ZZTST2600003")
    ada.keep(track_id=track_id, codec="flac")
    ada.keeper.sync(ada.shelf)
    ada.label.plant.run("tracks", "take-down", track_id)
    (change,) = ada.keeper.sync(ada.shelf)["tracks"]
    assert (change["track_id"], change["standing"], change["code"]) == (
        track_id,
        "revoked",
        "track-taken-down",
    )
    given = ada.keeper.renew(ada.shelf)
    (told,) = given["refused"]
    assert (told["track_id"], told["code"]) == (track_id, "track-taken-down")
    refused(ada.shelf, track_id)
    with pytest.raises(TrackTakenDown):
        ada.keeper.take(ada.shelf, track_id=track_id)
    ada.label.plant.run("tracks", "restore", track_id)
    (back,) = ada.keeper.sync(ada.shelf)["tracks"]
    assert back["standing"] == "active"


def test_a_cancelled_plan_is_noticed_at_the_next_sync(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    ada.keeper.sync(ada.shelf)
    ada.label.plant.run("accounts", "change", ada.id, "--plan", "free")
    (change,) = ada.keeper.sync(ada.shelf)["tracks"]
    assert (change["standing"], change["code"]) == ("revoked", "role-may-not")
    with pytest.raises(RoleMayNot):
        ada.keeper.renew(ada.shelf)
    # What it has was given for a time, and that has not ended.
    assert play(ada.shelf, ada.label.one)
    with pytest.raises(LicenceExpired):
        play(ada.shelf, ada.label.one, now() + timedelta(days=31))


def test_a_removed_device_gets_nothing_more(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    device = ada.shelf.registered().device
    assert ada.http.delete(f"/v1/devices/{device}").status_code == 204
    with pytest.raises(DeviceRevoked):
        ada.keeper.renew(ada.shelf)
    with pytest.raises(DeviceRevoked):
        ada.keeper.sync(ada.shelf)
    with pytest.raises(DeviceRevoked):
        ada.keeper.take(ada.shelf, track_id=ada.label.one)
    assert ada.http.get("/v1/downloads").json() == {"downloads": []}


def test_what_was_removed_before_it_first_asked_leaves_the_device(ada: Person) -> None:
    taken = ada.keep(track_id=ada.label.one, codec="flac")
    assert ada.http.delete(f"/v1/downloads/{taken['id']}").status_code == 204
    assert ada.keeper.sync(ada.shelf)["tracks"] == []
    with pytest.raises(DownloadNotFound):
        ada.shelf.find(ada.label.one)


def test_what_is_removed_leaves_the_device(ada: Person) -> None:
    taken = ada.keep(track_id=ada.label.one, codec="flac")
    ada.keeper.sync(ada.shelf)
    assert ada.http.delete(f"/v1/downloads/{taken['id']}").status_code == 204
    (change,) = ada.keeper.sync(ada.shelf)["tracks"]
    assert change["standing"] == "removed"
    with pytest.raises(DownloadNotFound):
        ada.shelf.find(ada.label.one)
    assert ada.keeper.sync(ada.shelf)["tracks"] == []


def test_what_another_download_has_stays(ada: Person) -> None:
    first = ada.keep(track_id=ada.label.one, codec="flac")
    second = ada.keep(track_ids=[ada.label.one], codec="flac")
    ada.keeper.sync(ada.shelf)
    assert ada.http.delete(f"/v1/downloads/{first['id']}").status_code == 204
    (change,) = ada.keeper.sync(ada.shelf)["tracks"]
    assert (change["standing"], change["kept"]) == ("removed", True)
    ada.keeper.renew(ada.shelf)
    assert play(ada.shelf, ada.label.one)
    (listed,) = ada.http.get("/v1/downloads").json()["downloads"]
    until = datetime.fromisoformat(listed["tracks"][0]["licensed_until"])
    assert listed["id"] == second["id"]
    assert timedelta(days=29) < until - now() <= timedelta(days=30)


# --------------------------------------------------------------------------- attacks


def test_it_ends_when_its_time_is_over(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    assert play(ada.shelf, ada.label.one, now() + timedelta(days=29))
    with pytest.raises(LicenceExpired) as caught:
        play(ada.shelf, ada.label.one, now() + timedelta(days=30))
    assert caught.value.measured["track"] == ada.label.one


def test_a_clock_that_is_turned_back_is_noticed(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    with pytest.raises(LicenceExpired):
        play(ada.shelf, ada.label.one, now() + timedelta(days=40))
    with pytest.raises(ClockTurnedBack):
        play(ada.shelf, ada.label.one, now() + timedelta(days=10))
    # Whoever makes the device forget what it has known is told by the licence itself.
    ada.shelf.remember(replace(ada.shelf.registered(), seen_at=0))
    with pytest.raises(ClockTurnedBack):
        play(ada.shelf, ada.label.one, now() - timedelta(days=1))


def test_a_licence_does_not_outlive_the_right(ada: Person) -> None:
    ends = now() + timedelta(days=3)
    rights = [{"territories": ["Worldwide"], "ends_at": ends.isoformat()}]
    track_id = ada.label.deliver("four", ada.label.master, isrc="ZZTST2600004", rights=rights)
    ada.keep(track_id=track_id, codec="flac")
    assert play(ada.shelf, track_id)
    with pytest.raises(LicenceExpired):
        play(ada.shelf, track_id, ends)


def test_it_opens_on_no_other_device(ada: Person, tmp_path: Path) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    second = ada.register(tmp_path / "second")
    shutil.copytree(ada.shelf.folder / "tracks", second.folder / "tracks")
    refused(second, ada.label.one)
    shutil.copy(ada.shelf.folder / "licences.json", second.folder)
    refused(second, ada.label.one)
    shutil.copy(ada.shelf.folder / "device.json", second.folder)
    refused(second, ada.label.one)


def swap(folder: Path) -> None:
    one, two = folder / "00000.lso", folder / "00001.lso"
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def truncate(folder: Path) -> None:
    path = folder / "00001.lso"
    path.write_bytes(path.read_bytes()[:-1])


def flip(folder: Path) -> None:
    path = folder / "00002.lso"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def repeat(folder: Path) -> None:
    (folder / "00002.lso").write_bytes((folder / "00001.lso").read_bytes())


def drop_last(folder: Path) -> None:
    (folder / "00002.lso").unlink()


def take_header(folder: Path) -> None:
    (folder / "00000.lso").write_bytes((folder / "init.lso").read_bytes())


def shorten(folder: Path) -> None:
    path = folder / "manifest.json"
    said = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(said | {"samples": said["samples"] * 2}))


@pytest.mark.parametrize("attack", [swap, truncate, flip, repeat, drop_last, take_header, shorten])
def test_altered_downloads_do_not_open(ada: Person, attack: Any) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    folder = ada.shelf.find(ada.label.one).folder
    assert len(list(folder.glob("0*.lso"))) == 3
    attack(folder)
    refused(ada.shelf, ada.label.one)


def test_chunks_of_another_track_or_tier_do_not_open(ada: Person) -> None:
    other = make_wav(ada.label.folder / "five.wav", samples=SAMPLES + 1)
    track_id = ada.label.deliver("five", other, isrc="ZZTST2600005")
    ada.keep(track_ids=[ada.label.one, track_id], codec="flac")
    one, two = (ada.shelf.find(each).folder for each in (ada.label.one, track_id))
    whole = (one / "00001.lso").read_bytes()
    (one / "00001.lso").write_bytes((two / "00001.lso").read_bytes())
    refused(ada.shelf, ada.label.one)
    (one / "00001.lso").write_bytes(whole)
    assert play(ada.shelf, ada.label.one)


def test_a_copied_device_is_noticed(ada: Person, tmp_path: Path) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    shutil.copytree(ada.shelf.folder, tmp_path / "copy")
    copy = Shelf.open(tmp_path / "copy", PASSPHRASE)
    ada.keeper.renew(ada.shelf)
    ada.keeper.renew(copy)
    with pytest.raises(DeviceUntrusted, match="The proof does not hold"):
        ada.keeper.renew(ada.shelf)
    (device,) = ada.http.get("/v1/devices").json()["devices"]
    assert device["flagged"]
    trail = ada.label.plant.run("audit", "--deed", "device-cloned", "--json")
    assert device["id"] in trail


def test_what_was_said_once_is_not_said_again(ada: Person) -> None:
    said: list[dict[str, Any]] = []

    def listen(request: httpx.Request) -> None:
        if request.url.path in ("/v1/licences", "/v1/devices"):
            said.append(json.loads(request.content))

    ada.http.event_hooks = {"request": [listen]}
    ada.keeper.renew(ada.shelf)
    ada.register(ada.shelf.folder.with_name("another"))
    ada.http.event_hooks = {}
    paths = ["/v1/licences", "/v1/devices"]
    for path, words in zip(paths, said, strict=True):
        answer = ada.http.post(path, json=words)
        assert (answer.status_code, answer.json()["code"]) == (403, "device-untrusted")
    challenge = ada.http.post("/v1/devices/challenges", json={}).json()["challenge"]
    for path, words in zip(paths, said, strict=True):
        answer = ada.http.post(path, json=words | {"challenge": challenge})
        assert answer.json()["detail"] == "The proof does not hold."


def test_no_secret_is_told_anywhere(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    state = ada.label.plant.state
    licence = ada.shelf.licences()[0]
    (key_id,) = licence.key_ids
    secret = ada.shelf.keys.unwrap(licence, key_id).key.secret
    rings = [(state / name).read_text("utf-8").split(":")[1].strip() for name in RINGS]
    told = ada.label.plant.log.encode() + ada.http.get("/metrics").content
    told += (state / "catalogue.sqlite3").read_bytes()
    told += b"".join(path.read_bytes() for path in state.glob("catalogue.sqlite3-*"))
    for text in (secret, secret.hex().encode(), *(each.encode() for each in rings)):
        assert text not in told
    for name in RINGS:
        assert (state / name).stat().st_mode & 0o777 == 0o600


RINGS = ("content-keys", "licence-keys", "url-keys")


def test_the_plant_seals_the_same_again(ada: Person) -> None:
    taken = ada.keep(track_id=ada.label.one, codec="flac")
    key_id = taken["tracks"][0]["key_id"]
    stored = {
        Path(name).name: hashlib.sha256(data).hexdigest()
        for name, (_, data) in ada.label.plant.objects().items()
        if f"sealed-{key_id}" in name
    }
    here = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ada.shelf.find(ada.label.one).folder.glob("*.lso")
    }
    assert stored == here


def test_a_registration_whose_answer_was_lost_is_gone_on_with(ada: Person) -> None:
    device = ada.shelf.registered().device
    (ada.shelf.folder / "device.json").unlink()
    assert ada.register(ada.shelf.folder).registered().device == device


def test_registering_again_changes_nothing(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    known = ada.shelf.registered()
    assert ada.register(ada.shelf.folder).registered() == known
    ada.keeper.renew(ada.shelf)
    assert len(ada.http.get("/v1/devices").json()["devices"]) == 1


def test_a_clock_that_was_far_ahead_is_set_right_online(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    with pytest.raises(LicenceExpired):
        play(ada.shelf, ada.label.one, now() + timedelta(days=400))
    with pytest.raises(ClockTurnedBack):
        play(ada.shelf, ada.label.one)
    ada.keeper.sync(ada.shelf)
    assert play(ada.shelf, ada.label.one)


@pytest.mark.parametrize("name", ["device.json", "licences.json", "keys.json"])
def test_altered_state_does_not_open(ada: Person, name: str) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    whole = (ada.shelf.folder / name).read_bytes()
    flipped = whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]
    for other in (b"", b"{}", b"[" * 5000, whole[:-1], flipped):
        (ada.shelf.folder / name).write_bytes(other)
        with pytest.raises(DownloadUntrusted, match=SAME_WORDS):
            play(Shelf.open(ada.shelf.folder, PASSPHRASE), ada.label.one)


def test_nobody_extends_a_licence_with_a_key_of_his_own(ada: Person) -> None:
    ada.keep(track_id=ada.label.one, codec="flac")
    path = ada.shelf.folder / "device.json"
    signature, _, said = path.read_bytes().partition(b"\n")
    words = json.loads(said)
    words["pinned"] = dict.fromkeys(words["pinned"], "A" * 43)
    path.write_bytes(signature + b"\n" + json.dumps(words).encode())
    refused(ada.shelf, ada.label.one)


def test_numbers_and_texts_that_nothing_holds_are_refused(ada: Person) -> None:
    device = ada.shelf.registered().device
    for said in ({"since": 10**20}, {"since": -1}, {"device_id": "x" * 61}):
        answer = ada.http.get("/v1/downloads/sync", params={"device_id": device, **said})
        assert answer.status_code == 422, answer.text
    for words in ({"device_id": "a\0b"}, {"device_id": device, "track_id": "\0"}):
        assert ada.http.post("/v1/downloads", json=words).status_code == 422


def test_a_quality_that_is_reached_no_more_is_kept_no_more_and_others_are(ada: Person) -> None:
    rights = [{"territories": ["Worldwide"]}]
    track_id = ada.label.deliver("six", ada.label.master, isrc="ZZTST2600006", rights=rights)
    best = ada.keep(track_id=track_id, codec="flac")
    plain = ada.keep(track_id=track_id, codec="aac")
    less = [{"territories": ["Worldwide"], "max_quality": "normal"}]
    ada.label.deliver("six", ada.label.master, isrc="ZZTST2600006", rights=less)
    (refusal,) = ada.keeper.renew(ada.shelf)["refused"]
    assert refusal["key_id"] == best["tracks"][0]["key_id"]
    assert refusal["code"] == "subscription-too-low"
    (licence,) = ada.shelf.licences()
    assert list(licence.key_ids) == [plain["tracks"][0]["key_id"]]
    path = f"/v1/downloads/{best['id']}/tracks/{track_id}"
    assert ada.http.get(path).json()["code"] == "subscription-too-low"


def test_errors_are_named_as_the_origin_names_them(ada: Person) -> None:
    with pytest.raises(LatheError) as caught:
        ada.keeper.take(ada.shelf, track_id="trk_none")
    assert caught.value.code == "track-not-found"
