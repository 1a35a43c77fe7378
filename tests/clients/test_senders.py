"""Uploads by the official clients of tus, as they are: tus-js-client and tuspy."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.uploader.uploader import Uploader

from tests.e2e.servers import HANG_S, Plant, free_port, wait_until
from tests.engines import S3_CREDENTIALS, SwiftServer

SENDERS = Path(__file__).parent / "senders"
MIB = 1 << 20
SIZE = 21 * MIB + 12_345

# What the client is told besides, and how many requests of which kind it makes then.
WAYS: dict[str, dict[str, Any]] = {
    "simple": {},
    "with the creation": {"uploadDataDuringCreation": True},
    "chunked": {"chunkSize": 3 * MIB + 1},
    "chunked, with the length last": {"chunkSize": 5 * MIB, "uploadLengthDeferred": True},
    "parallel": {"parallelUploads": 4},
    "parallel and chunked": {"parallelUploads": 2, "chunkSize": 4 * MIB},
    "by POST alone": {"overridePatchMethod": True, "chunkSize": 8 * MIB},
}


@pytest.fixture(scope="module", params=["folder", "s3"])
def plant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plant]:
    state, settings, environment = tmp_path_factory.mktemp("senders") / "state", {}, {}
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        assert isinstance(server, SwiftServer)
        settings, environment = {"STORE": server.url("senders")}, S3_CREDENTIALS
    settings["PORT"] = str(free_port())
    with Plant(state, environment, **settings) as plant:
        yield plant


@pytest.fixture(scope="module")
def label(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client() as client:
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Master №1.wav"
    path.write_bytes(os.urandom(SIZE))
    return path


def start(plant: Plant, file: Path, **options: Any) -> subprocess.Popen[str]:
    """Start tus-js-client, which remembers what it has begun beside the file."""
    state = file.with_suffix(".json")
    endpoint = f"{plant.url}/v1/uploads"
    words = [str(file), endpoint, plant.key, str(state), json.dumps(options)]
    return subprocess.Popen(
        ["node", str(SENDERS / "send.js"), *words],
        cwd=SENDERS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(sender: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the client tells in the end."""
    out, err = sender.communicate(timeout=HANG_S)
    assert sender.returncode == 0, out + err[-2000:]
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def require_whole(label: httpx.Client, url: str, file: Path) -> None:
    """Require that all of a file has come, and unaltered."""
    shown = wait_until(lambda: label.get(url).json(), "an answer")
    assert shown["complete"] is True
    assert shown["received_bytes"] == shown["size_bytes"] == file.stat().st_size
    assert shown["filename"] == file.name
    assert shown["sha256"] in (None, hashlib.sha256(file.read_bytes()).hexdigest())
    answer = label.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "0"})
    assert answer.status_code == 201


@pytest.mark.parametrize("way", WAYS)
def test_tus_js_client_uploads(plant: Plant, label: httpx.Client, file: Path, way: str) -> None:
    told = finish(start(plant, file, **WAYS[way]))
    require_whole(label, told["url"], file)
    assert told["retried"] == 0
    assert all(status < 300 for _, status in told["requests"])


def test_tus_js_client_goes_on_where_another_process_of_it_stopped(
    plant: Plant, label: httpx.Client, file: Path
) -> None:
    first = finish(start(plant, file, chunkSize=2 * MIB, abortAt=9 * MIB))
    assert first["aborted"] is True
    there = label.get(first["url"]).json()["received_bytes"]
    assert 0 < there < SIZE
    second = finish(start(plant, file))
    assert second["url"] == first["url"]
    assert second["requests"][0][0] == "HEAD"
    require_whole(label, second["url"], file)


@pytest.mark.parametrize("options", [{}, {"parallelUploads": 3}], ids=["simple", "parallel"])
def test_tus_js_client_goes_on_when_the_server_was_killed(
    plant: Plant, file: Path, options: dict[str, Any]
) -> None:
    sender = start(plant, file, chunkSize=MIB, **options)
    assert sender.stderr is not None
    for line in sender.stderr:
        if int(line.split()[1]) >= SIZE // 3:
            break
    plant.kill()
    plant.start()
    told = finish(sender)
    assert told["retried"] > 0
    with plant.client() as label:
        require_whole(label, told["url"], file)


def tuspy(plant: Plant, stream: IO[bytes], file: Path, **said: Any) -> Uploader:
    """Return tuspy's uploader of a file."""
    client = TusClient(f"{plant.url}/v1/uploads", headers={"Authorization": f"Bearer {plant.key}"})
    metadata = {"filename": file.name}
    return client.uploader(file_stream=stream, metadata=metadata, metadata_encoding="utf-8", **said)


@pytest.mark.parametrize("checked", [False, True], ids=["plain", "checked"])
@pytest.mark.parametrize("chunk", [SIZE + 1, 4 * MIB])
def test_tuspy_uploads(
    plant: Plant, label: httpx.Client, file: Path, checked: bool, chunk: int
) -> None:
    with open(file, "rb") as stream:
        sender = tuspy(plant, stream, file, chunk_size=chunk, upload_checksum=checked)
        sender.upload()
    require_whole(label, str(sender.url), file)


def test_tuspy_goes_on_where_it_stopped(plant: Plant, label: httpx.Client, file: Path) -> None:
    with open(file, "rb") as stream:
        first = tuspy(plant, stream, file, chunk_size=2 * MIB)
        first.upload(stop_at=8 * MIB)
    with open(file, "rb") as stream:
        second = tuspy(plant, stream, file, chunk_size=2 * MIB, url=first.url)
        assert second.get_offset() == 8 * MIB
        second.upload()
    require_whole(label, str(first.url), file)
