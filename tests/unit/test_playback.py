"""Where a track is by now."""

from dataclasses import replace
from datetime import timedelta

import pytest

from origin.playback import LEASE_LIFE, locate
from tests.contract.examples import NOON
from tests.contract.test_playbacks import STATE


@pytest.mark.parametrize(
    ("after", "position_s"),
    [
        (timedelta(0), 12.5),
        (timedelta(seconds=7.25), 19.75),
        (LEASE_LIFE, 72.5),
        (timedelta(hours=1), 72.5),
        (timedelta(seconds=-3), 12.5),
    ],
)
def test_a_track_goes_on_as_long_as_its_lease_could(after: timedelta, position_s: float) -> None:
    assert locate(STATE, NOON + after) == position_s
    assert locate(replace(STATE, playing=False), NOON + after) == 12.5
