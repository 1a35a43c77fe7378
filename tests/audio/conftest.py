"""Fixtures pressed once for all tests of this folder."""

import pytest

from tests.audio.pressings import Pressed, press_file
from tests.audio.tools import Press, decode_everything_joined
from tests.audio_tools import fact


@pytest.fixture(scope="session")
def press(tmp_path_factory: pytest.TempPathFactory) -> Press:
    """Presses a fixture at every tier, and decodes it, when it is first asked for."""
    done: dict[str, Pressed] = {}

    def once(file: str) -> Pressed:
        if file not in done:
            done[file] = press_file(fact(file).path, tmp_path_factory.mktemp("store"))
            decode_everything_joined(done[file])
        return done[file]

    return once
