"""Releases delivered by DDEX messages: by folder and over HTTP, in order, out of it and again."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from catalogue import errors
from tests.audio_tools import FIXTURES
from tests.e2e.command_line import environment, lathe
from tests.e2e.servers import Plant, QuickPlant, wait_until
from tests.e2e.test_deliveries import find_album, get, upload
from tests.e2e.test_problems import require_problem
from tests.ern import ICPN, VERSIONS, Message, Song, Terms

LABEL = "the-sender"
ONE = Song(isrc="ZZERN2600001", title="Ode", file="resources/ode.wav")
TWO = Song(isrc="ZZERN2600002", title="Prelude", file="resources/prelude.flac")
WITHOUT = [replace(ONE, file=None), replace(TWO, file=None)]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("ern") / "state") as plant:
        yield plant


@pytest.fixture
def label(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client(plant.make_key(LABEL)) as client:
        yield client


def write(folder: Path, *messages: Message) -> Path:
    """Write a batch: a folder for each message, with the files that it names beside it."""
    for message in messages:
        own = folder / message.id
        (own / "resources").mkdir(parents=True)
        for song in message.songs:
            if song.file is not None:
                name = song.file.rpartition("/")[2]
                (own / song.file).write_bytes((FIXTURES / name).read_bytes())
        (own / f"{message.id}.xml").write_bytes(message.xml())
    (folder / "BatchComplete_1.xml").write_bytes(b"<done/>")
    return folder


def ingest(plant: Plant, folder: Path, label: str = LABEL) -> tuple[int, list[dict[str, Any]], str]:
    """Return the exit code of an ingest, what it told of each message, and its errors."""
    done: subprocess.CompletedProcess[str] = lathe(
        "ingest", "ern", folder, "--label", label, "--json", env=environment(**plant.environment)
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def ended(client: httpx.Client, delivery: str) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        found = get(client, f"/v1/deliveries/{delivery}")
        return found if found["finished_at"] else None

    return wait_until(find, "the end of the delivery")


def statuses(plant: Plant, tracks: Sequence[str]) -> list[int]:
    with plant.client(key="") as listener:
        return [listener.get(f"/v1/tracks/{each}/manifest").status_code for each in tracks]


def become(plant: Plant, tracks: Sequence[str], expected: list[int]) -> None:
    wait_until(lambda: statuses(plant, tracks) == expected, f"{expected}")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_release_lives_by_its_messages(plant: Plant, tmp_path: Path, version: str) -> None:
    """Inserted, in more territories, in time, without one track, and taken down."""
    label = f"label-{version}"
    plain = Message(version=version, songs=WITHOUT, update=True)
    taken = [Terms(takedown=True)]
    if version != "382":
        # Version 4 has no takedown but the end of every deal.
        taken = [Terms(end="2021-01-01")]
    messages = [
        replace(plain, id="1", songs=[ONE, TWO], update=False, deals=[Terms(territories=["FR"])]),
        replace(plain, id="2", deals=[Terms(territories=["FR", "US"])]),
        replace(plain, id="3", deals=[Terms(), Terms(about=["R2"], start="2099-01-01")]),
        replace(plain, id="4", deals=[Terms(), Terms(about=["R1"], end="2021-01-01")]),
        replace(plain, id="5", deals=taken),
        replace(plain, id="6", deals=[Terms()]),
    ]
    messages = [
        replace(message, created=f"2026-11-0{number}T12:00:00Z")
        for number, message in enumerate(messages, 1)
    ]
    gone = 410 if version == "382" else 451
    expected = [[451, 451], [200, 200], [200, 451], [451, 200], [gone, gone], [200, 200]]
    with plant.client(plant.make_key(label)) as client:
        tracks: list[str] = []
        for message, answers in zip(messages, expected, strict=True):
            folder = write(tmp_path / message.id, message)
            code, [told], _ = ingest(plant, folder, label)
            assert (code, told["outcome"], told["faults"]) == (0, "applied", [])
            status = ended(client, told["delivery"])
            found = [each["track_id"] for each in status["tracks"]]
            assert status["state"] in ("done", "held")
            if status["state"] == "held":
                for each in status["tracks"]:
                    plant.run("jobs", "approve", each["job"]["id"])
                ended(client, told["delivery"])
            assert tracks in ([], found)
            tracks = found
            become(plant, tracks, answers)
        album = find_album(client, tracks[0])
        assert (album["upc"], album["imprint"]) == (ICPN, "Test Records")
        for message in messages:
            code, [told], _ = ingest(plant, tmp_path / message.id, label)
            assert (code, told["outcome"]) == (0, "replayed")
        assert statuses(plant, tracks) == [200, 200]


def test_messages_of_a_folder_are_obeyed_in_the_order_they_were_made(
    plant: Plant, tmp_path: Path
) -> None:
    song = replace(ONE, isrc="ZZERN2600011")
    old = Message(id="B", created="2026-01-01T00:00:00Z", icpn="0000000000017", songs=[song])
    new = replace(old, id="A", created="2026-02-01T00:00:00Z", title="Renamed")
    new = replace(new, songs=[replace(song, file=None, title="Newer")])
    code, told, _ = ingest(plant, write(tmp_path / "both", new, old))
    assert (code, [each["message"] for each in told]) == (0, ["B", "A"])
    late = replace(old, id="C", created="2026-01-15T00:00:00Z")
    code, [told_late], _ = ingest(plant, write(tmp_path / "late", late))
    assert (code, told_late["outcome"], told_late["delivery"]) == (3, "superseded", None)
    with plant.client(plant.make_key(LABEL)) as client:
        [track] = ended(client, told[1]["delivery"])["tracks"]
        assert track["title"] == "Newer"


def test_what_is_wrong_is_acknowledged_by_resource_and_may_be_sent_again(
    plant: Plant, label: httpx.Client, tmp_path: Path
) -> None:
    digest = hashlib.md5((FIXTURES / "ode.wav").read_bytes(), usedforsecurity=False).hexdigest()
    right = replace(ONE, isrc="ZZERN2600021", hash=("MD5", digest))
    wrong = replace(right, hash=("MD5", "0" * 32))
    lost = replace(TWO, isrc="ZZERN2600022")
    said = Message(id="X-1", icpn="0000000000024", songs=[wrong, lost])
    folder = write(tmp_path / "batch", said)
    (folder / "X-1" / "resources" / "prelude.flac").unlink()
    (folder / "broken.xml").write_bytes(b"<x/>")
    code, [told], err = ingest(plant, folder)
    assert (code, told["outcome"]) == (1, "refused")
    assert "ern-unreadable" in err
    assert [each["code"] for each in told["faults"]] == [
        "resource-hash-differs",
        "resource-missing",
    ]
    answer = etree.parse(folder / "X-1" / "X-1.ack.xml").getroot()
    assert answer.findtext("FileStatus") == "SignatureOrHashSumWrongOrMissing"
    assert [
        (each.findtext("ISRC"), each.findtext("FileStatus"))
        for each in answer.findall("AffectedResource")
    ] == [
        ("ZZERN2600021", "SignatureOrHashSumWrongOrMissing"),
        ("ZZERN2600022", "ResourceMissing"),
    ]
    again = write(tmp_path / "again", replace(said, songs=[right, lost]))
    code, [told], _ = ingest(plant, again)
    assert (code, told["outcome"]) == (0, "applied")
    assert [each["state"] for each in [ended(label, told["delivery"])]] in (["done"], ["held"])


@pytest.mark.parametrize("path", ["../outside.wav", "/etc/passwd", "resources/../../outside.wav"])
def test_no_path_leads_out_of_the_folder(plant: Plant, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.wav").write_bytes((FIXTURES / "ode.wav").read_bytes())
    song = replace(ONE, isrc="ZZERN2600031", file=path)
    own = tmp_path / "batch"
    own.mkdir()
    said = Message(id=f"P-{len(path)}", icpn="0000000000031", songs=[song])
    (own / "m.xml").write_bytes(said.xml())
    code, [told], _ = ingest(plant, own)
    assert (code, told["faults"][0]["code"]) == (1, "resource-missing")


def send(client: httpx.Client, message: Message) -> httpx.Response:
    headers = {"Content-Type": "application/xml"}
    return client.post("/v1/deliveries/ern", content=message.xml(), headers=headers)


def test_a_message_over_http_finds_its_files_among_uploads(
    plant: Plant, label: httpx.Client
) -> None:
    data = (FIXTURES / "tiny.wav").read_bytes()
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    song = Song(isrc="ZZERN2600041", title="Tiny", file="tiny.wav", hash=("SHA1", digest))
    said = Message(id="H-1", icpn="0000000000048", songs=[song])
    refused = send(label, said)
    assert (refused.status_code, refused.headers["Lathe-Outcome"]) == (200, "refused")
    assert etree.fromstring(refused.content).findtext("FileStatus") == "ResourceMissing"
    upload(label, FIXTURES / "tiny.wav")
    # Its name is among what it is said to be.
    unnamed = send(label, said)
    assert unnamed.headers["Lathe-Outcome"] == "refused"
    upload(label, FIXTURES / "tiny.wav", name="tiny.wav")
    applied = send(label, said)
    assert applied.headers["Lathe-Outcome"] == "applied", applied.text
    assert applied.headers["Content-Type"].startswith("application/xml")
    url = applied.headers["Location"]
    status = wait_until(
        lambda: (found := get(label, url))["finished_at"] and found, "the end of the delivery"
    )
    assert status["state"] == "done"
    replayed = send(label, said)
    assert (replayed.headers["Lathe-Outcome"], replayed.content) == ("replayed", applied.content)
    track = status["tracks"][0]["track_id"]
    become(plant, [track], [200])
    purge = Message(id="H-2", created="2026-11-02T00:00:00Z", purged=["0000000000048"])
    assert send(label, purge).headers["Lathe-Outcome"] == "applied"
    become(plant, [track], [410])
    with plant.client(plant.make_key("somebody-else")) as other:
        assert send(other, replace(purge, id="H-3")).headers["Lathe-Outcome"] == "applied"
    require_problem(label.post("/v1/deliveries/ern", content=b"<x/>"), errors.ErnUnreadable)


def test_what_an_operator_took_down_no_message_brings_back(
    plant: Plant, label: httpx.Client
) -> None:
    song = Song(isrc="ZZERN2600051", title="Tiny", file="tiny.wav")
    said = Message(version="382", id="O-1", icpn="0000000000055", songs=[song])
    upload(label, FIXTURES / "tiny.wav", name="tiny.wav")
    url = send(label, said).headers["Location"]
    status = wait_until(
        lambda: (found := get(label, url))["finished_at"] and found, "the end of the delivery"
    )
    track = status["tracks"][0]["track_id"]
    plant.run("tracks", "take-down", track)
    again = replace(said, id="O-2", created="2026-11-09T00:00:00Z")
    assert send(label, again).headers["Lathe-Outcome"] == "applied"
    become(plant, [track], [410])
