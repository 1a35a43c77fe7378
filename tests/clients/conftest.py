"""The origin of the end-to-end tests, for independent judges and real players."""

from tests.e2e.conftest import label, listener, origin, tracks

__all__ = ["label", "listener", "origin", "tracks"]
