"""Uploads over tus 1.0.0, byte by byte: what counts, what does not, and who may."""

import base64
import hashlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue import errors
from catalogue.errors import LatheError
from tests.e2e.servers import Plant, QuickPlant, SmallPlant, wait_until
from tests.e2e.test_problems import require_problem
from tests.engines import S3_CREDENTIALS, SwiftServer

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}
MIB = 1 << 20
DATA = random.Random(8).randbytes(300_000)


@pytest.fixture(scope="module", params=["folder", "s3"])
def plant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plant]:
    state, settings, environment = tmp_path_factory.mktemp("tus") / "state", {}, {}
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        assert isinstance(server, SwiftServer)
        settings, environment = {"STORE": server.url("tus")}, S3_CREDENTIALS
    with Plant(state, environment, MAX_MASTER_BYTES=str(64 * MIB), **settings) as plant:
        yield plant


@pytest.fixture(scope="module")
def folder_plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("tus-folder") / "state") as plant:
        yield plant


@pytest.fixture
def label(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client() as client:
        yield client


@pytest.fixture
def sender(folder_plant: Plant) -> Iterator[httpx.Client]:
    with folder_plant.client() as client:
        yield client


def named(**said: str) -> dict[str, str]:
    """Return Upload-Metadata."""
    pairs = (f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in said.items())
    return {"Upload-Metadata": ",".join(pairs)}


def checked(algorithm: str, data: bytes) -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


def begin(client: httpx.Client, size: int | None, **headers: str) -> str:
    """Begin an upload and return its URL."""
    length = {"Upload-Defer-Length": "1"} if size is None else {"Upload-Length": str(size)}
    answer = client.post("/v1/uploads", headers=TUS | length | headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    return str(answer.headers["Location"])


def send(client: httpx.Client, url: str, at: int, data: bytes, **headers: str) -> httpx.Response:
    sent = TUS | BYTES | {"Upload-Offset": str(at)} | headers
    return client.patch(url, content=data, headers=sent)


def offset(client: httpx.Client, url: str) -> int:
    answer = client.head(url, headers=TUS)
    assert answer.status_code == 200, answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def status(client: httpx.Client, url: str) -> dict[str, Any]:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def all_uploads(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get("/v1/uploads", params={"limit": 200})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["uploads"]
    return found


def test_what_is_spoken_is_told_to_everybody(plant: Plant) -> None:
    with plant.client(key="") as guest:
        answer = guest.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(64 * MIB)
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        *("creation", "creation-with-upload", "creation-defer-length", "checksum"),
        *("expiration", "termination", "concatenation"),
    }
    assert set(answer.headers["Tus-Checksum-Algorithm"].split(",")) == {"sha1", "sha256", "md5"}


def test_a_file_comes_in_pieces(label: httpx.Client) -> None:
    url = begin(label, len(DATA), **named(filename="Für Elise.wav", filetype="audio/wav"))
    for start, end in [(0, 1), (1, 1), (1, 100_000), (100_000, len(DATA))]:
        assert offset(label, url) == start
        answer = send(label, url, start, DATA[start:end])
        assert answer.status_code == 204, answer.text
        assert answer.headers["Upload-Offset"] == str(end)
        assert answer.headers["Upload-Expires"].endswith("GMT")
    head = label.head(url, headers=TUS)
    assert head.headers["Upload-Length"] == str(len(DATA))
    assert head.headers["Upload-Metadata"] == named(
        filename="Für Elise.wav", filetype="audio/wav"
    ).pop("Upload-Metadata")
    shown = status(label, url)
    assert shown["complete"] is True
    assert shown["filename"] == "Für Elise.wav"
    assert shown["received_bytes"] == shown["size_bytes"] == len(DATA)
    assert shown["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_a_file_comes_with_its_beginning(label: httpx.Client) -> None:
    headers = TUS | BYTES | {"Upload-Length": str(len(DATA))}
    answer = label.post("/v1/uploads", content=DATA[:1000], headers=headers)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "1000")
    url = answer.headers["Location"]
    assert send(label, url, 1000, DATA[1000:]).status_code == 204
    assert status(label, url)["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_an_empty_file_is_complete_at_once(label: httpx.Client) -> None:
    shown = status(label, begin(label, 0))
    assert (shown["complete"], shown["received_bytes"]) == (True, 0)


def test_a_length_is_said_later(label: httpx.Client) -> None:
    url = begin(label, None)
    head = label.head(url, headers=TUS)
    assert head.headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in head.headers
    assert send(label, url, 0, DATA[:10]).status_code == 204
    length = {"Upload-Length": str(len(DATA))}
    assert send(label, url, 10, DATA[10:20], **length).status_code == 204
    require_problem(send(label, url, 20, b"", **{"Upload-Length": "5"}), errors.UploadSizeWrong)
    assert send(label, url, 20, DATA[20:], **length).status_code == 204
    assert status(label, url)["complete"] is True


def test_a_length_below_what_there_is_is_refused(label: httpx.Client) -> None:
    url = begin(label, None)
    send(label, url, 0, DATA[:10])
    answer = send(label, url, 10, b"", **{"Upload-Length": "9"})
    require_problem(answer, errors.UploadSizeWrong)
    assert offset(label, url) == 10
    assert send(label, url, 10, DATA[10:20], **{"Upload-Length": "20"}).status_code == 204
    assert status(label, url)["complete"] is True


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_bytes_count_only_if_they_are_what_they_are_said_to_be(
    label: httpx.Client, algorithm: str
) -> None:
    url = begin(label, len(DATA))
    first, second = DATA[:150_000], DATA[150_000:]
    assert send(label, url, 0, first, **checked(algorithm, first)).status_code == 204
    answer = send(label, url, len(first), second[::-1], **checked(algorithm, second))
    assert answer.status_code == 460
    require_problem(answer, errors.UploadChecksumDiffers)
    assert offset(label, url) == len(first)
    assert send(label, url, len(first), second, **checked(algorithm, second)).status_code == 204
    assert status(label, url)["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_parts_are_joined_in_their_order(label: httpx.Client) -> None:
    pieces = [DATA[:1], DATA[1:200_000], b"", DATA[200_000:]]
    partial = {"Upload-Concat": "partial"}
    urls = [begin(label, len(piece), **partial) for piece in pieces]
    for url, piece in list(zip(urls, pieces, strict=True))[::-1]:
        if piece:
            assert send(label, url, 0, piece).status_code == 204
    assert label.head(urls[0], headers=TUS).headers["Upload-Concat"] == "partial"
    base = str(label.base_url).rstrip("/")
    final = {"Upload-Concat": f"final;{urls[0]} {base}{urls[1]} {urls[2]} {urls[3]}"}
    answer = label.post("/v1/uploads", headers=TUS | final | named(name="joined.wav"))
    assert answer.status_code == 201, answer.text
    url = answer.headers["Location"]
    head = label.head(url, headers=TUS)
    assert head.headers["Upload-Concat"] == final["Upload-Concat"]
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (str(len(DATA)),) * 2
    shown = status(label, url)
    assert (shown["complete"], shown["filename"]) == (True, "joined.wav")
    assert shown["sha256"] == hashlib.sha256(DATA).hexdigest()
    require_problem(send(label, url, len(DATA), b""), errors.UploadJoined)
    lives = {each["id"]: each["expires_at"] for each in all_uploads(label)}
    whole = lives[url.rpartition("/")[2]]
    assert all(lives[part.rpartition("/")[2]] < whole for part in urls)


def test_parts_that_are_not_complete_are_not_joined(label: httpx.Client) -> None:
    part = begin(label, 10, **{"Upload-Concat": "partial"})
    whole = begin(label, 0)
    wrong: dict[str, type[LatheError]] = {
        f"final;{part}": errors.UploadIncomplete,
        f"final;{whole}": errors.UploadNotFound,
        f"final;/v1/uploads/upl_{'0' * 26}": errors.UploadNotFound,
        "final;/v1/uploads/..%2f..": errors.UploadNotFound,
        "final;/v1/tracks/x": errors.RequestInvalid,
        "final;": errors.RequestInvalid,
        "middle": errors.RequestInvalid,
    }
    before = len(label.get("/v1/uploads", params={"limit": 200}).json()["uploads"])
    for said, kind in wrong.items():
        answer = label.post("/v1/uploads", headers=TUS | {"Upload-Concat": said})
        require_problem(answer, kind)
    assert len(label.get("/v1/uploads", params={"limit": 200}).json()["uploads"]) == before


def test_what_is_ended_is_gone(label: httpx.Client) -> None:
    url = begin(label, len(DATA))
    send(label, url, 0, DATA[:1000])
    assert label.delete(url, headers=TUS).status_code == 204
    assert label.head(url, headers=TUS).status_code == 404
    require_problem(send(label, url, 1000, DATA[1000:]), errors.UploadNotFound)
    require_problem(label.delete(url, headers=TUS), errors.UploadNotFound)


def test_a_client_that_only_posts_says_what_it_means(sender: httpx.Client) -> None:
    url = begin(sender, len(DATA))

    def meant(method: str, content: bytes = b"", **headers: str) -> httpx.Response:
        sent = TUS | {"X-HTTP-Method-Override": method} | headers
        return sender.post(url, content=content, headers=sent)

    patched = meant("PATCH", DATA, **BYTES, **{"Upload-Offset": "0"})
    assert (patched.status_code, patched.headers["Upload-Offset"]) == (204, str(len(DATA)))
    assert meant("HEAD").headers["Upload-Offset"] == str(len(DATA))
    assert meant("DELETE").status_code == 204
    require_problem(meant("BREW"), errors.MethodNotSupported)
    assert sender.head(url, headers=TUS).status_code == 404


REFUSED: dict[str, tuple[dict[str, str], type[LatheError]]] = {
    "no version": ({"Upload-Length": "1"}, errors.TusVersionUnsupported),
    "another version": (
        {"Tus-Resumable": "0.2.2", "Upload-Length": "1"},
        errors.TusVersionUnsupported,
    ),
    "no length": (TUS, errors.RequestInvalid),
    "a length below nothing": (TUS | {"Upload-Length": "-1"}, errors.RequestInvalid),
    "a length that is no number": (TUS | {"Upload-Length": "1e3"}, errors.RequestInvalid),
    "a length now and later": (
        TUS | {"Upload-Length": "1", "Upload-Defer-Length": "1"},
        errors.RequestInvalid,
    ),
    "a length some day": (TUS | {"Upload-Defer-Length": "2"}, errors.RequestInvalid),
    "more than is accepted": (TUS | {"Upload-Length": str(8 << 40)}, errors.MasterTooLarge),
    "metadata that is none": (
        TUS | {"Upload-Length": "1", "Upload-Metadata": "filename *"},
        errors.RequestInvalid,
    ),
    "metadata without end": (
        TUS | {"Upload-Length": "1", "Upload-Metadata": "a " + "YQ==" * 2000},
        errors.RequestInvalid,
    ),
    "a checksum nobody knows": (
        TUS | BYTES | {"Upload-Length": "1", "Upload-Checksum": "crc32 YQ=="},
        errors.RequestInvalid,
    ),
    "a checksum that is none": (
        TUS | BYTES | {"Upload-Length": "1", "Upload-Checksum": "sha1 *"},
        errors.RequestInvalid,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_beginning_is_refused_and_begins_nothing(name: str, sender: httpx.Client) -> None:
    headers, kind = REFUSED[name]
    before = sender.get("/v1/uploads", params={"limit": 200}).json()
    answer = sender.post("/v1/uploads", headers=headers)
    require_problem(answer, kind)
    if kind is errors.TusVersionUnsupported:
        assert answer.headers["Tus-Version"] == "1.0.0"
    assert sender.get("/v1/uploads", params={"limit": 200}).json() == before


def test_wrong_bytes_are_refused_and_change_nothing(label: httpx.Client) -> None:
    url = begin(label, 1000)
    assert send(label, url, 0, DATA[:400]).status_code == 204
    wrong: list[tuple[dict[str, str], bytes, type[LatheError]]] = [
        ({"Upload-Offset": "399"}, b"x", errors.UploadOffsetWrong),
        ({"Upload-Offset": "401"}, b"x", errors.UploadOffsetWrong),
        ({"Upload-Offset": "-1"}, b"x", errors.RequestInvalid),
        ({}, b"x", errors.RequestInvalid),
        ({"Upload-Offset": "400", "Content-Type": "audio/wav"}, b"x", errors.MediaTypeUnsupported),
        ({"Upload-Offset": "400"}, DATA[:601], errors.MasterTooLarge),
    ]
    for headers, data, kind in wrong:
        answer = label.patch(url, content=data, headers=TUS | BYTES | headers)
        require_problem(answer, kind)
        assert offset(label, url) == 400
    assert send(label, url, 400, DATA[400:1000]).status_code == 204
    assert status(label, url)["sha256"] == hashlib.sha256(DATA[:1000]).hexdigest()


def test_nobody_reaches_the_upload_of_another_label(folder_plant: Plant) -> None:
    with (
        folder_plant.client() as owner,
        folder_plant.client(folder_plant.make_key("another")) as other,
        folder_plant.client(key="") as guest,
    ):
        url = begin(owner, 10)
        for client, kind in ((other, errors.UploadNotFound), (guest, errors.KeyMissing)):
            require_problem(client.get(url), kind)
            require_problem(send(client, url, 0, b"x"), kind)
            require_problem(client.delete(url, headers=TUS), kind)
        assert other.get("/v1/uploads").json()["uploads"] == []
        assert offset(owner, url) == 0


def half_sent(
    plant: Plant, url: str, data: bytes, size: int, *, at: int = 0, through: str = ""
) -> socket.socket:
    """Return a connection, or one ``through`` an edge, with the beginning of a PATCH sent."""
    host, port = (through or plant.url).removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = {
        "Host": "lathe",
        "Authorization": f"Bearer {plant.key}",
        "Upload-Offset": str(at),
        "Content-Length": str(size),
        **TUS,
        **BYTES,
    }
    lines = [f"PATCH {url} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode("ascii") + data)
    return connection


def test_what_came_before_the_line_broke_counts(plant: Plant, label: httpx.Client) -> None:
    data = os.urandom(20 * MIB)
    url = begin(label, len(data))
    with half_sent(plant, url, data[: 9 * MIB + 7], len(data)):
        pass
    wait_until(lambda: offset(label, url) == 9 * MIB + 7, "what was sent")

    def resumed() -> bool:
        return send(label, url, 9 * MIB + 7, data[9 * MIB + 7 :]).status_code == 204

    wait_until(resumed, "the end of the broken request")
    shown = status(label, url)
    assert shown["complete"] is True
    assert shown["sha256"] == hashlib.sha256(data).hexdigest()


def test_one_writes_at_a_time(folder_plant: Plant, sender: httpx.Client) -> None:
    url = begin(sender, len(DATA))
    with half_sent(folder_plant, url, DATA[:1000], len(DATA)):
        wait_until(lambda: status(sender, url)["receiving"], "the first writer")
        require_problem(send(sender, url, 0, b""), errors.UploadBusy)
        require_problem(sender.delete(url, headers=TUS), errors.UploadBusy)
    wait_until(lambda: offset(sender, url) == 1000, "what was sent")


def test_who_sends_slowly_keeps_its_turn(folder_plant: Plant, sender: httpx.Client) -> None:
    """For longer than a claim lasts that nobody renews."""
    url = begin(sender, len(DATA))
    with half_sent(folder_plant, url, DATA[:10], len(DATA)) as connection:
        wait_until(lambda: status(sender, url)["receiving"], "the first writer")
        for place in range(10, 130, 10):
            time.sleep(1)
            connection.sendall(DATA[place : place + 10])
            assert send(sender, url, offset(sender, url), b"x").status_code == 423
    wait_until(lambda: offset(sender, url) == 130, "what was sent")


def test_who_sends_nothing_any_more_makes_room_for_others(
    folder_plant: Plant, sender: httpx.Client
) -> None:
    """As over a line that went away without a word."""
    url = begin(sender, len(DATA))
    with half_sent(folder_plant, url, DATA[:1000], len(DATA)):
        wait_until(lambda: status(sender, url)["receiving"], "the first writer")
        wait_until(lambda: offset(sender, url) == 1000, "the end of patience")

        def resumed() -> bool:
            return send(sender, url, 1000, DATA[1000:]).status_code == 204

        wait_until(resumed, "the end of the first writer")
    assert status(sender, url)["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_of_many_writers_at_once_one_wins(sender: httpx.Client) -> None:
    url = begin(sender, len(DATA))
    statuses: list[int] = []

    def write() -> None:
        statuses.append(send(sender, url, 0, DATA).status_code)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 409, 423}
    assert status(sender, url)["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_a_label_has_no_more_uploads_than_it_may(folder_plant: Plant) -> None:
    folder_plant.run("labels", "policy", "small", "--max-uploads", "2", "--max-upload-bytes", "99")
    with folder_plant.client(folder_plant.make_key("small")) as small:
        unsaid = small.post("/v1/uploads", headers=TUS | {"Upload-Defer-Length": "1"})
        require_problem(unsaid, errors.UploadsFull)
        first = begin(small, 50)
        begin(small, 0)
        refused = small.post("/v1/uploads", headers=TUS | {"Upload-Length": "1"})
        problem = require_problem(refused, errors.UploadsFull)
        assert problem["measured"]["max_uploads"] == 2
        assert small.delete(first, headers=TUS).status_code == 204
        refused = small.post("/v1/uploads", headers=TUS | {"Upload-Length": "100"})
        assert require_problem(refused, errors.UploadsFull)["measured"]["max_bytes"] == 99
        begin(small, 99)


def test_a_full_disk_is_told_and_loses_nothing_that_counted(tmp_path: Path) -> None:
    data = os.urandom(SmallPlant.size_bytes)
    with SmallPlant(tmp_path / "state") as plant, plant.client() as label:
        url = begin(label, len(data))
        assert send(label, url, 0, data[: 8 * MIB]).status_code == 204
        answer = send(label, url, 8 * MIB, data[8 * MIB :])
        assert answer.status_code == 507
        require_problem(answer, errors.DiskFull)
        there = offset(label, url)
        assert 8 * MIB <= there < len(data)
        [file] = (plant.disk / "store" / ".uploads").iterdir()
        assert file.read_bytes() == data[:there]
        assert label.delete(url, headers=TUS).status_code == 204
        again = begin(label, 8 * MIB)
        assert send(label, again, 0, data[: 8 * MIB]).status_code == 204


def test_a_killed_server_loses_nothing_that_counted(tmp_path: Path) -> None:
    data = os.urandom(12 * MIB)
    with QuickPlant(tmp_path / "state") as plant:
        with plant.client() as label:
            url = begin(label, len(data))
            assert send(label, url, 0, data[: 5 * MIB]).status_code == 204
            with half_sent(plant, url, b"", 7 * MIB, at=5 * MIB):
                wait_until(lambda: status(label, url)["receiving"], "the writer")
                plant.kill()
        plant.start()
        with plant.client() as label:
            assert offset(label, url) == 5 * MIB

            def resumed() -> bool:
                return send(label, url, 5 * MIB, data[5 * MIB :]).status_code == 204

            wait_until(resumed, "the end of the killed writer's claim")
            assert status(label, url)["complete"] is True
        [file] = (plant.state / "store" / ".uploads").iterdir()
        assert file.read_bytes() == data


def test_memory_does_not_grow_with_what_is_sent(folder_plant: Plant, sender: httpx.Client) -> None:
    def sent(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(MIB)

    def peak_kib() -> int:
        status = Path(f"/proc/{folder_plant.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0])

    def upload(mebibytes: int) -> None:
        url = begin(sender, mebibytes * MIB)
        headers = TUS | BYTES | {"Upload-Offset": "0"}
        answer = sender.patch(url, content=sent(mebibytes), headers=headers)
        assert answer.status_code == 204, answer.text
        assert sender.delete(url, headers=TUS).status_code == 204

    upload(16)
    before = peak_kib()
    upload(1024)
    assert peak_kib() - before < 16 * 1024
