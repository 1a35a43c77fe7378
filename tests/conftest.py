"""Engines that several suites share: each is started once, when a test first asks for it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import PostgresServer, SwiftServer

SLOW = frozenset(
    (
        *("test_chaos.py", "test_recovery.py", "test_plant.py", "test_backup.py"),
        *("test_players.py", "test_matching.py", "test_features.py", "test_exact.py"),
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process waits for another in the end."""
    items.sort(key=lambda item: item.path.name not in SLOW)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    # The folders that pytest makes are closed to the user PostgreSQL runs as.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with PostgresServer(Path(folder)) as server:
            yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        yield server
