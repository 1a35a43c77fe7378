"""What a catalogue of reports promises: see catalogue.quality.QualityReports."""

from dataclasses import replace

import pytest

from catalogue.errors import Unavailable
from catalogue.quality import (
    Evidence,
    Places,
    QualityReport,
    Span,
    Suspicion,
    TierPeak,
)
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

MASTER, OTHER = "ab" * 32, "cd" * 32
FOUND = Places(
    count=2,
    samples=9,
    longest_samples=6,
    first=(Span(start_samples=1, samples=3, channel=1), Span(start_samples=99, samples=6)),
)
REPORT = QualityReport(
    recipe="quality-1",
    rate_hz=96_000,
    channels=2,
    bits=24,
    lossy=False,
    declared_samples=1000,
    samples=1000,
    audio_md5=None,
    sample_peak_dbfs=-0.01,
    true_peak_dbtp=0.2,
    true_peak_at_samples=77,
    clips=FOUND,
    dc_offset=(0.001, -1e-06),
    head_silence_samples=0,
    tail_silence_samples=7,
    silences=Places(),
    dropouts=FOUND,
    correlation=-0.5,
    correlation_min=None,
    dual_mono=False,
    effective_bits=16,
    evidence=(Evidence(of=Suspicion.UPSAMPLED, score=0.9, edge_hz=22_000, drop_db=40.1),),
    integrated_lufs=-14.2,
    momentary_max_lufs=None,
    short_term_max_lufs=None,
    range_lu=3.1,
    tiers=(TierPeak(tier="ogg-96", true_peak_dbtp=None),),
)


def test_a_report_is_kept_by_its_master(catalogue: Catalogue) -> None:
    reports = catalogue.reports
    assert reports.get(MASTER) is None
    reports.put(MASTER, REPORT, now=NOON)
    assert reports.get(MASTER) == REPORT
    assert reports.get(OTHER) is None
    newer = replace(REPORT, recipe="quality-2", tiers=())
    reports.put(MASTER, newer, now=NOON)
    assert reports.get(MASTER) == newer


@pytest.mark.parametrize("method", ["put", "get"])
def test_reports_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    with pytest.raises(Unavailable):
        if method == "put":
            away_catalogue.reports.put(MASTER, REPORT, now=NOON)
        else:
            away_catalogue.reports.get(MASTER)
