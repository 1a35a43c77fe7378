"""An origin that all tests of this folder share, with every release of the fixtures, and edges."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.edges import CASES, NAME, OTHERS, PROXY, RING, Upstream, configuration
from tests.e2e.recorder import Recorder
from tests.e2e.servers import Plant, accepted, deliver, free_port, releases, wait_for_job
from tests.engines import EdgeServer


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


@pytest.fixture(scope="module")
def folder_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An edge that reads a folder with every rendition of the vectors; its origin is away."""
    folder = tmp_path_factory.mktemp("edge")
    for case in CASES:
        rendition = folder / "store" / "renditions" / case["rendition"]
        rendition.mkdir(parents=True, exist_ok=True)
        for name in (NAME, *OTHERS):
            (rendition / name).write_bytes(case["rendition"].encode())
    port, away = free_port(), f"127.0.0.1:{free_port()}"
    text = configuration(port, away, "folder.conf")
    with EdgeServer(
        text,
        folder,
        port,
        ring=RING.replace(" ", "\r\n\t"),
        store=folder / "store",
        proxies=PROXY,
    ) as edge:
        yield edge.url


@pytest.fixture
def make_edge(tmp_path: Path) -> Callable[[str], EdgeServer]:
    """Make an edge with a ring of its own, and a folder that holds one object of the vectors."""

    def make(ring: str) -> EdgeServer:
        rendition = tmp_path / "store" / "renditions" / CASES[0]["rendition"]
        rendition.mkdir(parents=True)
        (rendition / NAME).write_bytes(b"chunk")
        port, away = free_port(), f"127.0.0.1:{free_port()}"
        text = configuration(port, away, "folder.conf")
        return EdgeServer(text, tmp_path, port, ring=ring, store=tmp_path / "store")

    return make


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[tuple[str, Upstream]]:
    """An edge with a cache, and its origin."""
    upstream, port = Upstream(), free_port()
    text = configuration(port, upstream.address, "cached.conf")
    with EdgeServer(text, tmp_path, port, ring=RING) as edge:
        yield edge.url, upstream
    upstream.end()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def before(recorder: Recorder, tmp_path: Path) -> Callable[..., EdgeServer]:
    """Make an edge with a cache, before what records, that believes some proxies."""

    def make(proxies: str = "") -> EdgeServer:
        port = free_port()
        text = configuration(port, recorder.address, "cached.conf")
        return EdgeServer(text, tmp_path, port, ring=RING, proxies=proxies)

    return make
