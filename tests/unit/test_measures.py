"""What an origin measures of streams."""

import pytest
from prometheus_client import CollectorRegistry

from origin import measures
from origin.measures import OriginMeasures
from origin.visit import Stream


def test_a_stream_plays_until_its_track_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(measures, "monotonic", lambda: now)
    registry = CollectorRegistry()
    measured = OriginMeasures(registry)

    def playing(quality: str) -> float | None:
        return registry.get_sample_value("lathe_playing", {"quality": quality, "plan": "free"})

    assert playing("normal") is None
    measured.count_streams([Stream("normal", "free", 180.0), Stream("normal", "free", 60.0)])
    measured.count_streams([Stream("high", "free", 0.0)])
    assert (playing("normal"), playing("high")) == (2, 0)
    now += 60
    assert playing("normal") == 1
    measured.count_streams([Stream("normal", "free", 30.0)])
    now += 119.9
    assert playing("normal") == 1
    now += 0.1
    assert playing("normal") == 0
    begun = {"quality": "normal", "plan": "free"}
    assert registry.get_sample_value("lathe_streams_total", begun) == 3


def test_what_is_remembered_of_streams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_STREAMS", 100)
    registry = CollectorRegistry()
    measured = OriginMeasures(registry)
    measured.count_streams(Stream("normal", "free", 1e6 + each) for each in range(1000))
    labels = {"quality": "normal", "plan": "free"}
    assert registry.get_sample_value("lathe_playing", labels) == 100
