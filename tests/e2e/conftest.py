"""An origin that all tests of this folder share: every release of the fixtures, published once."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.servers import Plant, accepted, deliver, releases, wait_for_job


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A running origin whose listeners are in the United States."""
    with Plant(tmp_path_factory.mktemp("origin") / "state", TERRITORY="US") as plant:
        yield plant


@pytest.fixture(scope="session")
def label(origin: Plant) -> Iterator[httpx.Client]:
    """A client that shows the label's key."""
    with origin.client() as client:
        yield client


@pytest.fixture(scope="session")
def listener(origin: Plant) -> Iterator[httpx.Client]:
    """A client that shows no key."""
    with origin.client(key="") as client:
        yield client


@pytest.fixture(scope="session")
def tracks(label: httpx.Client) -> dict[str, str]:
    """The track id of every release, by its file."""
    sent = {}
    for release in releases():
        metadata = {name: value for name, value in release.items() if name != "file"}
        sent[release["file"]] = accepted(deliver(label, FIXTURES / release["file"], **metadata))
    jobs = {file: wait_for_job(label, job_id) for file, job_id in sent.items()}
    assert {file: job["reason"] for file, job in jobs.items()} == dict.fromkeys(sent)
    return {file: job["track_id"] for file, job in jobs.items()}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where a plant of this test alone keeps what it knows."""
    return tmp_path / "state"
